"""Merging a policy into somebody's bootstrap: what is kept, what is refused, and that doctor has nothing to say."""

import pytest
import yaml

from authz.config.problems import ConfigError
from authz.doctor.diagnosis import diagnose
from authz.doctor.model import Severity
from authz.doctor.source import read_text
from authz.merge.marks import without_merged
from authz.merge.merge import merge
from authz.render.options import Rate, RenderOptions
from tests.support.real_envoy import validate
from tests.support.shared_shop import chain_for
from tests.support.shop import shop
from tests.support.yaml_text import read_yaml

SHOP = shop()
FORMS = pytest.mark.parametrize("isolate", [False, True], ids=["merged", "isolated"])


def merged(text=SHOP, host="shop.example.com", options=None, **more):
    chain, settings = chain_for(host, options)
    return merge(text, "shop.yaml", chain, settings, **more)


def manager(tree, at=0):
    return tree["static_resources"]["listeners"][at]["filter_chains"][0]["filters"][0]["typed_config"]


@FORMS
def test_doctor_finds_nothing_in_the_result_and_envoy_accepts_it(isolate, tmp_path):
    text = merged(isolate=isolate).text
    found = diagnose(read_text(text, "f"), chain_for("shop.example.com")[1]).findings

    assert [] == [each.check.id for each in found if each.check.severity is not Severity.HINT]
    assert 0 == validate(text, tmp_path).returncode


@FORMS
def test_merging_twice_gives_the_same_file(isolate):
    once = merged(isolate=isolate).text

    assert once == merged(once, isolate=isolate).text


@FORMS
def test_without_what_stands_between_the_marks_the_file_is_the_owners(isolate):
    assert SHOP == without_merged(merged(isolate=isolate).text, "f")


def test_a_merge_leaves_nothing_of_an_earlier_one_behind():
    assert merged(isolate=True).text == merged(merged(host="other.example.com").text, isolate=True).text


@pytest.mark.parametrize("text", [SHOP.replace("\n", "\r\n"), SHOP.removesuffix("\n"), SHOP + "\n\n"])
def test_line_ends_of_the_file_are_kept(text):
    out = merged(text).text

    assert text.removesuffix("\n") == without_merged(out, "f").removesuffix("\n")
    assert out == merged(out).text
    assert read_yaml(merged().text) == read_yaml(out)


def test_every_line_of_the_file_is_kept_in_its_order():
    kept = iter(merged().text.splitlines())

    assert all(line in kept for line in SHOP.splitlines())


def test_filters_come_last_before_the_router_and_are_off_for_every_other_route():
    tree = read_yaml(merged().text)
    names = [each["name"].rpartition(".")[2] for each in manager(tree)["http_filters"]]
    table = manager(tree)["route_config"]
    judged = {
        route.get("name", "?"): "check_settings" in str(route.get("typed_per_filter_config"))
        for route in table["virtual_hosts"][0]["routes"]
    }

    assert [
        "lua",
        "jwt_authn",
        "local_ratelimit",
        "cors",
        "ext_authz",
        "mcp-unjudged",
        "mcp-rewrite",
        "mcp-server-headers",
        "router",
    ] == names
    assert table["typed_per_filter_config"]["envoy.filters.http.ext_authz"]["disabled"]
    assert {"mcp-tools-preflight", "mcp-tools"} >= {name for name, is_judged in judged.items() if is_judged}
    assert judged["mcp-tools"]


def test_filters_that_could_change_what_is_judged_are_off_on_the_mcp_routes():
    routes = manager(read_yaml(merged().text))["route_config"]["virtual_hosts"][0]["routes"]
    mcp = next(each for each in routes if each.get("name") == "mcp-tools")
    off = {name for name, entry in mcp["typed_per_filter_config"].items() if entry.get("disabled")}

    assert {"envoy.filters.http.lua", "envoy.filters.http.jwt_authn"} == off
    assert [{"upgrade_type": "websocket", "enabled": False}] == mcp["route"]["upgrade_configs"]
    assert {} == mcp["route"]["retry_policy"]


def test_isolated_the_owners_manager_gets_routes_and_nothing_else():
    before, after = (read_yaml(text) for text in (SHOP, merged(isolate=True).text))
    routes = manager(after)["route_config"]["virtual_hosts"][0]
    del routes["routes"][:2]

    assert manager(before) == manager(after)
    assert {"internal_listener": {}} == {
        key: value
        for key, value in after["static_resources"]["listeners"][1].items()
        if key == "internal_listener"
    }
    assert ["envoy.bootstrap.internal_listener"] == [each["name"] for each in after["bootstrap_extensions"]]


def test_a_host_that_reaches_no_virtual_host_gets_one_that_ends_in_404():
    text = merged(shop(domains="shop.example.com"), "tools.example.com:10000").text
    added = manager(read_yaml(text))["route_config"]["virtual_hosts"][-1]

    assert (["tools.example.com:10000"], "none") == (added["domains"], added["routes"][-1]["name"])


def test_an_ext_authz_of_the_owner_keeps_its_name_and_ours_gets_another():
    theirs = """\
          - name: envoy.filters.http.ext_authz
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
              http_service: {server_uri: {uri: "http://127.0.0.1:1", cluster: api, timeout: 1s}}
"""
    text = SHOP.replace("          http_filters:\n", "          http_filters:\n" + theirs)
    out = merged(text).text
    found = diagnose(read_text(out, "f"), chain_for("shop.example.com")[1]).findings

    assert "mcp-authz" in [each["name"] for each in manager(read_yaml(out))["http_filters"]]
    assert [] == [each.check.id for each in found if each.check.severity is not Severity.HINT]


def test_a_route_that_already_leads_to_the_mcp_server_is_judged_and_the_table_says_so():
    text = SHOP.replace("port_value: 8081", "port_value: 8090")
    result = merged(text)
    found = diagnose(read_text(result.text, "f"), chain_for("shop.example.com")[1]).findings

    assert "route limited" in [effect.what for effect in result.effects]
    assert [] == [each.check.id for each in found if each.check.severity is not Severity.HINT]


def test_the_table_names_the_paths_that_are_taken_and_by_whom_they_were_served():
    text = SHOP.replace("{prefix: /public}\n", "{prefix: /mcp}\n", 1)
    rows = {effect.what: effect.before for effect in merged(text).effects}

    assert "route /mcp" == rows["/mcp at shop"]
    assert "404" == {effect.what: effect.before for effect in merged().effects}["/mcp at shop"]


def second(text, name="second", stat="second"):
    tree = read_yaml(text)
    (listener,) = tree["static_resources"]["listeners"]
    other = read_yaml(yaml.safe_dump(listener))
    other["name"] = name
    manager({"static_resources": {"listeners": [other]}})["stat_prefix"] = stat
    tree["static_resources"]["listeners"].append(other)
    return yaml.safe_dump(tree, sort_keys=False)


def test_of_several_listeners_one_is_chosen_by_name_or_by_stat_prefix():
    for name in ("edge", "stats"):
        tree = read_yaml(merged(second(SHOP, "edge", "stats"), listener=name).text)
        assert ["router", 8] == [
            manager(tree)["http_filters"][-1]["name"][-6:],
            len(manager(tree, 1)["http_filters"]) - 1,
        ]


REFUSED = [
    ("{}", {}, "shop.yaml: a JSON file has no room for comments"),
    (SHOP + "# a\u2028# b", {}, "a line break that is no newline"),
    ("a: 1\n", {}, "shop.yaml: is not a bootstrap with its listeners"),
    (SHOP + "---\na: 1\n", {}, "shop.yaml: has several documents"),
    (SHOP.replace("          stat_prefix: shop\n", "          stat_prefix: shop\n          stat_prefix: x\n", 1), {}, "stat_prefix appears twice"),
    (second(SHOP), {}, "2 connection managers serve the policy hosts (choose with --listener; there are: public, second, shop)"),
    (SHOP, {"listener": "none"}, "no listener or stat_prefix is named none (choose with --listener; there are: public, shop)"),
    (SHOP.replace("  - name: api\n    type", "  - name: rewriter\n    type"), {}, "a cluster named rewriter is there already"),
    (SHOP.replace("- name: envoy.filters.http.lua", "- name: mcp-rewrite"), {}, "a filter named mcp-rewrite is there already"),
    (second(SHOP).replace("port_value: 8081", "port_value: 8090"), {"listener": "public"}, "of listener second leads to an MCP server of the policy without ext_authz"),
    (SHOP.replace("port_value: 8081", "port_value: 8090"), {"isolate": True}, "leads to an MCP server of the policy without ext_authz (remove the route, or merge without --isolate)"),
    (second(SHOP, "mcp-authz"), {"isolate": True, "listener": "public"}, "a listener named mcp-authz is there already"),
    (SHOP.replace('          - name: envoy.filters.http.router\n            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}   # the last\n', ""), {}, "the last filter is not envoy.filters.http.router"),
    (SHOP, {"options": RenderOptions(rate=Rate(calls=1, seconds=1))}, "a filter named envoy.filters.http.local_ratelimit is there already"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "options", "said"), REFUSED, ids=[said[:40] for *_, said in REFUSED])
def test_what_cannot_be_done_safely_is_refused_by_name_and_line(text, options, said):
    with pytest.raises(ConfigError) as refused:
        merged(text, **options)

    assert said in str(refused.value.problems[0])


def test_routes_that_come_by_rds_are_refused_with_the_line():
    tree = read_yaml(SHOP)
    config = manager(tree)
    del config["route_config"]
    config["rds"] = {"route_config_name": "shop", "config_source": {"ads": {}}}
    with pytest.raises(ConfigError) as refused:
        merged(yaml.safe_dump(tree, sort_keys=False))

    assert "the routes of listener public are not in this file" in str(refused.value.problems[0])
    assert refused.value.problems[0].line > 1

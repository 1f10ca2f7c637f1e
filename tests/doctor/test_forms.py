"""The forms in which a configuration comes: config_dump of a real Envoy, LDS, RDS and CDS files, parts, wrappers."""

import copy
import json

import httpx
import pytest

from authz.demo.ports import free_port
from authz.doctor.diagnosis import diagnose
from authz.doctor.fix import fix
from authz.doctor.report import looked_at
from authz.doctor.source import read_text
from authz.render.bootstrap import filters
from tests.support.chains import SIDECAR
from tests.support.holes import AUTHZ, EXT, LUA, NAMED, PROC, Tree, ours
from tests.support.real_envoy import running_envoy
from tests.support.waiting import DEADLINE
from tests.support.yaml_text import read_yaml, write_yaml

TYPE = "type.googleapis.com/envoy."
LISTENER, ROUTES, CLUSTER = (
    f"{TYPE}config.{name}"
    for name in ("listener.v3.Listener", "route.v3.RouteConfiguration", "cluster.v3.Cluster")
)


def found(tree):
    """The ids of what is found in a tree, without hints."""
    diagnosis = diagnose(read_text(write_yaml(tree), "f"))
    return sorted({each.check.id for each in diagnosis.findings if each.check.severity != "hint"})


def answer(*resources):
    """What an xDS server or a file of it answers."""
    return {"version_info": "1", "resources": list(resources)}


@pytest.fixture
def tree():
    return Tree(ours())


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    """What a real Envoy says about itself, with one hole; its listener and clusters come by LDS and CDS."""
    directory = tmp_path_factory.mktemp("dump")
    tree = Tree(NAMED["authz failure mode allow true"].tree(ours()))
    admin, port = free_port(), free_port()
    (listener,) = tree.resources["listeners"]
    listener["address"]["socket_address"]["port_value"] = port
    for name, key, kind in (("lds", "listeners", LISTENER), ("cds", "clusters", CLUSTER)):
        resources = [{"@type": kind, **each} for each in tree.resources[key]]
        (directory / f"{name}.yaml").write_text(write_yaml(answer(*resources)))
    sources = {name: {"path_config_source": {"path": f"{directory}/{name}.yaml"}} for name in ("lds", "cds")}
    root = {
        "node": {"id": "a", "cluster": "b"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}},
        "dynamic_resources": {f"{name}_config": source for name, source in sources.items()},
    }
    with running_envoy(write_yaml(root), port, directory):
        text = httpx.get(f"http://127.0.0.1:{admin}/config_dump", trust_env=False, timeout=DEADLINE).text
    return text, write_yaml(root)


@pytest.mark.envoy
def test_of_a_config_dump_everything_is_seen_also_what_came_by_xds(dump):
    diagnosis = diagnose(read_text(dump[0], "dump.json"))

    assert ["authz-fail-open"] == [finding.check.id for finding in diagnosis.findings]
    assert ["6 filter(s), with ext_authz", "6 cluster(s)"] == [
        line.rpartition("route(s), ")[2] for line in looked_at(diagnosis.inventory)
    ]


@pytest.mark.envoy
def test_an_old_version_is_found_in_a_config_dump(dump):
    version = json.loads(dump[0])["configs"][0]["bootstrap"]["node"]["user_agent_build_version"]["version"]
    old = json.loads(dump[0])
    old["configs"][0]["bootstrap"]["node"]["user_agent_build_version"]["version"] = version | {
        "minor_number": 37
    }

    assert {"envoy-old", "authz-fail-open"} == {
        finding.check.id for finding in diagnose(read_text(json.dumps(old), "f")).findings
    }


@pytest.mark.envoy
def test_a_bootstrap_that_gets_everything_by_xds_is_not_called_clean(dump):
    assert ["not-seen"] == found(read_yaml(dump[1]))


def test_a_listener_alone_is_looked_at_and_its_clusters_are_not_seen(tree):
    (listener,) = tree.resources["listeners"]
    tree.authz["failure_mode_allow"] = True

    assert ["authz-fail-open", "not-seen"] == found(listener)
    assert ["authz-fail-open", "not-seen"] == found(answer({"@type": LISTENER, **listener}))


def test_a_connection_manager_alone_is_looked_at(tree):
    tree.authz["failure_mode_allow"] = True
    bare = {key: value for key, value in tree.manager.items() if key != "@type"}

    assert ["authz-fail-open", "not-seen"] == found(tree.manager)
    assert ["authz-fail-open", "not-seen"] == found(bare)


def test_routes_alone_are_looked_at_and_the_filters_are_not_seen(tree):
    table = tree.manager["route_config"]
    tree.route("mcp-demo")["typed_per_filter_config"][AUTHZ] = tree.route("metadata")[
        "typed_per_filter_config"
    ][AUTHZ]

    assert ["not-seen", "route-unguarded"] == found(table)
    assert ["not-seen", "route-unguarded"] == found(answer({"@type": ROUTES, **table}))


def test_clusters_alone_are_not_called_clean(tree):
    assert ["not-seen"] == found(answer(*({"@type": CLUSTER, **each} for each in tree.resources["clusters"])))


def test_routes_by_rds_are_seen_when_they_are_in_the_same_file(tree):
    table = tree.manager.pop("route_config")
    tree.manager["rds"] = {"route_config_name": table["name"], "config_source": {"ads": {}}}
    tree.route = None
    del next(
        route for host in table["virtual_hosts"] for route in host["routes"] if route["name"] == "mcp-demo"
    )["route"]["timeout"]
    listener = {"@type": LISTENER, **tree.resources["listeners"][0]}

    assert ["not-seen", "route-timeout"] == found(answer(listener, {"@type": ROUTES, **table}))


def test_the_filters_part_is_looked_at_as_a_whole():
    part = read_yaml(filters(SIDECAR))
    broken = copy.deepcopy(part)
    broken["http_connection_manager"]["normalize_path"] = False
    broken["http_filters"][1]["typed_config"]["failure_mode_allow"] = True
    del broken["virtual_hosts"][0]["routes"][1]["route"]["timeout"]
    del broken["clusters"][1]["health_checks"]

    assert [] == found(part)
    assert ["authz-fail-open", "cluster-health", "path-normalisation", "route-timeout"] == found(broken)
    assert [] == found(fix(read_text(write_yaml(broken), "f"))[1].source.tree)


def test_filters_in_a_typed_struct_are_looked_into(tree):
    for typed in (tree.filters[tree.place(AUTHZ)], tree.wrapper):
        config = typed["typed_config"]
        url = config.pop("@type")
        typed["typed_config"] = {
            "@type": "type.googleapis.com/xds.type.v3.TypedStruct",
            "type_url": url,
            "value": config,
        }
    assert [] == found(tree.root)
    tree.filters[tree.place(AUTHZ)]["typed_config"]["value"]["failure_mode_allow"] = True

    assert ["authz-fail-open"] == found(tree.root)


def test_the_composite_filters_own_matcher_will_do_too(tree):
    inner = tree.wrapper["typed_config"]
    composite = inner["extension_config"]["typed_config"] | {"matcher": inner["xds_matcher"]}
    tree.filters[tree.place("mcp-rewrite")]["typed_config"] = composite

    assert [] == found(tree.root)


def test_every_listener_and_every_filter_chain_is_looked_at(tree):
    second, third = (copy.deepcopy(tree.resources["listeners"][0]) for _ in range(2))
    second["name"], third["name"] = "second", "third"
    third["default_filter_chain"] = third.pop("filter_chains")[0]
    tree.resources["listeners"] += [second, third]
    assert [] == found(tree.root)
    for chain in (second["filter_chains"][0], third["default_filter_chain"]):
        chain["filters"][0]["typed_config"]["http_filters"][1]["typed_config"]["failure_mode_allow"] = True
    diagnosis = diagnose(read_text(write_yaml(tree.root), "f"))

    assert 2 == len([each for each in diagnosis.findings if each.check.id == "authz-fail-open"])
    assert 4 == len(looked_at(diagnosis.inventory))


def test_a_listener_that_leads_elsewhere_is_not_our_business(tree):
    other = copy.deepcopy(tree.resources["listeners"][0])
    manager = other["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"] = manager["http_filters"][-1:]
    manager["route_config"] = {
        "virtual_hosts": [
            {
                "name": "shop",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "shop"}}],
            }
        ]
    }
    tree.resources["listeners"].append(other)

    assert [] == found(tree.root)


HARMLESS = {
    "local_ratelimit": "local_ratelimit.v3.LocalRateLimit",
    "rbac": "rbac.v3.RBAC",
    "ratelimit": "ratelimit.v3.RateLimit",
    "fault": "fault.v3.HTTPFault",
    "compressor": "compressor.v3.Compressor",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_filter_that_changes_no_request_may_stand_anywhere(tree, name):
    config = {"@type": f"{EXT}.filters.http.{HARMLESS[name]}"}
    for at in (0, 2, 5):
        tree.filters.insert(at, {"name": f"envoy.filters.http.{name}", "typed_config": dict(config)})

    assert [] == found(tree.root)


@pytest.mark.parametrize("name", ["lua", "jwt_authn", "mcp", "header_mutation", "ext_proc"])
def test_a_filter_that_changes_requests_may_stand_before_ext_authz(tree, name):
    lua = copy.deepcopy(LUA)
    lua["typed_config"]["@type"] = lua["typed_config"]["@type"].replace("lua.v3.Lua", f"{name}.v3.X")
    lua["name"] = f"own-{name}"
    tree.filters.insert(0, lua)

    assert [] == found(tree.root)


def test_of_two_ext_authz_filters_the_one_that_gets_bodies_is_ours(tree):
    other = {
        "@type": f"{EXT}.filters.http.ext_authz.v3.ExtAuthz",
        "http_service": {},
        "failure_mode_allow": True,
    }
    tree.filters.insert(0, {"name": "sso", "typed_config": other})
    tree.filters.insert(4, {"name": "quota", "typed_config": dict(other)})

    assert [] == found(tree.root)


def test_of_two_documents_the_first_is_read_and_the_other_is_not_called_clean(tree):
    text = write_yaml(tree.root) + "---\nadmin: {address: {socket_address: {address: 0.0.0.0}}}\n"

    assert ["not-seen"] == [each.check.id for each in diagnose(read_text(text, "f")).findings]


def test_a_field_in_both_spellings_is_named(tree):
    tree.authz["failureModeAllow"] = True

    assert ["key-repeated"] == found(tree.root)


def test_two_places_that_share_an_anchor_are_changed_apart():
    authz = "&a {pack_as_bytes: true, max_request_bytes: 5, allow_partial_message: true}"
    config = f"{{'@type': {EXT}.filters.http.ext_authz.v3.ExtAuthz, with_request_body: {authz}}}"
    text = f"http_filters:\n- {{name: x, typed_config: {config}}}\nother: *a\n"
    _, after = fix(read_text(text, "f"))

    assert not after.source.tree["http_filters"][0]["typed_config"]["with_request_body"][
        "allow_partial_message"
    ]
    assert after.source.tree["other"]["allow_partial_message"]


def test_a_file_without_a_rewriters_cluster_gets_a_copy_of_the_services(tree):
    tree.filters.remove(tree.wrapper)
    tree.resources["clusters"].remove(tree.cluster("rewriter"))
    _, after = fix(read_text(write_yaml(tree.root), "f"))
    mended = Tree(after.source.tree)

    assert [] == list(after.findings)
    assert tree.cluster("authz") | {"name": "rewriter"} == mended.cluster("rewriter") | {
        "load_assignment": tree.cluster("authz")["load_assignment"]
    }
    assert [AUTHZ, "mcp-unjudged", "mcp-rewrite"] == [each["name"] for each in mended.filters[1:4]]
    assert PROC == mended.rule["on_match"]["action"]["typed_config"]["typed_config"]["name"]

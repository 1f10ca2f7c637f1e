"""With a policy, the doctor tells the routes of MCP from those of other work, and leaves the latter as they are."""

import pytest
import yaml

from authz.doctor.diagnosis import diagnose
from authz.doctor.fix import fix
from authz.doctor.source import read_text
from authz.render.bootstrap import bootstrap
from tests.support.chains import SEVERAL, _policy
from tests.support.shared_holes import AUTHZ, HINT, JWT, SHARED_HOLES, beside

EACH = pytest.mark.parametrize("hole", SHARED_HOLES, ids=lambda hole: hole.name)
OTHERS = ("api", "shop")


@pytest.fixture(scope="module")
def policy():
    return _policy("one-server")


def source(tree):
    return read_text(yaml.safe_dump(tree, sort_keys=False), "envoy.yaml")


def ids(findings):
    return sorted({finding.check.id for finding in findings} - {HINT})


def routes(tree):
    """The routes of the other work, as they stand."""
    (listener,) = tree["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    table = manager["route_config"]
    others = [each for host in table["virtual_hosts"] for each in host["routes"] if each["name"] in OTHERS]
    return table["typed_per_filter_config"], manager.get("upgrade_configs"), others


@EACH
def test_what_is_wrong_is_found_and_what_closes_it_changes_no_other_route(policy, hole):
    broken = source(hole.tree())
    closed, after = fix(broken, policy)

    assert sorted(hole.finds) == ids(diagnose(broken, policy).findings)
    assert sorted(hole.left) == ids(after.findings)
    assert set(hole.finds) - set(hole.left) - {"front-may-change"} == set(ids(closed))
    assert routes(broken.tree) == routes(after.source.tree) or "cluster of another name" in hole.name


def test_the_opt_out_of_another_route_is_a_hint_that_says_which_and_stays():
    found = [
        each for each in diagnose(source(beside()), _policy("one-server")).findings if each.check.id == HINT
    ]

    assert ["on shop, api"] == [each.hit.detail for each in found]
    assert [()] == [each.hit.edits for each in found]


def test_what_takes_the_token_is_switched_off_on_the_mcp_route_alone(policy):
    hole = next(each for each in SHARED_HOLES if each.name == "jwt authn runs on the mcp route")
    tree = fix(source(hole.tree()), policy)[1].source.tree
    (listener,) = tree["static_resources"]["listeners"]
    table = listener["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]
    with_it = [
        each["name"]
        for host in table["virtual_hosts"]
        for each in host["routes"]
        if JWT in each.get("typed_per_filter_config", {})
    ]

    assert ["mcp-demo-preflight", "mcp-demo"] == with_it


def test_a_judged_route_that_nobody_answers_is_named_with_what_becomes_of_it(policy):
    hole = next(each for each in SHARED_HOLES if each.name == "the api is judged too")
    said = [each.hit.detail for each in diagnose(source(hole.tree()), policy).findings]

    assert "route api to api: all of it is 403" in said


def test_without_a_policy_every_opt_out_is_an_error():
    found = [each.check.id for each in diagnose(source(beside())).findings]

    assert "route-unguarded" in found
    assert AUTHZ in source(beside()).text


def test_a_route_that_sends_one_servers_path_to_anothers_endpoint_is_named():
    tree = yaml.safe_load(bootstrap(SEVERAL))
    policy = _policy("several-servers")
    untouched = ids(diagnose(source(tree), policy).findings)
    (listener,) = tree["static_resources"]["listeners"]
    table = listener["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]
    found = {each["name"]: each for host in table["virtual_hosts"] for each in host["routes"]}
    found["mcp-files"]["route"] |= {"cluster": "mcp-search", "prefix_rewrite": "/mcp"}
    added = [
        each for each in diagnose(source(tree), policy).findings if each.check.id == "route-rewrites-path"
    ]

    assert "route-rewrites-path" not in untouched
    assert ["route mcp-files sends it to /mcp, which is another server's"] == [
        each.hit.detail for each in added if "mcp-files" in each.hit.detail
    ]

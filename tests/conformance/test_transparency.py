"""The official conformance suite finds no difference between an MCP server and the same server behind Envoy."""

import pytest
import yaml

from tests.conformance.guarded import start
from tests.conformance.suite import REQUIREMENTS, differences, run_suite, table
from tests.support.node import node_or_skip
from tests.support.running import shared_stack


@pytest.fixture(scope="module")
def node():
    return node_or_skip()


@pytest.fixture(scope="module")
def stack(node, pytestconfig):
    return shared_stack(pytestconfig)


@pytest.fixture(scope="module")
def ways(stack):
    return start(stack)


def _required(node, revision):
    """The scenarios of a requirement set."""
    file = node.modules / "@modelcontextprotocol/conformance/requirements" / f"{revision}.yaml"
    asked = yaml.safe_load(file.read_text("utf-8"))
    unscored = {row["scenario"] for row in asked["not_scored"] if row["leg"] == "server"}
    return {*asked["server"]} | unscored


@pytest.mark.envoy
@pytest.mark.parametrize("revision", REQUIREMENTS)
def test_every_check_goes_the_same_way_directly_and_through_envoy(node, ways, tmp_path, revision):
    asked = ("--requirements", revision)

    direct = run_suite(node, ways.direct, tmp_path / "direct", *asked)
    guarded = run_suite(node, ways.guarded, tmp_path / "guarded", *asked)

    assert 0 == direct.status, direct.output
    assert _required(node, revision) == {*direct.scenarios}
    changed = differences(direct, guarded)
    assert [] == changed, table(changed)
    assert 0 == guarded.status, guarded.output


@pytest.mark.envoy
def test_a_policy_that_denies_one_prompt_is_seen_as_a_difference(node, stack, ways, tmp_path):
    """So the comparison can fail."""
    deny = '      - deny: {prompts: ["test_simple_prompt"]}\n'
    denying = start(stack, "denying", edit=lambda policy: policy + deny)

    direct, guarded = (
        run_suite(node, url, tmp_path / name, "--scenario", "prompts-get-simple")
        for name, url in (("direct", ways.direct), ("guarded", denying.guarded))
    )

    assert {"prompts-get-simple"} == {row.scenario for row in differences(direct, guarded)}
    assert 0 == direct.status
    assert 0 != guarded.status

import pytest

from tests.config.agentgateway.test_documents import TWO, backend, bound, open_tools, rules_only
from tests.support.policy_files import POLICY, problems

REFUSED = {
    "a backend that is not there": (
        bound("AgentgatewayBackend", "flies") + backend(),
        ["FILE:5: spec.targetRefs[0]: no AgentgatewayBackend flies is in this stream (add its document)"],
    ),
    "two backends by name and none there": (
        bound("AgentgatewayBackend", "a") + rules_only("AgentgatewayBackend", "b", "other"),
        [
            (
                "FILE:24: spec.targetRefs[0]: AgentgatewayBackend a is targeted too, and what is behind each is not"
                " known (split the file)"
            )
        ],
    ),
    "two gateways": (
        POLICY + rules_only("Gateway", "second", "other"),
        [
            (
                "FILE:24: spec.targetRefs[0]: Gateway gateway is targeted too, and what is behind each is not known"
                " (split the file)"
            )
        ],
    ),
    "two routes": (
        bound("HTTPRoute", "a") + rules_only("HTTPRoute", "b", "other"),
        [
            (
                "FILE:24: spec.targetRefs[0]: HTTPRoute a is targeted too, and what is behind each is not known"
                " (split the file)"
            )
        ],
    ),
    "a route before two backends": (
        bound("HTTPRoute", "to-a") + TWO,
        [
            (
                "FILE:5: spec.targetRefs[0]: which of the backends are behind HTTPRoute to-a is not known"
                " (target a backend or the Gateway)"
            )
        ],
    ),
    "tokens for one of two backends": (
        bound("AgentgatewayBackend", "a") + TWO,
        [
            (
                "FILE:5: spec.targetRefs[0]: traffic would count for every backend"
                " (target the Gateway, or split the file)"
            )
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.values(), ids=REFUSED)
def test_an_attachment_that_cannot_be_followed_is_refused_with_its_cure(text, expected):
    assert expected == problems(text)


FOLLOWED = {
    "one Gateway for both": (POLICY + TWO, {"one": {"echo"}, "two": {"echo"}}),
    "a rule for each": (
        POLICY.replace('            - mcp.tool.name == "echo"', "            - 'false'")
        + rules_only("AgentgatewayBackend", "a", "echo")
        + rules_only("AgentgatewayBackend", "b", "other")
        + TWO,
        {"one": {"echo"}, "two": {"other"}},
    ),
}


@pytest.mark.parametrize(("text", "expected"), FOLLOWED.values(), ids=FOLLOWED)
def test_a_policy_applies_to_its_backend_or_to_all_behind_the_gateway(text, expected):
    assert expected == open_tools(text)

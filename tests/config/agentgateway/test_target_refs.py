import pytest

from tests.config.agentgateway.test_documents import TWO, backend, bound, open_tools, route, rules_only
from tests.support.policy_files import POLICY, problems, settings


def for_route(name, audience):
    """Give a policy for the route to a backend, with an audience of its own."""
    text = bound("HTTPRoute", f"to-{name}").replace("name: guard", f"name: for-{name}")
    return "---\n" + text.replace("[https://mcp.example/mcp]", f"[{audience}]").replace('"echo"', f'"{name}"')


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
    "tokens for one of two routes": (
        bound("HTTPRoute", "to-a") + TWO,
        [
            (
                "FILE:5: spec.targetRefs: no policy verifies tokens for two, so anyone would get in"
                " (target its route or the Gateway with traffic.jwtAuthentication)"
            )
        ],
    ),
    "a route that is not there": (
        bound("HTTPRoute", "to-c") + TWO,
        [
            (
                "FILE:5: spec.targetRefs[0]: no HTTPRoute to-c in this stream leads to an MCP backend"
                " (add its document)"
            )
        ],
    ),
    "a route before two backends without their routes": (
        bound("HTTPRoute", "to-a") + backend("a", "one") + backend("b", "two"),
        [
            (
                "FILE:5: spec.targetRefs[0]: which of the backends are behind HTTPRoute to-a is not known"
                " (target a backend or the Gateway)"
            ),
            "FILE: servers one and two both answer at */mcp (route them by different hosts or paths)",
        ],
    ),
    "two routes to one target that a rule names": (
        POLICY.replace('mcp.tool.name == "echo"', 'mcp.tool.target == "one"')
        + backend("a", "one")
        + route("a", "/a")
        + route("a", "/b").replace("to-a", "to-b"),
        [
            (
                "FILE: two routes lead to one, and a rule compares the name of the target"
                " (give each route a backend of its own)"
            )
        ],
    ),
    "other keys for one issuer": (
        for_route("a", "one-api") + for_route("b", "two-api").replace("jwks.json", "other.json") + TWO,
        [
            "FILE: two policies name different keys for https://issuer.example/ (name the same in both)",
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


def test_two_routes_have_a_policy_each_with_audiences_and_rules_of_their_own():
    given = settings(for_route("a", "one-api") + for_route("b", "two-api") + TWO)

    assert {"one": ({"one-api"}, {"a"}), "two": ({"two-api"}, {"b"})} == {
        server.name: (
            {name for terms in server.issuers.values() for name in terms.audiences},
            {
                name
                for rule in server.policy.rules
                for names in rule.selector.exact.values()
                for name in names
            },
        )
        for server in given.directory.servers
    }
    assert ["https://issuer.example/"] == list(given.keys)


def test_two_routes_to_one_backend_are_two_servers():
    text = for_route("a", "one-api") + for_route("b", "two-api") + backend("a", "one")
    given = settings(text + route("a", "/a") + route("a", "/b").replace("to-a", "to-b"))

    assert {"one-to-a": ("/a", {"one-api"}), "one-to-b": ("/b", {"two-api"})} == {
        server.name: (server.path, {name for terms in server.issuers.values() for name in terms.audiences})
        for server in given.directory.servers
    }


def test_the_kinds_of_the_commercial_distribution_are_read_alike():
    free = (
        for_route("a", "one-api")
        + rules_only("AgentgatewayBackend", "a", "other")
        + backend("a", "one")
        + route("a")
    )
    sold = free.replace("kind: Agentgateway", "kind: EnterpriseAgentgateway").replace(
        "agentgateway.dev/v1alpha1", "enterpriseagentgateway.solo.io/v1alpha1"
    )

    assert [open_tools(free)] * 2 == [open_tools(sold), {"one": {"other"}}]


def test_the_commercial_kind_with_the_free_version_is_refused():
    text = POLICY.replace("kind: Agentgateway", "kind: EnterpriseAgentgateway")

    assert [
        "FILE:1: apiVersion: another version may mean something else (use enterpriseagentgateway.solo.io/v1alpha1)"
    ] == problems(text)

import pytest

from authz.config.problems import ConfigError
from authz.core.identity.principal import Caller
from authz.core.policy.context import EvaluationContext
from authz.core.reasons import Reason
from authz.core.request import HttpRequest
from tests.support.policy_files import NATIVE, POLICY, principal, problems, settings, tool, warnings

GATEWAY = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gateway}\n"
TRAFFIC = POLICY[POLICY.index("  traffic:") : POLICY.index("  backend:")]
GATEWAY_REF = POLICY.splitlines()[4]


def backend(name="files", target="tools", static="host: mcp.internal, port: 8080, path: /mcp", spec=""):
    return (
        "---\napiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayBackend\n"
        f"metadata: {{name: {name}}}\nspec: {{mcp: {{targets: [{{name: {target}, static: {{{static}}}}}]}}{spec}}}\n"
    )


def route(name="files", path="/files", hosts="[MCP.example]"):
    return (
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
        f"metadata: {{name: to-{name}}}\nspec: {{hostnames: {hosts}, rules: [{{matches: [{{path: {{value: {path}}}}}],"
        f" backendRefs: [{{name: {name}}}]}}]}}\n"
    )


def bound(kind, name, *, text=POLICY):
    return text.replace(GATEWAY_REF, f"  targetRefs: [{{kind: {kind}, name: {name}}}]")


def rules_only(kind, name, tool):
    text = bound(kind, name).replace(TRAFFIC, "").replace("name: guard", f"name: for-{name}")
    return "---\n" + text.replace('"echo"', f'"{tool}"')


TWO = backend("a", "one") + backend("b", "two") + route("a", "/a") + route("b", "/b")


def served(text, **options):
    return {
        server.name: (sorted(server.hosts), server.path, server.resource)
        for server in settings(text, **options).directory.servers
    }


def open_tools(text):
    """Give, by server, which of the tools `echo` and `other` its policy would allow."""
    return {
        server.name: {name for name in ("echo", "other") if judged(server, name) is Reason.ALLOWED}
        for server in settings(text).directory.servers
    }


def judged(server, name):
    request = HttpRequest(method="POST", host="h", path="/", headers={})
    context = EvaluationContext(Caller.of(principal(), server.name), request, "tools/call", {})
    return server.policy.judge(context, tool(name)).reason


def test_without_backend_and_route_the_server_is_the_policy_at_any_host():
    assert {"guard": (["*"], "/mcp", "")} == served(POLICY)
    assert {"guard": (["*"], "/mcp", "https://mcp.example/mcp")} == served(
        POLICY, resource="https://mcp.example/mcp"
    )


def test_backend_route_and_gateway_in_the_same_stream_say_where_the_server_is():
    text = POLICY + GATEWAY + backend() + route()

    assert {"tools": (["mcp.example"], "/files", "")} == served(text)
    assert {"tools": "http://mcp.internal:8080/mcp"} == settings(text).upstreams
    assert [] == warnings(text)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (backend(), (["*"], "/mcp", "")),
        (backend() + route(path="/"), (["mcp.example"], "/mcp", "")),
        (backend() + route(hosts="[]"), (["*"], "/files", "")),
        (backend() + route(name="other"), (["*"], "/mcp", "")),
    ],
    ids=["no route", "root", "no host", "a route to another"],
)
def test_what_a_route_does_not_say_has_the_default(more, expected):
    assert {"tools": expected} == served(POLICY + more)


def test_documents_may_come_in_any_order_with_empty_ones_between():
    text = "---\n" + route().removeprefix("---\n") + "---\n" + backend() + GATEWAY + "---\n---\n" + POLICY

    assert {"tools": (["mcp.example"], "/files", "")} == served(text)


def test_what_is_not_about_access_is_not_read_and_a_warning_says_so():
    text = POLICY + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"

    assert ["FILE:20: ConfigMap is not read"] == warnings(text)


class TestAPolicyCountsForWhatItIsAttachedTo:
    def test_a_policy_for_a_backend_guards_the_only_server_even_without_the_backend_s_document(self):
        assert {"guard": {"echo"}} == open_tools(bound("AgentgatewayBackend", "files"))

    @pytest.mark.parametrize("kind", ["Gateway", "HTTPRoute", "AgentgatewayBackend"])
    def test_a_policy_guards_the_only_server_whatever_it_is_attached_to(self, kind):
        assert {"tools": {"echo"}} == open_tools(bound(kind, "files") + backend())

    def test_rules_for_one_of_two_backends_do_not_open_the_other(self):
        text = POLICY + TWO + rules_only("AgentgatewayBackend", "a", "other")

        assert {"one": {"echo", "other"}, "two": {"echo"}} == open_tools(text)

    def test_rules_for_each_of_two_backends_stay_apart(self):
        text = POLICY.split("  backend:")[0] + TWO
        text += rules_only("AgentgatewayBackend", "a", "echo") + rules_only(
            "AgentgatewayBackend", "b", "other"
        )

        assert {"one": {"echo"}, "two": {"other"}} == open_tools(text)

    def test_a_policy_for_a_backend_and_the_gateway_counts_for_every_server(self):
        refs = "  targetRefs: [{kind: AgentgatewayBackend, name: a}, {kind: Gateway, name: gateway}]"
        second = rules_only("Gateway", "gateway", "other").replace(
            "  targetRefs: [{kind: Gateway, name: gateway}]", refs
        )

        assert {"one": {"echo", "other"}, "two": {"echo", "other"}} == open_tools(POLICY + TWO + second)


UNREAD = (
    "mcp-authz does not act on this key, and it may decide who gets in (remove it, or enforce it elsewhere)"
)
ONE_TARGET = (
    "one target is needed: several behind one endpoint are multiplexed by agentgateway, not by Envoy"
    " (split the backend)"
)
PLACE = "FILE:24: spec.mcp.targets"

REFUSED = {
    "two servers at one place": (
        POLICY + backend("a", "one") + backend("b", "two"),
        ["FILE: servers one and two both answer at */mcp (route them by different hosts or paths)"],
    ),
    "two servers with one name": (
        POLICY + TWO.replace("name: two", "name: one"),
        ["FILE: two targets are named one (give them different names)"],
    ),
    "a backend with policies of its own": (
        POLICY + backend(spec=", policies: {mcp: {authorization: {}}}"),
        [f"FILE:23: spec.policies: {UNREAD}"],
    ),
    "a target with policies of its own": (
        POLICY + backend(static="host: h, policies: {auth: {}}"),
        [f"FILE:23: spec.mcp.targets[0].static.policies: {UNREAD}"],
    ),
    "two targets": (
        POLICY + backend().replace("targets: [", "targets: [{name: x}, "),
        [f"FILE:23: spec.mcp.targets: {ONE_TARGET}"],
    ),
    "targets of the wrong type": (
        POLICY
        + "---\napiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayBackend\nspec: {mcp: {targets: x}}\n",
        [f"FILE:22: spec.mcp.targets: {ONE_TARGET}"],
    ),
    "a path that Envoy rewrites": (
        POLICY + backend() + route(path="/a/../b"),
        [
            (
                "FILE:20: the HTTPRoute to files has a path that Envoy does not see as written:"
                " a plain absolute path is needed, as in /mcp"
            )
        ],
    ),
    "an upstream that is no URL": (
        POLICY + backend(static="host: 'mcp internal'"),
        ["FILE:23: spec.mcp.targets[0].static: an absolute URL is needed, as in https://example.com/mcp"],
    ),
    "no policy": (
        backend().removeprefix("---\n"),
        ["FILE: holds no AgentgatewayPolicy (add one)"],
    ),
    "a native file in the stream": (
        POLICY + "---\n" + NATIVE,
        ["FILE:20: a document without a kind (keep Kubernetes documents and native files apart)"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_stream_that_does_not_say_which_server_a_policy_is_about_is_refused(text, expected):
    assert expected == problems(text)


PARTS = (
    "[MCP.example]",
    "[{path: {value: /files}}]",
    "[{name: files}]",
    "{value: /files}",
    "{name: to-files}",
)
ODD = [
    backend(static="host: 5, port: x"),
    backend().replace("{name: tools, static: {host: mcp.internal, port: 8080, path: /mcp}}", "word"),
    backend().replace("static: {host: mcp.internal, port: 8080, path: /mcp}", "static: word"),
    *[
        backend() + route().replace(part, odd)
        for part in PARTS
        for odd in ("5", "word", "{a: b}", "[5]", "null")
    ],
]


@pytest.mark.parametrize("more", ODD)
def test_odd_values_in_backends_and_routes_are_read_or_refused_without_a_crash(more):
    servers, found = (), ()
    try:
        servers = settings(POLICY + more).directory.servers
    except ConfigError as error:
        found = error.problems

    assert (len(servers), bool(found)) in {(1, False), (0, True)}

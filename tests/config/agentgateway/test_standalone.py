import json

import pytest

from authz.core.identity.principal import Caller
from authz.core.mcp.item import Item, Kind
from authz.core.policy.context import EvaluationContext
from authz.core.reasons import Reason
from authz.core.request import HttpRequest
from tests.support import tokens
from tests.support.policy_files import principal, problems, settings, warnings

JWT = """\
jwtAuth:
  mode: strict
  issuer: https://issuer.example/
  audiences: [https://mcp.example/mcp]
  jwks: {url: https://issuer.example/jwks.json}
"""
RULES = """\
mcpAuthorization:
  rules:
    - 'mcp.tool.name == "echo"'
    - allow: 'jwt.sub == "alice" && mcp.tool.name == "add"'
    - deny: 'has(jwt.banned)'
    - require: 'jwt.sub != "eve"'
"""


def indented(text, by):
    return "".join(f"{' ' * by}{line}\n" for line in text.splitlines())


def simple(policies=JWT + RULES, target="{name: tools, mcp: {host: http://10.0.0.1:3001/mcp}}", more=""):
    """Give a file of the short form."""
    return f"{more}mcp:\n  port: 3000\n  policies:\n{indented(policies, 4)}  targets:\n    - {target}\n"


def route(name, path, policies, target="{name: NAME, mcp: {host: 10.0.0.1, port: 8080}}"):
    head = f"- name: {name}\n  hostnames: [MCP.example]\n  matches:\n    - path: {{pathPrefix: {path}}}\n"
    head += f"    - path: {{exact: /.well-known/oauth-protected-resource{path}}}\n  policies:\n"
    end = f"  backends:\n    - mcp:\n        targets:\n          - {target.replace('NAME', name)}\n"
    return head + indented(policies, 4) + end


def bound(*routes, listener=""):
    """Give a file with routes."""
    return (
        f"binds:\n  - port: 3000\n    listeners:\n      - name: default\n{indented(listener, 8)}        routes:\n"
        + "".join(indented(each, 10) for each in routes)
    )


def allowed(given, tool, who=None, server=0):
    server = given.directory.servers[server]
    request = HttpRequest(method="POST", host="h", path="/", headers={})
    context = EvaluationContext(Caller.of(who or principal(), server.name), request, "tools/call", {})
    return server.policy.judge(context, Item(Kind.TOOL, tool)).reason is Reason.ALLOWED


def test_the_short_form_is_one_server_with_its_terms_and_rules():
    given = settings(simple())
    (server,) = given.directory.servers
    (terms,) = server.issuers.values()

    assert ("tools", {"*"}, "/mcp", "") == (server.name, server.hosts, server.path, server.resource)
    assert ("https://issuer.example/", {"https://mcp.example/mcp"}) == (terms.issuer, terms.audiences)
    assert "https://issuer.example/jwks.json" == given.keys["https://issuer.example/"].jwks_uri
    assert {"tools": "http://10.0.0.1:3001/mcp"} == given.upstreams
    assert [] == [warning for warning in warnings(simple()) if "has(jwt.banned)" not in warning]


@pytest.mark.parametrize(
    ("tool", "claims", "expected"),
    [
        ("echo", {}, True),
        ("add", {"sub": "alice"}, True),
        ("add", {"sub": "bob"}, False),
        ("other", {}, False),
        ("echo", {"banned": True}, False),
        ("echo", {"sub": "eve"}, False),
    ],
)
def test_rules_mean_what_they_mean_in_documents(tool, claims, expected):
    assert expected == allowed(settings(simple()), tool, principal(**claims))


def test_routes_have_policies_of_their_own_and_those_of_their_listener():
    other = JWT.replace("https://mcp.example/mcp", "other-api")
    rules = "mcpAuthorization: {rules: ['mcp.tool.name == \"NAME\"']}\n"
    text = bound(
        route("one", "/one", JWT + rules.replace("NAME", "a")),
        route("two", "/two", other + rules.replace("NAME", "b")),
        listener="hostname: ignored.example\npolicies:\n  mcpAuthorization:\n    rules:\n      - deny: 'jwt.sub == \"eve\"'\n",
    )
    given = settings(text)

    assert [("one", "/one", {"mcp.example"}), ("two", "/two", {"mcp.example"})] == [
        (server.name, server.path, server.hosts) for server in given.directory.servers
    ]
    assert [{"https://mcp.example/mcp"}, {"other-api"}] == [
        {name for terms in server.issuers.values() for name in terms.audiences}
        for server in given.directory.servers
    ]
    assert [[True, False], [False, True]] == [
        [allowed(given, tool, server=server) for tool in "ab"] for server in (0, 1)
    ]
    assert not allowed(given, "a", principal(sub="eve"))
    assert {"one": "http://10.0.0.1:8080/mcp", "two": "http://10.0.0.1:8080/mcp"} == given.upstreams


def test_targets_of_one_name_are_told_apart_by_their_routes():
    same = "{name: same, mcp: {host: http://10.0.0.1/mcp}}"
    given = settings(bound(route("one", "/one", JWT + RULES, same), route("two", "/two", JWT + RULES, same)))

    assert ["same-one", "same-two"] == [server.name for server in given.directory.servers]


def test_mcp_authentication_brings_the_public_url_and_is_strict_by_itself():
    policies = """\
mcpAuthentication:
  issuer: https://issuer.example/
  audiences: [https://mcp.example/mcp]
  provider: {auth0: {}}
  resourceMetadata:
    resource: https://mcp.example/mcp
    scopesSupported: [read:all, offline_access]
    resourceDocumentation: https://mcp.example/docs
"""
    (server,) = settings(simple(policies + RULES)).directory.servers

    assert ("https://mcp.example/mcp", ("read:all",), "https://mcp.example/docs", frozenset()) == (
        server.resource,
        server.scopes,
        server.documentation,
        server.anonymous,
    )
    assert any(
        "provider: not acted on: clients go to the issuer" in each
        for each in warnings(simple(policies + RULES))
    )


def test_keys_may_stand_in_the_file_or_beside_it(tmp_path):
    keys = json.dumps({"keys": [tokens.jwk(tokens.rsa_key(), use="sig", alg="RS256")]})
    (tmp_path / "keys.json").write_text(keys)
    for form in (repr(keys), f"{{file: {tmp_path}/keys.json}}"):
        policies = JWT.replace("{url: https://issuer.example/jwks.json}", form).replace(
            "https://issuer.example/", "issuer"
        )
        given = settings(simple(policies + RULES))

        assert json.loads(keys) == json.loads(given.keys["issuer"].inline)


UNREAD = (
    "mcp-authz does not act on this key, and it may decide who gets in (remove it, or enforce it elsewhere)"
)
REFUSED = {
    "a mode that lets callers without a token in": (
        simple(JWT.replace("  mode: strict\n", "") + RULES),
        "FILE:4: mcp.policies.jwtAuth.mode: only strict keeps callers without a token out",
    ),
    "no token at all": (
        simple(RULES),
        "FILE:1: mcp: nothing verifies tokens for tools, so anyone would get in",
    ),
    "another way in": (simple(JWT + "apiKey: {keys: []}\n"), f"FILE:9: mcp.policies.apiKey: {UNREAD}"),
    "rules for http": (
        simple(JWT + "authorization: {rules: ['true']}\n"),
        f"FILE:9: mcp.policies.authorization: {UNREAD}",
    ),
    "policies that are attached elsewhere": (simple(more="policies: []\n"), f"FILE:1: policies: {UNREAD}"),
    "several targets": (
        simple(target="{name: a, stdio: {cmd: x}}\n    - {name: b, stdio: {cmd: x}}"),
        "FILE:15: mcp.targets: one target is needed: several behind one endpoint are multiplexed by agentgateway",
    ),
    "an API that is no MCP server": (
        simple(target="{name: a, openapi: {host: h, schema: {file: x}}}"),
        "FILE:16: mcp.targets[0].openapi: agentgateway translates OpenAPI into tools, and Envoy does not",
    ),
    "a target with policies": (
        simple(target="{name: a, mcp: {host: http://h/mcp}, policies: {backendAuth: {}}}"),
        f"FILE:16: mcp.targets[0].policies: {UNREAD}",
    ),
    "a rule of an unknown kind": (
        simple(JWT + "mcpAuthorization: {rules: [{permit: 'true'}]}\n"),
        "FILE:9: mcp.policies.mcpAuthorization.rules[0]: unknown rule (write an expression, or one of allow, deny and",
    ),
    "a function that is not to be had": (
        simple(JWT + "mcpAuthorization:\n  rules:\n    - 'true'\n    - 'json(jwt.sub).a == 1'\n"),
        "FILE:12: mcp.policies.mcpAuthorization.rules[1]: there is no function json: claims and arguments are values",
    ),
    "a match by header": (
        bound(route("one", "/one", JWT).replace("- path:", "- headers: []\n      path:", 1)),
        "routes[0].matches[0].headers: routes are told apart by host and path alone (remove it)",
    ),
    "a match by pattern": (
        bound(route("one", "/one", JWT).replace("pathPrefix: /one", "regex: /o.*", 1)),
        "routes[0].matches[0].path: exact or pathPrefix is needed (write the path itself)",
    ),
    "keys that are not there": (
        simple(JWT.replace("{url: https://issuer.example/jwks.json}", "{file: absent.json}")),
        "FILE:8: mcp.policies.jwtAuth.jwks.file: no file absent.json can be read beside this one",
    ),
    "no MCP at all": (
        "binds:\n  - listeners:\n      - routes:\n          - backends: [{host: example.com:80}]\n",
        "FILE:1: binds: no route leads to an MCP backend (add one with mcp and its targets",
    ),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_honoured_is_refused_by_line_and_name(text, expected):
    assert any(expected in found for found in problems(text)), problems(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (simple(JWT + RULES, "{name: tools, stdio: {cmd: npx}}"), "stdio: agentgateway starts this server"),
        (simple(JWT + "backendAuth: {passthrough: {}}\n" + RULES), "backendAuth: not acted on by mcp-authz"),
        (simple(more="ui: {}\n"), "FILE:1: ui: not read by mcp-authz"),
        (simple(JWT), "FILE:1: mcp: no rule for tools allows, so everything that none denies is allowed"),
        (
            simple(JWT + "mcpAuthorization: {rules: [{deny: 'false'}]}\n"),
            "FILE:1: mcp: no rule for tools allows, so everything that none denies is allowed",
        ),
        (
            bound(route("one", "/one", JWT + RULES) + "    - host: example.com:80\n"),
            "backends[1]: no MCP backend: not read by mcp-authz",
        ),
    ],
)
def test_what_is_harmless_or_open_is_warned_of(text, expected):
    assert any(expected in found for found in warnings(text)), warnings(text)


ODD = ["5", "word", "[5]", "{a: b}", "null", "[{}]", "[[]]"]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    "place",
    [
        "binds: ODD",
        "mcp: ODD",
        "mcp: {targets: ODD}",
        "mcp: {policies: ODD, targets: [ODD]}",
        "binds: [{listeners: ODD}]",
        "binds: [{listeners: [{routes: ODD}]}]",
        "binds: [{listeners: [{routes: [{backends: ODD, matches: ODD, hostnames: ODD}]}]}]",
        "mcp: {policies: {jwtAuth: ODD, mcpAuthorization: ODD, cors: ODD, mcpAuthentication: ODD}, targets: [{mcp: ODD}]}",
    ],
)
def test_odd_values_are_refused_without_a_crash(place, odd):
    assert problems(place.replace("ODD", odd) + "\n")

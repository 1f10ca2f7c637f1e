import json
from pathlib import Path

import pytest
import yaml

from authz.config.agentgateway.policy import VERSION
from authz.config.settings import Cors, IssuerKeys
from authz.core.identity.issuer import IssuerTerms
from authz.core.identity.jwks import ALGORITHMS
from authz.core.mcp.item import Item, Kind
from authz.core.reasons import Reason
from tests.support.policy_files import POLICY, allows, principal, problems, reason, settings, tool, warnings

ROOT = Path(__file__).parents[3]
WALKTHROUGH = ROOT / "k8s/walkthrough/agentgateway-policy.yaml"
ENVIRONMENT = {"AUTH0_DOMAIN": "tenant.us.auth0.com", "API_IDENTIFIER": "https://mcp-oauth-demo"}
UNREAD = (
    "mcp-authz does not act on this key, and it may decide who gets in (remove it, or enforce it elsewhere)"
)
RULES = POLICY.split("      authorization:\n")[1]
JWKS = "jwks: {remote: {url: https://issuer.example/jwks.json}}"


def ruled(action, *expressions, before=""):
    """Give the policy with these expressions under this action."""
    rows = "".join(f"            - {json.dumps(text)}\n" for text in expressions)
    kept = POLICY.replace(RULES, "")
    rules = f"        action: {action}\n        policy:\n          matchExpressions:\n{rows}"
    return before + kept + rules


def with_key(path, key, value="x"):
    """Give the policy with one more key, and the line on which it stands."""
    tree = yaml.safe_load(POLICY)
    place = tree
    for part in path:
        place = place.setdefault(part, {}) if isinstance(part, str) else place[part]
    place[key] = value
    text = yaml.safe_dump(tree, sort_keys=False)
    (line,) = [
        number for number, row in enumerate(text.splitlines(), 1) if row.strip(" -") == f"{key}: {value}"
    ]
    return text, line


class TestTheWalkthroughsFile:
    def test_it_is_the_demo_s_file_byte_for_byte(self):
        assert WALKTHROUGH.read_bytes() == (ROOT / "authz/demo/agentgateway-policy.yaml").read_bytes()

    def test_it_is_read_unchanged_with_its_two_variables(self):
        given = settings(WALKTHROUGH.read_bytes(), ENVIRONMENT)
        (server,) = given.directory.servers
        issuer = "https://tenant.us.auth0.com/"
        url = "http://auth0-jwks.agentgateway-system.svc.cluster.local:8443/.well-known/jwks.json"

        assert ("mcp-oauth-policy", {"*"}, "/mcp", "") == (
            server.name,
            server.hosts,
            server.path,
            server.resource,
        )
        assert {
            issuer: IssuerTerms(
                issuer=issuer,
                name=issuer,
                audiences=frozenset({"https://mcp-oauth-demo"}),
                algorithms=ALGORITHMS,
                permissions_claim=("permissions",),
                require_subject=False,
            )
        } == server.issuers
        assert {issuer: IssuerKeys(issuer=issuer, jwks_uri=url)} == given.keys
        assert frozenset({"auth0-jwks.agentgateway-system.svc.cluster.local"}) == given.insecure_hosts
        assert {"*"} == server.origins
        assert (
            Cors(
                allow_methods=("GET", "POST", "OPTIONS"),
                allow_headers=("*",),
                expose_headers=("*",),
                max_age=86400,
            )
            == given.cors["mcp-oauth-policy"]
        )
        assert {
            "mcp-oauth-policy": {"echo", "get_user_info", "list_files", "delete_file", "system_status"}
        } == given.tools
        assert [f"mcp-oauth-policy/allow-{number}" for number in range(1, 6)] == [
            rule.name for rule in server.policy.rules
        ]

    def test_it_is_refused_while_a_variable_is_not_set(self):
        assert [
            (
                "FILE:10: spec.traffic.jwtAuthentication.providers[0].issuer: the environment variable AUTH0_DOMAIN"
                " is not set (set it, for example: export AUTH0_DOMAIN=…)"
            ),
            (
                "FILE:11: spec.traffic.jwtAuthentication.providers[0].audiences[0]: the environment variable"
                " API_IDENTIFIER is not set (set it, for example: export API_IDENTIFIER=…)"
            ),
        ] == problems(WALKTHROUGH.read_bytes())


REFUSED_KEYS = [
    ((), "sepc"),
    (("spec",), "targetSelectors"),
    (("spec",), "default"),
    *[
        (("spec", "traffic"), key)
        for key in ("authorization", "extAuth", "basicAuthentication", "apiKeyAuthentication", "extProc")
    ],
    *[(("spec", "traffic"), key) for key in ("rateLimit", "csrf", "transformation", "directResponse")],
    (("spec", "traffic", "cors"), "allowOrigin"),
    (("spec", "traffic", "jwtAuthentication"), "validationOptions"),
    (("spec", "traffic", "jwtAuthentication", "providers", 0), "requiredClaims"),
    *[(("spec", "backend"), key) for key in ("auth", "ai", "authorization")],
    (("spec", "backend", "mcp"), "guardrails"),
    (("spec", "backend", "mcp", "authorization"), "mode"),
    (("spec", "backend", "mcp", "authorization", "policy"), "matchExpression"),
]


@pytest.mark.parametrize(("path", "key"), REFUSED_KEYS)
def test_a_key_that_could_decide_who_gets_in_is_an_error_that_names_it(path, key):
    text, line = with_key(path, key)
    dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in (*path, key))

    assert [f"FILE:{line}: {dotted.removeprefix('.')}: {UNREAD}"] == problems(text)


HARMLESS_KEYS = [
    *[(("spec", "traffic"), key) for key in ("timeouts", "retry", "headerModifiers", "hostRewrite", "phase")],
    *[(("spec", "backend"), key) for key in ("tls", "tcp", "http")],
    (("spec",), "frontend"),
]


@pytest.mark.parametrize(("path", "key"), HARMLESS_KEYS)
def test_a_key_that_lets_nobody_in_is_a_warning_that_names_it(path, key):
    text, line = with_key(path, key)

    assert [f"FILE:{line}: {'.'.join(path)}.{key}: not acted on by mcp-authz"] == warnings(text)


AUTHENTICATION = "spec.traffic.jwtAuthentication"
PROVIDER = f"{AUTHENTICATION}.providers[0]"
MATCHES = "spec.backend.mcp.authorization.policy.matchExpressions"
STRICT = (
    "only Strict keeps callers without a token out "
    "(set mode: Strict, so that every request needs a valid token, or give --allow-anonymous)"
)
UNKNOWN_MODE = "unknown mode (use one of Strict, Optional, Permissive)"
NOBODY = "no document verifies tokens, so anyone would get in (add traffic.jwtAuthentication with a provider)"
NO_KEYS = "no key set can be found here (give inline, remote.url, or remote.jwksPath and backendRef)"
URL = "an absolute URL is needed, as in https://example.com/mcp"
HTTP = "keys fetched over plain http can be replaced on the way (use https, or a Service by backendRef)"
UNUSABLE = "no usable public key in this key set (RFC 7517) (paste the issuer's JWKS)"
NO_RULE = "no expression, and without rules everything is allowed (write one, or remove authorization)"
PROVIDERS = POLICY.split("providers:\n")[1].split("  backend:")[0]

REFUSED = {
    "no provider": (
        POLICY.replace("providers:\n" + PROVIDERS, "providers: []\n"),
        [f"FILE:7: {AUTHENTICATION}: {NOBODY}"],
    ),
    "no authentication": (
        POLICY.replace("    jwtAuthentication:\n      providers:\n" + PROVIDERS, "    cors: {}\n"),
        [f"FILE:6: {AUTHENTICATION}: {NOBODY}"],
    ),
    "an unknown action": (
        POLICY.replace("Allow", "Log"),
        ["FILE:15: spec.backend.mcp.authorization.action: unknown action (use Allow, Deny or Require)"],
    ),
    "an action in a list": (
        POLICY.replace("Allow", "[Allow]"),
        ["FILE:15: spec.backend.mcp.authorization.action: unknown action (use Allow, Deny or Require)"],
    ),
    "an authorization without rules": (
        POLICY.replace(RULES, "        action: Deny\n"),
        [f"FILE:14: {MATCHES}: {NO_RULE}"],
    ),
    "an empty authorization": (
        POLICY.replace("authorization:\n" + RULES, "authorization: {}\n"),
        [f"FILE:14: {MATCHES}: {NO_RULE}"],
    ),
    "an empty list of rules": (
        ruled("Allow").replace("matchExpressions:", "matchExpressions: []"),
        [f"FILE:17: {MATCHES}: {NO_RULE}"],
    ),
    "rules are a word": (
        ruled("Allow").replace("matchExpressions:", "matchExpressions: 'true'"),
        [f"FILE:17: {MATCHES}: a list is needed", f"FILE:17: {MATCHES}: {NO_RULE}"],
    ),
    "a rule that is no text": (
        ruled("Allow").replace("matchExpressions:", "matchExpressions: [true]"),
        [f"FILE:17: {MATCHES}[0]: a CEL expression in a string is needed"],
    ),
    "a rule with a mistake": (
        ruled("Allow", "true", 'mcp.tool.nam == "a"'),
        [
            f"FILE:19: {MATCHES}[1]: undeclared reference to 'mcp.tool.nam' (line 1, column 9 of the expression)"
        ],
    ),
    "a rule about arguments": (
        ruled("Allow", "args.n == 1"),
        [f"FILE:18: {MATCHES}[0]: reads args, which only `args` may (line 1, column 1 of the expression)"],
    ),
    "no spec": (POLICY.split("spec:")[0], ["FILE:1: spec.traffic.jwtAuthentication: " + NOBODY]),
    "spec is a list": (POLICY.split("spec:")[0] + "spec: []\n", ["FILE:4: spec: a mapping is needed"]),
    "targets are a word": (
        POLICY.replace(POLICY.splitlines()[4], "  targetRefs: gateway"),
        ["FILE:5: spec.targetRefs: a list is needed"],
    ),
    "another version": (
        POLICY.replace("v1alpha1", "v2"),
        [f"FILE:1: apiVersion: another version may mean something else (use {VERSION})"],
    ),
    "CORS of the wrong type": (
        POLICY.replace("  traffic:\n", "  traffic:\n    cors: {allowOrigins: '*'}\n"),
        ["FILE:7: spec.traffic.cors.allowOrigins: a list of strings is needed"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_honoured_is_refused_with_line_key_and_cure(text, expected):
    assert expected == problems(text)


ADMIN, USER = principal(roles=["admin"], groups=["admin"]), principal(groups=[])
IS_ADMIN = 'jwt.groups.contains("admin")'


@pytest.mark.parametrize(
    ("text", "admin", "user"),
    [
        (ruled("Allow", IS_ADMIN), True, False),
        (ruled("Allow", "false", IS_ADMIN), True, False),
        (ruled("Allow", "jwt.missing == 1", IS_ADMIN), True, False),
        (ruled("Allow", "jwt.missing == 1"), False, False),
        (ruled("Allow", "jwt.sub"), False, False),
        (ruled("Deny", IS_ADMIN), False, True),
        (ruled("Require", IS_ADMIN), True, False),
        (POLICY.split("  backend:")[0], True, True),
    ],
    ids=[
        "allow",
        "any allow",
        "an error beside",
        "an error",
        "not a boolean",
        "deny alone",
        "require alone",
        "none",
    ],
)
def test_any_allow_that_is_true_allows_and_without_an_allow_what_is_left_is_allowed(text, admin, user):
    given = settings(text)

    assert (admin, user) == (allows(given, ADMIN), allows(given, USER))


@pytest.mark.parametrize("action", ["Deny", "Require"])
def test_a_list_of_what_is_denied_is_warned_of_at_its_action(action):
    text = ruled(action, "has(jwt.sub)")
    line = text.splitlines().index(f"        action: {action}") + 1

    assert [
        (
            f"FILE:{line}: spec.backend.mcp.authorization.action: no rule for guard is an Allow, so everything that none of"
            " them denies is allowed (add an Allow that names what may be used)"
        )
    ] == warnings(text)


TWO = "---\n".join


@pytest.mark.parametrize(
    ("action", "expressions", "admin", "user"),
    [
        ("Deny", [IS_ADMIN], Reason.DENIED_BY_RULE, Reason.ALLOWED),
        ("Deny", ["false", IS_ADMIN], Reason.DENIED_BY_RULE, Reason.ALLOWED),
        ("Deny", ["jwt.missing == 1"], Reason.RULE_ERROR, Reason.RULE_ERROR),
        ("Deny", ["jwt.sub"], Reason.RULE_ERROR, Reason.RULE_ERROR),
        ("Deny", ['mcp.tool.name == "other"'], Reason.ALLOWED, Reason.ALLOWED),
        ("Deny", ['mcp.tool.name == "other" && jwt.missing == 1'], Reason.ALLOWED, Reason.ALLOWED),
        ("Require", [IS_ADMIN], Reason.ALLOWED, Reason.DENIED_BY_RULE),
        ("Require", [IS_ADMIN, "false"], Reason.DENIED_BY_RULE, Reason.DENIED_BY_RULE),
        ("Require", [IS_ADMIN, 'mcp.tool.name == "echo"'], Reason.ALLOWED, Reason.DENIED_BY_RULE),
        ("Require", ['mcp.tool.name == "other"'], Reason.DENIED_BY_RULE, Reason.DENIED_BY_RULE),
        ("Require", ["jwt.missing == 1"], Reason.DENIED_BY_RULE, Reason.DENIED_BY_RULE),
    ],
)
@pytest.mark.parametrize("allow_first", [True, False])
def test_any_deny_that_is_not_false_denies_and_every_require_must_be_true(
    action, expressions, admin, user, allow_first
):
    second = ruled(action, *expressions).replace("name: guard", "name: second")
    second = second.replace("  traffic:\n    jwtAuthentication:\n      providers:\n" + PROVIDERS, "")
    both = [ruled("Allow", "true"), second]
    given = settings(TWO(both if allow_first else both[::-1]))

    assert (admin, user) == (reason(given, ADMIN, tool("echo")), reason(given, USER, tool("echo")))


@pytest.mark.parametrize(
    ("action", "expression", "item", "expected"),
    [
        ("Allow", 'mcp.tool.name == "echo"', Item(Kind.PROMPT, "echo"), Reason.NO_RULE),
        ("Allow", 'mcp.prompt.name == "hello"', Item(Kind.PROMPT, "hello"), Reason.ALLOWED),
        ("Allow", 'mcp.resource.uri.startsWith("file:")', Item(Kind.RESOURCE, "file:///a"), Reason.ALLOWED),
        ("Allow", 'mcp.resource.name.startsWith("file:")', Item(Kind.RESOURCE, "http://a"), Reason.NO_RULE),
        ("Allow", 'mcp.task.id == "1"', Item(Kind.TASK, "1"), Reason.ALLOWED),
        ("Allow", "has(mcp.prompt)", Item(Kind.TOOL, "echo"), Reason.NO_RULE),
        ("Allow", 'mcp.tool.target == "guard"', Item(Kind.TOOL, "echo"), Reason.ALLOWED),
    ],
)
def test_an_expression_sees_the_item_it_is_asked_about(action, expression, item, expected):
    assert expected is reason(settings(ruled(action, expression)), ADMIN, item)


def test_where_the_rules_are_missing_a_warning_says_that_everything_is_open():
    text = POLICY.split("  backend:")[0]

    assert [
        (
            "FILE:4: spec.backend: no document has a rule, so every valid token may use everything"
            " (add backend.mcp.authorization)"
        )
    ] == warnings(text)

from dataclasses import replace
from functools import cache
from itertools import product

import pytest

from authz.config.problems import ConfigError
from authz.core.identity.principal import Caller, TokenRejected
from authz.core.identity.token import verify
from authz.core.mcp.item import Item, Kind
from authz.core.policy.context import EvaluationContext
from authz.core.reasons import Reason
from authz.tools.agentgateway_import.writer import ImportChoices, native_text
from tests.cli.test_import import RESOURCE, SEED
from tests.config.agentgateway.test_documents import TWO
from tests.config.agentgateway.test_standalone import JWT, bound, route, simple
from tests.config.agentgateway.test_standalone import RULES as STANDALONE_RULES
from tests.config.agentgateway.test_target_refs import for_route
from tests.property.test_forms import PERMISSION_VALUES, ROLE_VALUES, ROLES, SCOPE_VALUES, SCOPES, TOOLS
from tests.support.core import call
from tests.support.policy_files import POLICY, principal, settings
from tests.support.tokens import AUDIENCE, NOW, claims, good_keys, token

ENVIRONMENT = {"AUTH0_DOMAIN": "issuer.example", "API_IDENTIFIER": AUDIENCE}
ABSENT = ...
NAMES = ("echo", "list_files", "a*", "", "other")


def policy(expressions, action="Allow"):
    head, _, _ = POLICY.partition("        action:")
    lines = "".join(f"            - {text!r}\n" for text in expressions)
    return f"{head}        action: {action}\n        policy:\n          matchExpressions:\n{lines}"


def imported(text, **chosen):
    return native_text(text, "FILE", ImportChoices(resource="https://mcp.example/mcp", **chosen), {})


def identify(form, sent):
    (server,) = form.directory.servers
    found = verify(sent, {issuer: (trust, good_keys()) for issuer, trust in server.issuers.items()}, NOW)
    return found if isinstance(found, TokenRejected) else Caller.of(found, "server")


def allowed(form, caller, item, arguments):
    (server,) = form.directory.servers
    if isinstance(caller, TokenRejected):
        return False
    context = EvaluationContext(caller, call(), "tools/call", arguments)
    return server.policy.judge(context, item).reason is Reason.ALLOWED


@cache
def seed(form):
    text = SEED.read_text()
    if form != "documents":
        text = native_text(
            text, "FILE", ImportChoices(resource=RESOURCE, fix_scopes=form == "fixed"), {}
        ).text
    return settings(text, ENVIRONMENT)


def differences(forms, scopes, permissions):
    """Give every case of the seed's matrix on which the forms do not agree."""
    found = set()
    for (name, scope), roles, permission in product(scopes, ROLE_VALUES, permissions):
        sent = token(claims(scope=scope, permissions=permission, **{ROLES: roles}))
        callers = [identify(seed(form), sent) for form in forms]
        for tool, arguments in product(TOOLS, ({}, None)):
            item = Item(Kind.TOOL, tool)
            said = [
                allowed(seed(form), who, item, arguments) for form, who in zip(forms, callers, strict=True)
            ]
            if len(set(said)) > 1:
                found.add((name, tool, *said))
    return found


def test_the_imported_seed_decides_like_the_documents_for_every_caller_of_the_matrix():
    assert set() == differences(("documents", "imported"), SCOPE_VALUES.items(), PERMISSION_VALUES)


def test_fixed_scopes_differ_in_near_miss_scopes_and_in_nothing_else():
    near = {
        (name, tool, True, False)
        for name, value in SCOPE_VALUES.items()
        for tool, word in SCOPES.items()
        if isinstance(value, str) and word in value and word not in value.split(" ")
    }
    assert 5 <= len(near)
    assert near == differences(("documents", "fixed"), SCOPE_VALUES.items(), [ABSENT])


def test_fixed_scopes_do_not_stand_in_the_permissions_of_an_issuer_that_is_not_auth0_s():
    found = differences(("documents", "fixed"), [("none", "")], [["files:read", "files:delete"]])

    assert set() == found


def test_the_terms_of_trust_are_those_of_the_documents():
    (original,), (native,) = (seed(form).directory.servers for form in ("documents", "imported"))

    assert (original.issuers, original.path, original.origins) == (
        {issuer: replace(terms, name=issuer) for issuer, terms in native.issuers.items()},
        native.path,
        native.origins,
    )
    assert original.hosts <= native.hosts
    assert seed("documents").keys == seed("imported").keys


def test_a_variable_whose_place_takes_no_name_is_written_by_value_with_a_warning():
    text = POLICY.replace("https://issuer.example/jwks.json", '"https://issuer.example:${PORT}/jwks.json"')
    found = native_text(text, "FILE", ImportChoices(resource=RESOURCE), {"PORT": "8443"})

    assert "jwks_uri: https://issuer.example:8443/jwks.json\n" in found.text
    assert ("the values of PORT were written, not their names",) == found.warnings


def test_a_literal_dollar_brace_stays_one():
    text = policy(['mcp.tool.name == "echo" && jwt.sub == "$${x}"'])

    assert 'when: jwt.sub == "$${x}"' in imported(text).text


# Expressions whose import must decide alike, whatever they are for.
EXPRESSIONS = [
    "true",
    "jwt.level",
    'jwt.level == "x"',
    'mcp.tool.name == "echo"',
    '"echo" == mcp.tool.name && jwt.ok',
    'mcp.tool.name in ["echo", "list_files"] && jwt.scope.contains("a")',
    '(mcp.tool.name == "echo" || mcp.tool.name == "other") && !jwt.ok',
    '(mcp.tool.name == "echo" && jwt.ok) || (mcp.tool.name == "other" && jwt.level == "x")',
    'mcp.tool.name == "a*"',
    'mcp.tool.name == ""',
    'mcp.tool.name == "echo" && mcp.tool.name == "other"',
    'mcp.tool.name == "echo" && mcp.tool.name == jwt.level',
    'mcp.tool.name != "echo"',
    '(mcp.tool.name == "echo" && "x" == "y")',
    '(mcp.tool.name == "echo" && mcp.tool.name == mcp.tool.name)',
    '(mcp.tool.name in ["echo"] && mcp.tool.name in ["other", jwt.level])',
    'mcp.tool.name == "echo" && mcp.tool.name in []',
    'mcp.tool.name.startsWith("e")',
    'jwt.ok ? mcp.tool.name == "echo" : jwt.level == "x"',
    'jwt.ok && jwt.level == "&&" && mcp.tool.name == "echo" // && false',
    'jwt.missing && mcp.tool.name == "echo"',
    'mcp.prompt.name == "hello"',
    'jwt["roles"].contains("admin") && jwt.scope.contains("files:read")',
]
CLAIMS = [
    {},
    {"ok": True, "level": "x", "scope": "a"},
    {"ok": False, "level": "echo", "roles": ["admin"]},
    {"ok": "yes", "level": 5, "roles": "administrator", "scope": "files:reader"},
    {"ok": True, "level": "&&", "roles": ["user"], "scope": ["files:read"]},
    {"level": True, "ok": True, "roles": "admin"},
]
ITEMS = [*(Item(Kind.TOOL, name) for name in NAMES), Item(Kind.PROMPT, "hello"), Item(Kind.RESOURCE, "echo")]


def disagreements(text, **chosen):
    forms = settings(text), settings(imported(text, **chosen).text)
    found = []
    for given_, item, arguments in product(CLAIMS, ITEMS, ({}, None)):
        sent = token(claims(**{"scope": ABSENT, **given_}))
        said = [allowed(form, identify(form, sent), item, arguments) for form in forms]
        if said[0] != said[1]:
            found.append((given_, item, arguments, *said))
    return found


@pytest.mark.parametrize("action", ["Allow", "Deny", "Require"])
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_rule_decides_alike_under_each_action(expression, action):
    text = policy([expression], action)
    if action != "Allow":  # beside an allow of everything, or every answer would be no
        text = (
            policy(["true"])
            + "---\n"
            + text.replace("name: guard", "name: other").replace(
                text[text.index("  traffic:") : text.index("  backend:")], ""
            )
        )
    assert [] == disagreements(text)


def test_without_any_rule_everything_stays_allowed():
    text = POLICY[: POLICY.index("  backend:")]

    assert [] == disagreements(text)
    assert "# Without rules the documents allow everything to every valid token." in imported(text).text


def test_fixed_roles_are_whole_words_too_where_the_claim_is_the_one_that_holds_roles():
    text = policy([EXPRESSIONS[-1]])
    found = imported(text, fix_scopes=True).text

    assert "roles: [admin]" in found
    assert "scopes: ['files:read']" in found
    assert "when" not in found


def test_a_deny_keeps_its_test_for_letters_and_says_so():
    text = policy(['mcp.tool.name == "echo" && jwt.scope.contains("guest")'], "Deny")
    found = imported(text, fix_scopes=True)

    assert 'when: jwt.scope.contains("guest")' in found.text
    assert ["(add an Allow that names what may be used)", "(a deny is left as it is)"] == [
        f"({warning.rpartition('(')[2]}" for warning in found.warnings
    ]


@pytest.mark.parametrize("action", ["Deny", "Require"])
def test_documents_that_only_deny_end_with_an_allow_of_everything_and_decide_alike(action):
    text = policy(['mcp.tool.name == "echo"'], action)
    written = imported(text).text
    who = Caller.of(principal(), "server")
    forms = settings(text), settings(written)

    assert "# Without an Allow the documents allow what no Deny and no Require keeps out." in written
    assert [[action == "Require", action == "Deny"]] * 2 == [
        [allowed(form, who, Item(Kind.TOOL, name), {}) for name in ("echo", "other")] for form in forms
    ]


def test_a_require_becomes_a_deny_of_its_negation_with_a_comment_that_says_why():
    found = imported(policy(["jwt.ok // always"], "Require")).text

    assert "# Require guard-require-1: it denies unless true" in found
    assert "when: '!(jwt.ok)'" in found


def test_a_rule_that_can_never_hold_is_left_out_with_a_comment():
    assert "# guard-allow-2 was left out" in imported(policy([EXPRESSIONS[3], EXPRESSIONS[10]])).text


def terms(form):
    """Give, by server, the audiences that it accepts of each issuer."""
    return {
        server.name: {issuer: sorted(own.audiences) for issuer, own in server.issuers.items()}
        for server in form.directory.servers
    }


def test_servers_keep_the_audiences_of_their_own_policies():
    text = for_route("a", "one-api") + for_route("b", "two-api") + TWO
    written = native_text(text, "FILE", ImportChoices(), {}).text

    issuer = "https://issuer.example/"
    assert {"one": {issuer: ["one-api"]}, "two": {issuer: ["two-api"]}} == terms(settings(written))
    assert terms(settings(text)) == terms(settings(written))


def test_audiences_that_a_native_file_cannot_keep_apart_are_refused():
    other = JWT.replace("https://issuer.example/", "https://other.example/").replace(
        "https://mcp.example/mcp", "both"
    )
    first = JWT.replace("[https://mcp.example/mcp]", "[both, one]")
    both = (
        "jwtAuth:\n  mode: strict\n  providers:\n    - "
        + "\n      ".join(JWT.replace("[https://mcp.example/mcp]", "[one]").splitlines()[2:])
        .replace("  issuer", "issuer", 1)
        .replace("\n        ", "\n      ")
        + "\n    - "
        + "\n      ".join(other.splitlines()[2:])
        .replace("  issuer", "issuer", 1)
        .replace("\n        ", "\n      ")
        + "\n"
    )
    text = bound(route("one", "/one", both), route("two", "/two", first))

    with pytest.raises(ConfigError, match="accepts an audience of one issuer that another server accepts of"):
        native_text(text, "FILE", ImportChoices(), {})


def test_a_standalone_file_is_written_with_its_public_url_and_decides_alike():
    metadata = "  resourceMetadata: {resource: https://mcp.example/mcp, scopesSupported: [read]}\n"
    text = simple(JWT.replace("jwtAuth:", "mcpAuthentication:") + metadata + STANDALONE_RULES)
    found = native_text(text, "FILE", ImportChoices(), {})
    forms = settings(text), settings(found.text)
    callers = [principal(), principal(sub="alice"), principal(sub="eve"), principal(banned=True)]

    assert ["https://mcp.example/mcp"] * 2 == [form.directory.servers[0].resource for form in forms]
    assert [("read",)] * 2 == [form.directory.servers[0].scopes for form in forms]
    assert terms(forms[0]) == terms(forms[1])
    assert not any(
        len({allowed(form, Caller.of(who, "server"), Item(Kind.TOOL, name), {}) for form in forms}) > 1
        for who, name in product(callers, ("echo", "add", "other"))
    )

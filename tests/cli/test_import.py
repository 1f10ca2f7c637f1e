import json
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.core.identity.principal import Caller, TokenRejected
from authz.core.identity.token import verify
from authz.core.mcp.item import Item, Kind
from authz.core.policy.context import EvaluationContext
from authz.core.reasons import Reason
from authz.tools.agentgateway_import.conjunctions import split
from authz.tools.agentgateway_import.writer import ImportChoices, native_text
from tests.property.test_forms import PERMISSION_VALUES, ROLE_VALUES, ROLES, SCOPE_VALUES, SCOPES, TOOLS
from tests.support.commands import command
from tests.support.core import call
from tests.support.policy_files import POLICY, settings
from tests.support.tokens import AUDIENCE, NOW, claims, good_keys, token

ROOT = Path(__file__).resolve().parents[2]
SEED = ROOT / "k8s" / "walkthrough" / "agentgateway-policy.yaml"
ENVIRONMENT = {"AUTH0_DOMAIN": "issuer.example", "API_IDENTIFIER": AUDIENCE}
RESOURCE = "http://localhost:10000/mcp"
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
    occasion = EvaluationContext(caller, call(), "tools/call", arguments)
    return server.policy.judge(occasion, item).reason is Reason.ALLOWED


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


def test_fixed_scopes_may_also_stand_in_the_permissions_as_everywhere_in_a_native_file():
    found = differences(("documents", "fixed"), [("none", "")], [["files:read", "files:delete"]])

    assert {("none", "list_files", False, True), ("none", "delete_file", False, True)} == found


def test_the_terms_of_trust_are_those_of_the_documents():
    (original,), (native,) = (seed(form).directory.servers for form in ("documents", "imported"))

    assert (original.issuers, original.path, original.origins) == (
        native.issuers,
        native.path,
        native.origins,
    )
    assert original.hosts <= native.hosts
    assert seed("documents").keys == seed("imported").keys


def test_variables_stay_variables():
    ended = command("import", SEED, "--resource", RESOURCE)

    assert 0 == ended.status
    assert "issuer: https://${AUTH0_DOMAIN}/\n" in ended.out
    assert "audiences: ['${API_IDENTIFIER}']\n" in ended.out


def test_a_variable_whose_place_takes_no_name_is_written_by_value_with_a_warning():
    text = POLICY.replace("https://issuer.example/jwks.json", '"https://issuer.example:${PORT}/jwks.json"')
    found = native_text(text, "FILE", ImportChoices(resource=RESOURCE), {"PORT": "8443"})

    assert "jwks_uri: https://issuer.example:8443/jwks.json\n" in found.text
    assert ("the values of PORT were written, not their names",) == found.warnings


def test_a_literal_dollar_brace_stays_one():
    text = policy(['mcp.tool.name == "echo" && jwt.sub == "$${x}"'])

    assert 'when: jwt.sub == "$${x}"' in imported(text).text


def test_warnings_go_to_stderr_and_say_how_to_be_rid_of_them():
    ended = command("import", SEED)

    assert [
        "warning: traffic.cors: only allowOrigins has a native key",
        "warning: resource is a guess, http://localhost/mcp: metadata and challenges name it (give --resource)",
    ] == ended.err.splitlines()[:2]
    assert 2 == ended.err.count("(--fix-scopes compares whole words)")
    assert "" == command("import", SEED, "--fix-scopes", "--resource", RESOURCE).err.partition("\n")[2]


def test_text_and_warnings_can_be_had_as_json():
    plain, ended = command("import", SEED), command("import", SEED, "--json")
    said = json.loads(ended.out)

    assert (0, "") == (ended.status, ended.err)
    assert {"text", "warnings"} == said.keys()
    assert plain.out == said["text"]
    assert plain.err.splitlines() == [f"warning: {warning}" for warning in said["warnings"]]


def test_upstream_and_resource_are_those_of_the_command_line():
    out = command("import", SEED, "--resource", RESOURCE, "--upstream", "http://10.0.0.1:8080/mcp").out

    assert f"    resource: {RESOURCE}\n    upstream: http://10.0.0.1:8080/mcp\n" in out


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ([], "a: [", "FILE:1: not valid YAML"),
        ([], "", "FILE: holds no documents"),
        (
            [],
            POLICY.replace("action: Allow", "action: Maybe"),
            "FILE:15: spec.backend.mcp.authorization.action: unknown action",
        ),
        (["--resource", "x"], POLICY, "--resource: an absolute URL is needed"),
        (["--upstream", "x"], POLICY, "--upstream: an absolute URL is needed"),
    ],
)
def test_what_cannot_be_imported_is_an_error_with_its_place_and_nothing_is_written(
    tmp_path, options, text, expected
):
    file = tmp_path / "k8s.yaml"
    file.write_text(text)
    ended = command("import", file, *options)

    assert (2, "") == (ended.status, ended.out)
    assert ended.err.replace(str(file), "FILE").startswith(expected)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    ended = command("import", tmp_path / "none.yaml")

    assert (2, f"{tmp_path}/none.yaml: cannot be read: No such file or directory\n") == (
        ended.status,
        ended.err,
    )


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
    assert ["(a deny is left as it is)"] == [f"({warning.rpartition('(')[2]}" for warning in found.warnings]


def test_a_require_becomes_a_deny_of_its_negation_with_a_comment_that_says_why():
    found = imported(policy(["jwt.ok // always"], "Require")).text

    assert "# Require guard-require-1: it denies unless true" in found
    assert "when: '!(jwt.ok)'" in found


def test_a_rule_that_can_never_hold_is_left_out_with_a_comment():
    assert "# guard-allow-2 was left out" in imported(policy([EXPRESSIONS[3], EXPRESSIONS[10]])).text


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a", ["a"]),
        ("a && b", ["a", "b"]),
        ("a && b || c", ["a && b || c"]),
        ("a && (b || c)", ["a", "(b || c)"]),
        ("a ? b && c : d", ["a ? b && c : d"]),
        ('a == "&&" && b', ['a == "&&"', "b"]),
        (r"""a == '\'&&' && b""", [r"""a == '\'&&'""", "b"]),
        (r"""a == r'\d&&' && b""", [r"""a == r'\d&&'""", "b"]),
        ("(a && b)", ["(a && b)"]),
        ("(a && b) && c", ["(a && b)", "c"]),
        ('a == "//" && b // "', ['a == "//"', "b"]),
        ('a == """x" && y""" && b', ['a == """x" && y"""', "b"]),
        ("a // x && y\n && b", ["a", "b"]),
        ("f([a && b, c]) && {d: e || f}[g]", ["f([a && b, c])", "{d: e || f}[g]"]),
    ],
)
def test_an_expression_is_taken_apart_at_its_outer_conjunctions_only(text, pieces):
    assert pieces == split(text)


WORDS = st.sampled_from(
    ["jwt.ok", '"&&" in jwt', "(jwt.a || jwt.b)", "jwt['//x']", "[true && false][0]", "!jwt.ok"]
)


@given(st.lists(WORDS, min_size=1, max_size=6))
def test_whatever_is_joined_is_taken_apart_again(pieces):
    assert pieces == split(" && ".join(pieces))

"""The native file and the walkthrough's AgentgatewayPolicy decide alike, but for the differences listed here.

A caller is a set of claims, signed and verified as any token is; so the terms of trust are compared too, not the
rules alone. `DIFFERENCES` is the whole list: outside of it the forms agree, and every entry is met.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

import authz.demo
from authz.config.load import load
from authz.core.identity.principal import Caller, TokenRejected
from authz.core.identity.token import verify
from authz.core.mcp.item import Item, Kind
from authz.core.policy.context import EvaluationContext
from authz.core.reasons import Reason
from authz.core.request import HttpRequest
from tests.support.policy_files import decided
from tests.support.tokens import AUDIENCE, NOW, claims, good_keys, token

HERE = Path(authz.demo.__file__).parent
FILES = {"native": "policy.yaml", "agentgateway": "agentgateway-policy.yaml"}
ENVIRONMENT = {
    "DEMO_GRPC": "127.0.0.1:9001",
    "DEMO_HTTP": "127.0.0.1:9002",
    "DEMO_ISSUER": "https://issuer.example/",
    "DEMO_AUDIENCE": AUDIENCE,
    "DEMO_RESOURCE": "http://localhost:10000/mcp",
    "DEMO_UPSTREAM": "http://127.0.0.1:8080/mcp",
    "AUTH0_DOMAIN": "issuer.example",
    "API_IDENTIFIER": AUDIENCE,
}
ROLES = "https://mcp-demo/roles"
TOOLS = ("echo", "get_user_info", "list_files", "delete_file", "system_status")
INSIDE, OUTSIDE = '{"filename":"/inbox/a"}', '{"filename":"/etc/passwd"}'
ABSENT: Any = ...


@cache
def form(name):
    return load(str(HERE / FILES[name]), environment=ENVIRONMENT)


@dataclass(frozen=True)
class Case:
    """What is asked for: a call with these arguments, or (None) a place in the list."""

    scope: Any
    roles: Any
    permissions: Any
    tool: str
    arguments: str | None

    @property
    def claims(self):
        return claims(scope=self.scope, permissions=self.permissions, **{ROLES: self.roles})


def identify(name, sent):
    (server,) = form(name).directory.servers
    found = verify(sent, {issuer: (trust, good_keys()) for issuer, trust in server.issuers.items()}, NOW)
    return found if isinstance(found, TokenRejected) else Caller.of(found, server.name)


def allowed(name, caller, case):
    """Give the form's word on a case, from the whole walk for a call and from the rules for a list."""
    (server,) = form(name).directory.servers
    body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"%s","arguments":%s}}'
    request = HttpRequest(
        method="POST",
        host="localhost:10000",
        path="/mcp",
        headers={"content-type": "application/json", "mcp-protocol-version": "2025-06-18"},
        body=(body % (case.tool, case.arguments or "{}")).encode(),
    )
    if case.arguments is not None:
        return decided(form(name), request, lambda *_: caller).allowed
    if isinstance(caller, TokenRejected):
        return False
    context = EvaluationContext(caller, request, "tools/call", None)
    return server.policy.judge(context, Item(Kind.TOOL, case.tool)).reason is Reason.ALLOWED


def both(case, sent=None):
    sent = sent or token(case.claims)
    return tuple(allowed(name, identify(name, sent), case) for name in FILES)


SCOPES = {"list_files": "files:read", "delete_file": "files:delete"}
READS_ROLES = {"delete_file", "system_status"}


def is_words(value):
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def substring_scope(case):
    wanted = SCOPES.get(case.tool)
    return (
        bool(wanted)
        and isinstance(case.scope, str)
        and wanted in case.scope
        and wanted not in case.scope.split(" ")
    )


def merged_permissions(case):
    wanted = SCOPES.get(case.tool)
    return bool(wanted) and (
        case.permissions == wanted or (is_words(case.permissions) and wanted in case.permissions)
    )


def guarded_arguments(case):
    return case.tool == "delete_file" and case.arguments == OUTSIDE


def substring_role(case):
    return (
        case.tool in READS_ROLES
        and isinstance(case.roles, str)
        and "admin" in case.roles
        and case.roles != "admin"
    )


def untyped_roles(case):
    return case.roles is not ABSENT and not isinstance(case.roles, str) and not is_words(case.roles)


DIFFERENCES: dict[str, tuple[Callable[[Case], bool], str]] = {
    "native compares scopes as words, the walkthrough's expressions look for letters": (
        substring_scope,
        "native",
    ),
    "native merges `permissions` into the scopes": (merged_permissions, "agentgateway"),
    "native asks for more of delete_file: a file in /inbox": (guarded_arguments, "native"),
    "native compares roles as words, `contains` looks for letters in a string": (substring_role, "native"),
    "native knows which claim holds the roles, and refuses a token where it is of another type": (
        untyped_roles,
        "native",
    ),
}
"""What differs: whom it concerns, and which form says no where the other says yes."""


def explained(case):
    return [why for why, (holds, _) in DIFFERENCES.items() if holds(case)]


def listed(case, decisions):
    """Tell whether the forms decide alike, or apart for a reason in the list and in its direction."""
    native, other = decisions
    refusing = "agentgateway" if native else "native"
    return native == other or refusing in {DIFFERENCES[why][1] for why in explained(case)}


SCOPE_VALUES = {
    "absent": ABSENT,
    "empty": "",
    "files:read": "files:read",
    "files:delete": "files:delete",
    "both": "files:read files:delete",
    "both, reversed, spaces": " files:delete  files:read ",
    "near: letters before": "xfiles:read profiles:delete",
    "near: letters behind": "files:readonly files:deleted",
    "near: too short": "files:rea files:delet",
    "near: capitals": "FILES:READ Files:Delete",
    "near: another separator": "files:read,files:delete",
    "list": ["files:read", "files:delete"],
    "list, near": ["xfiles:read", "files:deleted"],
    "list of one text": ["files:read files:delete"],
    "empty list": [],
    "number": 5,
    "null": None,
    "true": True,
    "mapping": {"files:read": True, "files:delete": True},
    "list of numbers": [1],
}
ROLE_VALUES = [
    *(ABSENT, [], ["admin"], ["user", "admin"], ["administrator"], ["Admin", "admi", " admin"], ["user"]),
    *("admin", "administrator", "user", "user admin", ""),
    *(5, None, True, {"admin": True}, {"user": True}, [5], ["admin", 5], [["admin"]]),
]
PERMISSION_VALUES = [ABSENT, ["files:read"], ["files:delete", "files:read"], ["xfiles:read"], "files:read", 5]


def matrix(scope):
    """Give every case of one scope value, with the token that each caller sends."""
    for roles, permissions in product(ROLE_VALUES, PERMISSION_VALUES):
        caller = Case(scope, roles, permissions, "echo", None)
        sent = token(caller.claims)
        found = {name: identify(name, sent) for name in FILES}
        for tool, arguments in product(TOOLS, (INSIDE, OUTSIDE, None)):
            case = Case(scope, roles, permissions, tool, arguments)
            yield case, tuple(allowed(name, found[name], case) for name in FILES)


@pytest.mark.parametrize("scope", SCOPE_VALUES.values(), ids=SCOPE_VALUES)
def test_outside_the_listed_differences_the_forms_decide_alike(scope):
    assert [] == [case for case, decisions in matrix(scope) if not listed(case, decisions)]


# One caller for each difference, with what (native, agentgateway) say.
MET = {
    "native compares scopes as words, the walkthrough's expressions look for letters": [
        (Case("profiles:readonly xfiles:read", [], ABSENT, "list_files", INSIDE), (False, True)),
        (Case("files:deleted", ["admin"], ABSENT, "delete_file", None), (False, True)),
    ],
    "native merges `permissions` into the scopes": [
        (Case("", [], ["files:read"], "list_files", None), (True, False)),
        (Case(ABSENT, ["admin"], ["files:delete"], "delete_file", INSIDE), (True, False)),
    ],
    "native asks for more of delete_file: a file in /inbox": [
        (Case("files:delete", ["admin"], ABSENT, "delete_file", OUTSIDE), (False, True)),
    ],
    "native compares roles as words, `contains` looks for letters in a string": [
        (Case("", "administrator", ABSENT, "system_status", INSIDE), (False, True)),
    ],
    "native knows which claim holds the roles, and refuses a token where it is of another type": [
        (Case("", 5, ABSENT, "echo", INSIDE), (False, True)),
        (Case("", {"admin": True}, ABSENT, "system_status", None), (False, True)),
    ],
}


def test_every_listed_difference_is_met():
    assert set(DIFFERENCES) == set(MET)


@pytest.mark.parametrize(
    ("why", "case", "expected"),
    [(why, case, expected) for why, rows in MET.items() for case, expected in rows],
)
def test_a_listed_difference_is_as_described_and_has_that_reason_alone(why, case, expected):
    assert expected == both(case)
    assert [why] == explained(case)


# scope, roles: the tools that both forms list.
LISTED = [
    ("", [], 2),
    ("files:read", [], 3),
    ("files:delete", [], 2),
    ("files:read files:delete", [], 3),
    ("files:read", ["admin"], 4),
    ("files:read files:delete", ["admin"], 5),
    ("files:read files:delete", "admin", 5),
    (["files:read", "files:delete"], ["user", "admin"], 5),
]


@pytest.mark.parametrize(("scope", "roles", "count"), LISTED)
def test_both_forms_list_what_the_walkthrough_says(scope, roles, count):
    cases = [Case(scope, roles, ABSENT, tool, None) for tool in TOOLS]

    assert [(True, True)] * count == [pair for pair in map(both, cases) if pair != (False, False)]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("tool", ["", "Echo", "echo ", "delete_files", "list_files\\u0000"])
def test_neither_form_opens_a_tool_it_does_not_name(name, tool):
    case = Case("files:read files:delete", ["admin"], ABSENT, tool, INSIDE)

    assert allowed(name, identify(name, token(case.claims)), case) is False


WORDS = st.text("files:readl ,/x", min_size=0, max_size=12)
NEAR = st.one_of(
    st.sampled_from(["files:read", "files:delete", "admin"]),
    WORDS,
    st.builds("{}{}".format, st.sampled_from(["files:read", "files:delete", "admin"]), WORDS),
    st.builds("{}{}".format, WORDS, st.sampled_from(["files:read", "files:delete", "admin"])),
)
VALUES = st.one_of(
    st.just(ABSENT),
    NEAR,
    st.lists(NEAR, max_size=4).map(" ".join),
    st.lists(NEAR, max_size=4),
    st.none(),
    st.booleans(),
    st.integers(-9, 9),
    st.dictionaries(NEAR, st.booleans(), max_size=2),
    st.lists(st.one_of(NEAR, st.integers(-9, 9)), max_size=3),
)
CASES = st.builds(
    Case,
    scope=VALUES,
    roles=VALUES,
    permissions=VALUES,
    tool=st.sampled_from(TOOLS),
    arguments=st.sampled_from([INSIDE, OUTSIDE, None]),
)


@profile(deadline=None)
@given(CASES)
def test_for_any_claims_the_forms_decide_alike_or_the_difference_is_listed(case):
    assert listed(case, both(case))

"""Promises of the snapshot, for any request: there is a decision, and none allows without a valid token and a rule."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.core.decision import Decision
from authz.core.mcp.methods import METHODS
from authz.core.reasons import Reason
from authz.core.transport import SINGLE_HEADERS
from tests.support.core import (
    MODERN,
    call,
    changed,
    check,
    good_token,
    message,
    mirrored,
    modern,
    post,
    rule,
    server,
    snapshot,
    told,
)

CONTEXT = snapshot(
    server(
        rule("allow", "echo", name="echo"),
        rule(
            "allow", "delete", scopes=["files:delete"], args='args.path.startsWith("/inbox/")', name="delete"
        ),
        rule("deny", "*_secret", name="secret"),
    ),
)
GOOD = f"Bearer {good_token()}"

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
HEADER_NAMES = st.sampled_from([*SINGLE_HEADERS, "accept", "x-a"]) | TEXT.map(str.lower)
HEADER_VALUES = (
    st.sampled_from(["application/json", "identity", GOOD, GOOD[:-1], MODERN, "tools/call", "echo"]) | TEXT
)
BODIES = st.binary(max_size=200) | st.sampled_from(
    [
        json.dumps(body).encode()
        for body in (
            message("ping"),
            message("tools/list"),
            message("tools/call", {"name": "echo"}),
            message("tools/call", {"name": "other"}),
            modern("tools/call", {"name": "echo"}),
            {"jsonrpc": "2.0", "id": 1, "result": {}},
        )
    ],
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["POST", "GET", "DELETE"]) | TEXT,
        "host": st.sampled_from(["mcp.example", "mcp.example:443"]) | TEXT,
        "path": st.sampled_from(["/mcp", "/mcp?x"]) | TEXT,
        "repeated": st.frozensets(HEADER_NAMES, max_size=1),
        "body": BODIES,
        "body_complete": st.booleans(),
        "source": TEXT,
    },
)
AUTHORIZATIONS = st.sampled_from([{}, {}, {"authorization": GOOD[:-1]}, {"authorization": ""}]) | TEXT.map(
    lambda text: {"authorization": text}
)

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine that is busy with other tests is no failure."""
REQUESTS = st.builds(
    lambda changes, headers, more: changed(
        post(message("tools/call", {"name": "echo"}), {**more, **headers}), **changes
    ),
    st.just({}) | CHANGES,
    AUTHORIZATIONS,
    st.just({}) | st.dictionaries(HEADER_NAMES, HEADER_VALUES, max_size=3),
)
"""Sound requests, of which some, none or all parts are changed."""


@UNHURRIED
@given(request=REQUESTS)
@pytest.mark.requirement("security.exact-bytes")
def test_every_request_gets_a_decision_and_none_is_allowed_without_the_valid_token(request):
    decision = check(request, CONTEXT)

    assert isinstance(decision, Decision)
    assert decision.allowed is (decision.reason is Reason.ALLOWED)
    if decision.allowed:
        scheme, _, token = request.headers["authorization"].partition(" ")
        assert ("bearer", good_token()) == (scheme.lower(), token)
        assert decision.principal is not None
        assert request.body_complete


@UNHURRIED
@given(request=REQUESTS)
def test_the_same_request_gets_the_same_decision(request):
    assert told(check(request, CONTEXT)) == told(check(request, CONTEXT))


TRUSTED_BY_OTHERS = [
    "x-envoy-original-path",
    "x-envoy-auth-partial-body",
    "x-envoy-internal",
    "x-forwarded-uri",
    "x-forwarded-host",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "x-mcp-subject",
    "x-mcp-scopes",
    "x_mcp_scopes",
    "x-authorization",
]
X_HEADERS = st.dictionaries(
    st.sampled_from(TRUSTED_BY_OTHERS) | TEXT.map(lambda text: f"x-{text.lower()}"),
    st.sampled_from(["/mcp", "admin", "files:delete", "GET", "true", "127.0.0.1", GOOD]) | TEXT,
    max_size=4,
)
SOUND = st.sampled_from(
    [
        call("echo"),
        call("other"),
        call("read_secret"),
        call("delete", {"path": "/inbox/a"}),
        call("delete", {"path": "/etc/passwd"}),
        post(message("tools/list")),
        post(message("tools/list"), {"authorization": ...}),
        post(modern("tools/call", {"name": "echo"}), mirrored("tools/call", "echo")),
        post(modern("tools/call", {"name": "echo"}), mirrored("tools/call", "other")),
        call("echo", path="/other"),
        call("echo", host="evil.example"),
    ],
)


@UNHURRIED
@given(request=SOUND, extra=X_HEADERS)
def test_no_x_header_changes_a_decision(request, extra):
    dressed = changed(request, headers={**request.headers, **extra}, repeated=frozenset(extra))

    seen = check(dressed, CONTEXT)
    # A name that a server may read as another header's is refused; none of them is ever let through by what it says.
    assert Reason.HEADER_MISMATCH is seen.reason or told(check(request, CONTEXT)) == told(seen)


KEYS = ["method", "Method", "m\\u0065thod", "jsonrpc", "id", "params", "PARAMS", "param\u017f", "result"]
INNER_KEYS = ["name", "Name", "n\\u0061me", "NAME", "name\\u0000", "arguments", "n\uff41me"]


def spelled(pairs):
    """Write an object with its keys as they stand, twice where they are given twice."""
    return "{" + ",".join(f'"{key}":{text}' for key, text in pairs) + "}"


PARAMS = st.lists(
    st.tuples(st.sampled_from(INNER_KEYS), st.sampled_from(['"echo"', '"delete"', '"other"', "{}"])),
    max_size=2,
).map(lambda extra: spelled([("name", '"echo"'), *extra]))
EXTRA = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(['"tools/call"', '"ping"', '"2.0"', "1"]) | PARAMS),
    max_size=2,
)
MESSAGES = st.tuples(PARAMS, st.just([]) | EXTRA).flatmap(
    lambda drawn: st.permutations(
        [("jsonrpc", '"2.0"'), ("id", "1"), ("method", '"tools/call"'), ("params", drawn[0]), *drawn[1]]
    ).map(spelled)
)
"""Calls of an allowed tool, some with further keys that are the same, or look the same, to one reader or another."""


def readings(text):
    """What readers of every habit take the tool to be: the first or the last key, with case folded or kept."""
    return {
        name
        for last in (True, False)
        for folding in (True, False)
        for name in [_read(text, last=last, folding=folding)]
    }


def _read(text, *, last, folding):
    def keep(pairs):
        kept = {}
        for key, found in pairs:
            key = key.partition("\0")[0]  # noqa: PLW2901
            key = key.casefold().replace("\uff41", "a") if folding else key  # noqa: PLW2901
            if last or key not in kept:
                kept[key] = found
        return kept

    value = json.loads(text, object_pairs_hook=keep)
    return value["method"], value["params"].get("name")


@UNHURRIED
@given(text=MESSAGES)
def test_an_allowed_call_names_the_same_tool_to_every_reader(text):
    if check(post(text.encode()), CONTEXT).allowed:
        assert {("tools/call", "echo")} == readings(text)


@UNHURRIED
@given(st.sampled_from(sorted(METHODS)), TEXT, st.sampled_from(["name", "uri", "taskId"]))
def test_nothing_is_used_that_no_rule_names(method, name, key):
    row = METHODS[method]
    params = {key: name, "ref": {"type": "ref/prompt", "name": name}, "notifications": {"taskIds": [name]}}
    headers = mirrored(method, name if row.mirror else None)

    for request in (post(message(method, params)), post(modern(method, params), headers)):
        decision = check(request, snapshot(server(rule("allow", "no such tool"))))
        assert row.extract_items is None or not decision.allowed

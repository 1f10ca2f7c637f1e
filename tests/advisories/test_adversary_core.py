"""Attacks on the decision itself that were tried and found closed: decoys in a message, answers kept for another request,
expressions that a caller makes costly, figures that a caller makes many."""

import itertools
import json

import pytest
from envoy.service.auth.v3 import external_auth_pb2
from hypothesis import given
from hypothesis import strategies as st

from authz.core.authentication import Authenticator
from authz.core.identity.principal import Caller
from authz.core.mcp.item import Item, Kind
from authz.core.mcp.methods import METHODS
from authz.core.policy.expression import Expression
from authz.core.reasons import Reason
from authz.core.request import DEFAULT_LIMITS
from authz.core.response.context import KnownCallers, ResponseContext
from authz.edge.envoy.check_response import allow
from authz.edge.telemetry.metrics import Metrics
from tests.support import tokens
from tests.support.core import (
    META,
    SESSIONS,
    call,
    check,
    good_token,
    message,
    mirrored,
    modern,
    post,
    principal,
    rule,
    server,
    snapshot,
)
from tests.support.work import counted

MEBIBYTE = 1 << 20
OPEN, SECRET = "public", "secret"
ONLY_OPEN = rule(names=dict.fromkeys(Kind, (OPEN,)))
KEYS = ("name", "uri", "taskId", "ref", "notifications")


def _params(method, name):
    """Params of a method that name one thing."""
    given_ = {"name": name, "uri": name, "taskId": name, "ref": {"type": "ref/prompt", "name": name}}
    row = METHODS[method]
    listen = {"notifications": {"resourceSubscriptions": [name]}}
    for params in ({key: value} for key, value in {**given_, **listen}.items()):
        if row.extract_items is not None and row.extract_items(params, DEFAULT_LIMITS):
            return params
    raise AssertionError(method)


NAMING = [method for method, row in METHODS.items() if row.extract_items is not None]


def _asked(method, params):
    row = METHODS[method]
    name = params.get(row.mirror) if row.mirror else None
    yield check(post(message(method, params)), snapshot(server(ONLY_OPEN)))
    text = name if isinstance(name, str) else None
    meta = {"_meta": {**META, **params.get("_meta", {})}}
    yield check(post(modern(method, {**params, **meta}), mirrored(method, text)), snapshot(server(ONLY_OPEN)))


@pytest.mark.parametrize("method", NAMING)
def test_the_rows_below_name_the_open_thing_and_are_served(method):
    assert any(decision.allowed for decision in _asked(method, _params(method, OPEN)))


def _decoys(method):
    true = _params(method, SECRET)
    (key,) = true
    others = {other: OPEN for other in KEYS if other != key and other not in ("ref", "notifications")}
    return {
        "under every other key": {**others, **true},
        "in the metadata": {**true, "_meta": {"name": OPEN, "uri": OPEN}},
        "in the arguments": {**true, "arguments": {"name": OPEN, "uri": OPEN}},
        "as a task": {**true, "task": {"name": OPEN, "ttl": 1, "taskId": OPEN}},
        "as answers to the server's questions": {
            **true,
            "requestState": OPEN,
            "inputResponses": {OPEN: {"result": {"name": OPEN}}},
        },
        "beside the rest": {**true, "cursor": OPEN, "argument": {"name": OPEN, "value": OPEN}},
    }


@pytest.mark.parametrize("method", NAMING)
@pytest.mark.parametrize("decoy", _decoys("tools/call"))
def test_no_decoy_elsewhere_in_the_params_stands_for_the_name(method, decoy):
    decisions = list(_asked(method, _decoys(method)[decoy]))

    assert {False} == {decision.allowed for decision in decisions}
    assert {SECRET} == {decision.item.name for decision in decisions if decision.item}, decisions


WRONG = {
    "nothing": None,
    "an empty text": "",
    "a number": 1,
    "true": True,
    "a list of it": [OPEN],
    "an object of it": {"name": OPEN, "type": "ref/prompt"},
    "a list in a list": [[OPEN]],
}


@pytest.mark.parametrize("key", ["name", "uri", "taskId"])
@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("method", NAMING)
def test_a_name_of_another_type_is_no_name(method, value, key):
    params = _params(method, OPEN)
    inner = params.get("ref", params)
    if key in inner:
        inner[key] = value

        assert {False} == {decision.allowed for decision in _asked(method, params)}


MIXED = [[OPEN, SECRET], [SECRET, OPEN], [OPEN] * 255 + [SECRET], [OPEN, ""], [OPEN, None], [[OPEN]], OPEN]


@pytest.mark.parametrize("key", ["resourceSubscriptions", "taskIds"])
@pytest.mark.parametrize("uris", MIXED, ids=range(len(MIXED)))
def test_one_thing_that_may_not_be_used_refuses_every_other_with_it(key, uris):
    params = {"notifications": {"toolsListChanged": True, key: uris}}

    assert not any(decision.allowed for decision in _asked("subscriptions/listen", params))


CIRCUMSTANCES = st.tuples(
    st.sampled_from(["echo", "list", "sum"]),
    st.booleans(),
    st.sampled_from(
        [
            {},
            {"x-mcp-subject": "mallory"},
            {"x.mcp.scopes": "all"},
            {"x-a": "1"},
            {"mcp-session-id": SESSIONS.bind(Caller.of(principal(), "demo"), "s")},
            {"mcp-session-id": SESSIONS.bind(Caller.of(principal(), "demo"), "t")},
        ]
    ),
)


def _answer(target, who, tool, in_list, headers):
    asked = post(message("tools/list"), headers) if in_list else call(tool, headers=_with_token(headers))
    decision = check(asked, snapshot(target, identify=lambda *_: who))
    assert decision.allowed
    told = external_auth_pb2.CheckResponse.FromString(allow(decision, asked, target, "p" * 16, "0" * 16))
    return told.SerializeToString(deterministic=True)


def _with_token(headers):
    return {"authorization": f"Bearer {good_token()}", "content-type": "application/json", **headers}


@given(st.lists(CIRCUMSTANCES, max_size=8))
def test_an_answer_kept_for_one_request_is_the_answer_made_anew_for_every_other(circumstances):
    target = server(rule("allow", "echo", "list", name="a"), rule("allow", "sum", name="b"))
    who = principal("files:read")
    keeping = Caller.of(who, "demo")
    kept = [_answer(target, keeping, *each) for each in circumstances]

    assert [_answer(target, Caller.of(who, "demo"), *each) for each in circumstances] == kept


ABSENT_OR_EMPTY = [None, "", "red"]


@pytest.mark.parametrize("before", ABSENT_OR_EMPTY)
@pytest.mark.parametrize("header", ABSENT_OR_EMPTY)
@pytest.mark.parametrize("condition", ["has(request.headers.team)", 'request.headers["team"] != "red"'])
@pytest.mark.parametrize("effect", ["allow", "deny"])
@pytest.mark.requirement("protocol.lists-are-trimmed")
def test_what_was_kept_for_a_request_shows_nobody_a_list_by_the_headers_of_that_request(
    effect, condition, before, header
):
    """A header that is empty is not one that is absent: a condition can tell them apart, and so must what is kept."""
    others = () if effect == "allow" else (rule("allow", "echo"),)
    target = server(*others, rule(effect, "echo", when=condition, name="w"))

    def seen(caller, value):
        headers = {} if value is None else {"team": value}
        asked = post(message("tools/list"), headers)
        decision = check(asked, snapshot(target, identify=lambda *_: caller))
        left = external_auth_pb2.CheckResponse.FromString(allow(decision, asked, target, "p", "0" * 16))
        told = {name: value.string_value for name, value in left.dynamic_metadata.fields.items()}
        reader = ResponseContext.decode(told, KnownCallers().find(told, {"demo": target}), tokens.NOW)
        return reader.visible(Item(Kind.TOOL, "echo"))

    keeping = Caller.of(principal(), "demo")
    seen(keeping, before)

    assert seen(Caller.of(principal(), "demo"), header) is seen(keeping, header)


_GOOD = tokens.good_keys()


def test_one_token_at_two_servers_gets_two_callers_and_no_answer_of_the_other():
    remembered = Authenticator(lambda _issuer: _GOOD, lambda _outcome: None, size=16)
    forwarding = server(rule("allow", "echo"), name="a", forward_token=True)
    keeping = server(rule("allow", "echo"), name="b", forward_token=False)
    header = f"Bearer {good_token()}"
    answers = {}
    for target in (forwarding, keeping, forwarding, keeping):
        who = remembered.authenticate(target, header, tokens.NOW)
        answers.setdefault(target.name, set()).add(_answer(target, who, "echo", False, {}))

    assert [1, 1] == [len(made) for made in answers.values()]
    assert [False, True] == [b"authorization" in made for (made,) in answers.values()]


def test_a_server_of_another_issuer_does_not_take_a_token_remembered_for_the_first():
    remembered = Authenticator(lambda _issuer: _GOOD, lambda _outcome: None, size=16)
    header = f"Bearer {good_token()}"
    remembered.authenticate(server(name="a"), header, tokens.NOW)
    other = server(
        name="b", issuers={"https://other.example/": tokens.trust(issuer="https://other.example/")}
    )

    assert Reason.UNKNOWN_ISSUER is remembered.authenticate(other, header, tokens.NOW).reason


COSTLY = {
    "a search in a search": (
        "args.a.exists(x, args.b.exists(y, x == y))",
        {"a": list(range(9_000)), "b": list(range(-9_000, 0))},
    ),
    "three levels": (
        "args.a.exists(x, args.a.exists(y, args.a.exists(z, x + y + z == -1)))",
        {"a": list(range(1000))},
    ),
    "a pattern of the caller's that backtracks": (
        "args.s.matches(args.p)",
        {"s": "a" * 400_000 + "!", "p": "(a+)+$"},
    ),
    "a pattern of the caller's that is huge": (
        "args.s.matches(args.p)",
        {"s": "a", "p": "((((a{100}){10}){10}){10})"},
    ),
    "a pattern of the caller's with many states": (
        "args.s.matches(args.p)",
        {"s": "ab" * 90_000, "p": "(?:" + "|".join(f".{{{n}}}a" for n in range(0, 900, 3)) + ")$"},
    ),
}


@pytest.mark.parametrize(("text", "arguments"), COSTLY.values(), ids=COSTLY.keys())
@pytest.mark.requirement("security.bounded-evaluation")
def test_an_expression_that_a_callers_arguments_make_costly_ends_and_allows_nothing(
    monkeypatch, text, arguments
):
    """The engine's budget ends a short request's; what is long enough to cost more than that is never evaluated."""
    evaluated, value = [], Expression.value
    monkeypatch.setattr(Expression, "value", lambda *given: evaluated.append(given) or value(*given))
    request = call("echo", arguments)
    decision = check(request, snapshot(server(rule("allow", "echo", args=text)), max_body=MEBIBYTE))

    assert (False, Reason.ARGS_NOT_ALLOWED) == (decision.allowed, decision.reason)
    assert (len(request.body) <= DEFAULT_LIMITS.args) == len(evaluated)


SHAPES = {
    "10,000 arguments": lambda: {f"key{n}": n for n in range(10_000)},
    "10,000 arguments beyond ASCII": lambda: {f"ké{n}": n for n in range(10_000)},
    "19,000 lists": lambda: {"a": [[] for _ in range(19_000 // 2)]},
    "as deep as may be, as wide as may be": lambda: {
        "a": json.loads("[" * 58 + "]" * 58),
        "b": [[[]] * 5] * 1000,
    },
    "one text": lambda: {"a": "\\" * 400_000},
    "one text of what separates values": lambda: {"a": '[{,:"' * 150_000},
    "whole numbers": lambda: {"a": list(range(19_000))},
}
TOO_MANY = {
    "250,000 lists": lambda: {"a": [[] for _ in range(250_000)]},
    "250,000 objects": lambda: {"a": [{} for _ in range(250_000)]},
    "wide at every depth": lambda: {"b": [[[]] * 5] * 10_000},
    "whole numbers": lambda: {"a": list(range(140_000))},
    "keys": lambda: {f"key{n}": n for n in range(12_001)},
    "objects": lambda: {"a": [{"A": 1}] * 80_000},
    "texts": lambda: {"a": [""] * 250_000},
}


@pytest.mark.parametrize("arguments", SHAPES.values(), ids=SHAPES.keys())
def test_a_body_of_any_of_these_shapes_is_judged_in_no_more_steps_than_the_limits_have_values(arguments):
    request, target = call("echo", arguments()), snapshot(server(rule("allow", "echo")), max_body=MEBIBYTE)
    assert len(request.body) <= MEBIBYTE
    decision, steps = counted(lambda: check(request, target))

    assert decision.allowed
    assert 2 * DEFAULT_LIMITS.nodes > steps


@pytest.mark.parametrize("arguments", TOO_MANY.values(), ids=TOO_MANY.keys())
@pytest.mark.requirement("reason.too_complex")
def test_a_body_of_more_values_or_keys_than_the_limits_is_refused_before_one_is_read(arguments):
    body = json.dumps(
        message("tools/call", {"name": "echo", "arguments": arguments()}), separators=(",", ":")
    )
    request, target = post(body.encode()), snapshot(server(rule("allow", "echo")), max_body=MEBIBYTE)
    assert len(request.body) <= MEBIBYTE
    decision, steps = counted(lambda: check(request, target))

    assert Reason.TOO_COMPLEX is decision.reason
    assert 150 > steps


def test_no_name_that_a_caller_invents_becomes_a_time_series():
    metrics, target = Metrics(), snapshot(server(rule("allow", "echo")))
    metrics.policy("hash", {"demo": frozenset({"echo"})})

    def ask(number):
        inventions = (
            call(f"tool-{number}"),
            post(message(f"method/{number}")),
            post(message("ping"), {"mcp-protocol-version": f"2026-{number}"}),
            post(message("ping"), path=f"/mcp/{number}"),
            post(message("ping"), host=f"host-{number}"),
            post(message("resources/read", {"uri": f"file:///{number}"})),
        )
        for request in inventions:
            metrics.decided(check(request, target), 0.001)
        return metrics.render().count(b"\n")

    assert 1 == len({ask(number) for number in itertools.islice(itertools.count(), 50)})

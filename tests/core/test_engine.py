"""The walk: every flaw ends it with its reason, in the walk's order, and nothing but a whole walk allows."""

import json

import pytest
from msgspec.structs import replace

from authz.core import engine
from authz.core.engine import probes
from authz.core.identity.principal import ANONYMOUS, Caller
from authz.core.identity.session import ABSENT, REMOVE, Replace
from authz.core.mcp.item import Item, Kind
from authz.core.mcp.methods import HTTP_METHODS, METHODS, Era
from authz.core.policy.rule import DenialStyle
from authz.core.reasons import Reason
from authz.core.request import NEVER, Deadline, Limits
from authz.core.transport import SINGLE_HEADERS
from tests.support import tokens
from tests.support.core import (
    LEGACY,
    MODERN,
    SESSIONS,
    TOO_LATE,
    call,
    changed,
    check,
    good_token,
    identify,
    message,
    mirrored,
    modern,
    own_event,
    own_session,
    post,
    principal,
    rule,
    server,
    snapshot,
    told,
)

ALLOW_ALL = rule("allow", names=dict.fromkeys(Kind, ("*",)), name="all")
OPEN = snapshot(server(ALLOW_ALL))
ECHO = snapshot(server(rule("allow", "echo")))
PING = message("ping")


def reason(request, context=OPEN):
    """Decide and give the reason; a decision is an allow exactly when its reason says so."""
    decision = check(request, context)

    assert (decision.reason is Reason.ALLOWED) is decision.allowed
    return decision.reason


def replaced(request, changes):
    return changed(request, **changes)


def stream(method="GET", headers=None, **changes):
    """Give a request without a message."""
    return post(b"", {"content-type": ..., **(headers or {})}, **{"method": method, **changes})


@pytest.mark.requirement("reason.allowed")
def test_a_sound_request_by_a_valid_token_is_allowed():
    assert Reason.ALLOWED is reason(post(PING))
    assert Reason.ALLOWED is reason(call("echo"), ECHO)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"path": "/other"}, Reason.UNKNOWN_ENDPOINT),
        ({"path": "//mcp"}, Reason.UNKNOWN_ENDPOINT),
        ({"path": "/mcp/../x"}, Reason.UNKNOWN_ENDPOINT),
        ({"path": "/mcp;a"}, Reason.UNKNOWN_ENDPOINT),
        ({"path": "/%6dcp"}, Reason.UNKNOWN_ENDPOINT),
        ({"path": "/mcp#f"}, Reason.UNKNOWN_ENDPOINT),
        ({"path": "/mcp/"}, Reason.UNKNOWN_ENDPOINT),
        ({"path": ""}, Reason.UNKNOWN_ENDPOINT),
        ({"host": "evil.example"}, Reason.UNKNOWN_ENDPOINT),
        ({"host": "mcp.example:8443"}, Reason.UNKNOWN_ENDPOINT),
        ({"host": ""}, Reason.UNKNOWN_ENDPOINT),
        ({"host": "MCP.EXAMPLE:443"}, Reason.ALLOWED),
        ({"path": "/mcp?session=1"}, Reason.ALLOWED),
        ({"method": "PUT"}, Reason.METHOD_NOT_ALLOWED),
        ({"method": "post"}, Reason.METHOD_NOT_ALLOWED),
        ({"method": "HEAD"}, Reason.METHOD_NOT_ALLOWED),
        ({"method": "OPTIONS"}, Reason.METHOD_NOT_ALLOWED),
        ({"method": "CONNECT"}, Reason.METHOD_NOT_ALLOWED),
        ({"method": ""}, Reason.METHOD_NOT_ALLOWED),
        ({"method": "GET"}, Reason.BAD_MESSAGE),
        ({"method": "DELETE"}, Reason.BAD_MESSAGE),
        ({"body_complete": False}, Reason.PARTIAL_BODY),
        ({"body": b""}, Reason.BAD_JSON),
        ({"body": b" " * 4097}, Reason.BODY_TOO_LARGE),
        ({"body": b"[" * 4096}, Reason.BAD_JSON),
        ({"body": b"[]"}, Reason.BATCH),
    ],
)
@pytest.mark.requirement(
    "reason.unknown_endpoint",
    "reason.method_not_allowed",
    "reason.partial_body",
    "reason.bad_json",
    "reason.body_too_large",
    "reason.batch",
)
def test_a_flaw_of_the_request_has_its_reason(changes, expected):
    assert expected is reason(replaced(post(PING), changes))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"content-type": "application/json; charset=utf-8"}, Reason.ALLOWED),
        ({"content-type": 'Application/JSON;charset="UTF-8"'}, Reason.ALLOWED),
        ({"content-type": "application/json ; x=y"}, Reason.ALLOWED),
        ({"content-type": ...}, Reason.BAD_CONTENT_TYPE),
        ({"content-type": ""}, Reason.BAD_CONTENT_TYPE),
        ({"content-type": "text/plain"}, Reason.BAD_CONTENT_TYPE),
        ({"content-type": "application/jsonx"}, Reason.BAD_CONTENT_TYPE),
        ({"content-type": "application/json-rpc"}, Reason.BAD_CONTENT_TYPE),
        ({"content-type": "text/plain, application/json"}, Reason.BAD_CONTENT_TYPE),
        ({"content-type": "application/json; charset=utf-16le"}, Reason.BAD_CONTENT_TYPE),
        ({"content-type": "application/json; CHARSET = utf-7"}, Reason.BAD_CONTENT_TYPE),
        ({"content-type": "application/json; charset=utf-8; charset=utf-16"}, Reason.BAD_CONTENT_TYPE),
        ({"content-type": 'application/json; x="; charset=utf-16"'}, Reason.BAD_CONTENT_TYPE),
        ({"content-encoding": "identity"}, Reason.ALLOWED),
        ({"content-encoding": "gzip"}, Reason.BAD_ENCODING),
        ({"content-encoding": "identity, gzip"}, Reason.BAD_ENCODING),
        ({"content-encoding": "br"}, Reason.BAD_ENCODING),
        ({"content-encoding": ""}, Reason.BAD_ENCODING),
        ({"content-length": str(len(json.dumps(PING)))}, Reason.ALLOWED),
        ({"content-length": str(len(json.dumps(PING)) + 1)}, Reason.PARTIAL_BODY),
        ({"content-length": "0"}, Reason.PARTIAL_BODY),
        ({"content-length": "x"}, Reason.PARTIAL_BODY),
        ({"content-length": f"+{len(json.dumps(PING))}"}, Reason.PARTIAL_BODY),
        ({"origin": "https://evil.example"}, Reason.BAD_ORIGIN),
        ({"origin": "null"}, Reason.BAD_ORIGIN),
        ({"authorization": ...}, Reason.MISSING_TOKEN),
        ({"authorization": ""}, Reason.MISSING_TOKEN),
        ({"authorization": "Bearer"}, Reason.MALFORMED_TOKEN),
        ({"authorization": "Basic eDp5"}, Reason.MALFORMED_TOKEN),
        ({"authorization": "Bearer a.b.c"}, Reason.MALFORMED_TOKEN),
        ({"authorization": f"Bearer {good_token()},Bearer {good_token()}"}, Reason.MALFORMED_TOKEN),
        ({"mcp-method": "tools/call"}, Reason.HEADER_MISMATCH),
    ],
)
@pytest.mark.requirement(
    "reason.bad_content_type",
    "reason.bad_encoding",
    "reason.bad_origin",
    "reason.missing_token",
    "reason.malformed_token",
    "reason.header_mismatch",
)
def test_a_flaw_of_the_headers_has_its_reason(headers, expected):
    assert expected is reason(post(PING, headers))


@pytest.mark.parametrize(("header", "expected"), SINGLE_HEADERS.items())
@pytest.mark.requirement("reason.session_mismatch")
def test_a_header_that_may_stand_only_once_is_refused_when_repeated(header, expected):
    assert expected is reason(post(PING, repeated=frozenset({header})))
    assert expected is reason(stream(repeated=frozenset({header})))


def test_any_other_header_may_be_repeated():
    assert Reason.ALLOWED is reason(post(PING, repeated=frozenset({"accept", "x-forwarded-for"})))


@pytest.mark.parametrize("method", HTTP_METHODS)
@pytest.mark.parametrize(
    ("headers", "changes"),
    [
        ({}, {"body": b"{}"}),
        ({}, {"body_complete": False}),
        ({"content-length": "2"}, {}),
        ({"content-length": "x"}, {}),
    ],
)
@pytest.mark.requirement("reason.bad_message")
def test_a_stream_request_with_a_body_is_refused_also_when_the_body_was_not_handed_over(
    method, headers, changes
):
    assert Reason.BAD_MESSAGE is reason(replaced(stream(method, headers), changes))


@pytest.mark.parametrize("method", HTTP_METHODS)
@pytest.mark.parametrize(
    "headers",
    [{}, {"content-length": "0"}, {"last-event-id": own_event()}, {"mcp-session-id": own_session()}],
)
def test_a_stream_request_needs_a_valid_token_and_no_rule(method, headers):
    no_rules = snapshot(server())

    assert Reason.ALLOWED is reason(stream(method, headers), no_rules)
    assert Reason.MISSING_TOKEN is reason(stream(method, {**headers, "authorization": ...}), no_rules)


@pytest.mark.parametrize("flaw", [b"{", b"[]", b"\xff", b'{"jsonrpc":"2.0","id":1,"method":"no/such"}'])
@pytest.mark.parametrize("authorization", [..., "Bearer x", "Basic eDp5"])
def test_the_token_is_judged_before_the_body(flaw, authorization):
    assert check(post(flaw, {"authorization": authorization}), OPEN).reason in {
        Reason.MISSING_TOKEN,
        Reason.MALFORMED_TOKEN,
    }
    assert check(post(flaw), OPEN).reason not in {
        Reason.MISSING_TOKEN,
        Reason.MALFORMED_TOKEN,
        Reason.ALLOWED,
    }


def test_the_endpoint_is_judged_before_the_token_and_the_transport_too():
    nobody = {"authorization": ...}

    assert Reason.UNKNOWN_ENDPOINT is reason(post(PING, nobody, path="/other"))
    assert Reason.BAD_ORIGIN is reason(post(PING, {**nobody, "origin": "https://evil.example"}))
    assert Reason.BODY_TOO_LARGE is reason(post(b" " * 5000, nobody))


@pytest.mark.parametrize("method", [*METHODS, "no/such", None])
@pytest.mark.parametrize("version", [LEGACY, MODERN, ...])
def test_no_message_of_any_method_passes_without_a_token(method, version):
    body = message(method, {"name": "x", "uri": "x", "taskId": "x"})
    request = post(body, {"authorization": ..., "mcp-protocol-version": version})

    assert Reason.MISSING_TOKEN is reason(request)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"exp": int(tokens.NOW) - 3600}, Reason.EXPIRED_TOKEN),
        ({"nbf": int(tokens.NOW) + 3600}, Reason.NOT_YET_VALID),
        ({"iss": "https://other.example/"}, Reason.UNKNOWN_ISSUER),
        ({"aud": "https://sibling.example/mcp"}, Reason.WRONG_AUDIENCE),
        ({"exp": ...}, Reason.BAD_CLAIMS),
    ],
)
@pytest.mark.requirement(
    "reason.expired_token",
    "reason.not_yet_valid",
    "reason.unknown_issuer",
    "reason.wrong_audience",
    "reason.bad_claims",
)
def test_a_refused_token_gives_its_reason_and_the_requests_id_and_names_nobody(changes, expected):
    token = tokens.token(tokens.claims(**changes))
    decision = check(
        post(message("ping", id="a1"), {"authorization": f"Bearer {token}"}),
        snapshot(server(ALLOW_ALL, scopes=("mcp:basic",))),
    )

    assert (expected, "a1", None, ("mcp:basic",)) == (
        decision.reason,
        decision.request_id,
        decision.principal,
        decision.scopes,
    )


@pytest.mark.requirement("reason.unknown_key")
def test_an_unknown_key_says_which_one_to_look_for_and_shows_its_name_to_nobody():
    token = tokens.token(None, None, kid="rotated")
    decision = check(post(PING, {"authorization": f"Bearer {token}"}), OPEN)

    assert Reason.UNKNOWN_KEY is decision.reason
    assert decision.rejection is not None
    assert (tokens.ISSUER, "rotated") == (decision.rejection.issuer, decision.rejection.kid)
    assert "rotated" not in repr(decision)


def test_the_id_of_a_refused_request_is_not_looked_for_in_a_large_body():
    body = json.dumps(message("ping", {"pad": "x" * 70_000})).encode()
    decision = check(post(body, {"authorization": ...}), snapshot(server(), max_body=1 << 20))

    assert (Reason.MISSING_TOKEN, None) == (decision.reason, decision.request_id)


@pytest.mark.requirement("reason.deadline")
def test_a_yes_that_comes_too_late_is_a_no():
    assert Reason.DEADLINE is check(call(), snapshot(server(ALLOW_ALL)), TOO_LATE).reason
    assert Reason.DEADLINE is check(stream(), snapshot(server(ALLOW_ALL)), TOO_LATE).reason


def _without_rewriter(*listeners, **of_server):
    open_server = server(ALLOW_ALL, **of_server)
    return replace(snapshot(open_server), refuses_lists=lambda at, _subject: at in listeners)


def _at(request, listener):
    return replace(request, listener=lambda: listener)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (post(modern("tools/list"), mirrored("tools/list")), Reason.REWRITER_MISSING),
        (post(message("resources/list")), Reason.REWRITER_MISSING),
        (stream(), Reason.REWRITER_MISSING),
        (call(), Reason.ALLOWED),
        (post(PING), Reason.ALLOWED),
    ],
)
@pytest.mark.requirement("reason.rewriter_missing")
@pytest.mark.requirement("security.no-list-without-rewriter")
def test_nothing_that_can_name_hidden_items_passes_an_envoy_without_a_rewriter(request_, expected):
    context = _without_rewriter("10.0.0.1:80")

    assert expected is reason(_at(request_, "10.0.0.1:80"), context)
    assert Reason.ALLOWED is reason(_at(request_, "10.0.0.2:80"), context)


@pytest.mark.parametrize(
    ("request_", "rewrite"),
    [
        (post(modern("server/discover"), mirrored("server/discover")), True),
        (post(PING), True),
        (call(), False),
        (post(message("completion/complete", {"ref": {"type": "ref/prompt", "name": "x"}})), False),
    ],
)
def test_an_answer_that_comes_at_once_shows_whether_there_is_a_rewriter_where_that_is_not_known(
    request_, rewrite
):
    context = _without_rewriter("10.0.0.1:80")
    asks = [check(_at(request_, at), context).rewrite for at in ("10.0.0.1:80", "10.0.0.2:80")]

    assert [rewrite, False] == asks
    assert not check(
        _at(request_, "10.0.0.1:80"), _without_rewriter("10.0.0.1:80", needs_rewriter=False)
    ).rewrite


@pytest.mark.parametrize(
    ("request_", "at", "expected"),
    [
        (call("other"), "10.0.0.1:80", True),
        (post(PING, {"authorization": ...}), "10.0.0.1:80", True),
        (call("other"), "10.0.0.2:80", False),
        (replace(call("other"), path="/elsewhere"), "10.0.0.1:80", False),
    ],
)
def test_a_refusal_asks_for_the_rewriter_where_one_is_wanted(request_, at, expected):
    context = replace(snapshot(server()), wants_rewriter=lambda listener, _subject: listener == "10.0.0.1:80")
    request = _at(request_, at)

    assert expected is probes(check(request, context), request, context)
    tolerant = replace(context, directory=snapshot(server(needs_rewriter=False)).directory)
    assert not probes(check(request, tolerant), request, tolerant)


def test_a_server_that_needs_no_rewriter_sends_its_lists_whole():
    context = _without_rewriter("10.0.0.1:80", needs_rewriter=False)

    assert Reason.ALLOWED is reason(_at(post(message("tools/list")), "10.0.0.1:80"), context)


def test_a_no_keeps_its_reason_however_late():
    assert Reason.NO_RULE is check(call("other"), snapshot(server()), TOO_LATE).reason


@pytest.mark.parametrize("method", sorted(name for name, row in METHODS.items() if row.extract_items is None))
@pytest.mark.requirement("protocol.method-table")
def test_a_method_that_names_nothing_needs_a_token_and_no_rule(method):
    row = METHODS[method]
    identity = {"id": ...} if row.notification else {}
    legacy = Era.LEGACY in row.eras
    request = post(message(method, **identity)) if legacy else post(modern(method), mirrored(method))

    assert Reason.ALLOWED is reason(request, snapshot(server()))


@pytest.mark.parametrize(
    ("method", "params", "kind"),
    [
        ("tools/call", {"name": "x"}, Kind.TOOL),
        ("prompts/get", {"name": "x"}, Kind.PROMPT),
        ("resources/read", {"uri": "x"}, Kind.RESOURCE),
        ("resources/subscribe", {"uri": "x"}, Kind.RESOURCE),
        ("resources/unsubscribe", {"uri": "x"}, Kind.RESOURCE),
        ("resources/directory/read", {"uri": "x"}, Kind.RESOURCE),
        ("skills/get", {"uri": "x"}, Kind.RESOURCE),
        ("tasks/get", {"taskId": "x"}, Kind.TASK),
        ("tasks/cancel", {"taskId": "x"}, Kind.TASK),
        ("tasks/result", {"taskId": "x"}, Kind.TASK),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "x"}}, Kind.PROMPT),
        ("completion/complete", {"ref": {"type": "ref/resource", "uri": "x"}}, Kind.RESOURCE),
    ],
)
@pytest.mark.requirement("protocol.method-table")
def test_a_method_that_names_something_needs_a_rule_about_exactly_that(method, params, kind):
    for allowed in Kind:
        context = snapshot(server(rule("allow", names={allowed: ("x",)})))
        decision = check(post(message(method, params)), context)

        assert (allowed is kind, Item(kind, "x")) == (decision.allowed, decision.item)


@pytest.mark.parametrize(
    ("wanted", "allowed"),
    [(["a"], True), (["a", "b"], True), (["a", "b", "c"], False), (["c", "a"], False), ([], True)],
)
def test_every_thing_that_a_message_names_must_be_allowed(wanted, allowed):
    context = snapshot(server(rule("allow", names={Kind.RESOURCE: ("a", "b")})))
    body = modern("subscriptions/listen", {"notifications": {"resourceSubscriptions": wanted}})
    decision = check(post(body, mirrored("subscriptions/listen")), context)

    assert allowed is decision.allowed
    assert allowed or Item(Kind.RESOURCE, "c") == decision.item


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.requirement("protocol.method-table", "protocol.results-are-not-read")
def test_the_response_is_rewritten_for_methods_that_list_open_a_session_or_stay_open_alone(method):
    row = METHODS[method]
    params = {"name": "x", "uri": "x", "taskId": "x", "ref": {"type": "ref/prompt", "name": "x"}}
    params["notifications"] = {}
    identity = {"id": ...} if row.notification else {}
    legacy = Era.LEGACY in row.eras
    headers = {} if legacy else mirrored(method, "x" if row.mirror else None)
    request = post((message if legacy else modern)(method, params, **identity), headers)

    judged = row.lists or method in {"initialize", "subscriptions/listen"}
    assert (True, judged) == ((decision := check(request, OPEN)).allowed, decision.rewrite)
    assert not check(request, snapshot(server(ALLOW_ALL)), TOO_LATE).rewrite
    assert not check(replaced(request, {"headers": {}}), OPEN).rewrite


@pytest.mark.parametrize("method", HTTP_METHODS)
@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2025-03-26", Reason.ALLOWED),
        ("2025-11-25", Reason.ALLOWED),
        ("2026-07-28", Reason.ALLOWED),
        ("2099-01-01", Reason.UNSUPPORTED_VERSION),
        ("1.0", Reason.UNSUPPORTED_VERSION),
    ],
)
def test_a_stream_request_declares_a_version_that_is_known_or_none(method, version, expected):
    assert expected is reason(stream(method, {"mcp-protocol-version": version}))


@pytest.mark.parametrize(("method", "rewrite"), [("GET", True), ("DELETE", False)])
@pytest.mark.requirement("protocol.get-is-read")
def test_the_response_to_a_get_is_rewritten_because_it_can_redeliver_a_list(method, rewrite):
    assert rewrite is check(stream(method), OPEN).rewrite
    assert not check(stream(method, {"authorization": ...}), OPEN).rewrite


@pytest.mark.requirement("protocol.session-answers-are-read")
def test_in_a_session_the_answer_to_any_request_is_read_and_what_a_response_or_notification_gets_is_not():
    session, context = (
        {"mcp-session-id": SESSIONS.bind(identify(server(), f"Bearer {good_token()}"), "s")},
        snapshot(server(ALLOW_ALL)),
    )
    read = [
        check(post(body, session), context).rewrite
        for body in (
            message("ping"),
            {"jsonrpc": "2.0", "id": 7, "result": {}},
            message("notifications/initialized", id=...),
        )
    ]

    assert [True, False, False] == read


def test_a_clients_response_passes_and_is_called_one():
    decision = check(post({"jsonrpc": "2.0", "id": 7, "result": {"roots": []}}), snapshot(server()))

    assert (True, "response", False) == (decision.allowed, decision.method, decision.rewrite)


def test_an_allow_says_who_may_do_what_by_which_rule():
    decision = check(call("echo", {"secret": "s3cret"}), snapshot(server(rule("allow", "echo", name="r1"))))

    assert ("demo", "tools/call", Item(Kind.TOOL, "echo"), "r1", "2025-03-26") == (
        decision.server,
        decision.method,
        decision.item,
        decision.rule,
        decision.version,
    )
    assert decision.principal is not None
    assert "auth0|alice" == decision.principal.subject
    assert "s3cret" not in repr(decision)
    assert good_token() not in repr(decision)


def test_a_decision_that_depends_on_arguments_is_made_each_time():
    caller = Caller.of(principal(), "demo")
    picky = snapshot(server(rule("allow", "echo", args="args.n == 1")), identify=lambda *_: caller)

    assert [True, False, True] == [check(call("echo", {"n": n}), picky).allowed for n in (1, 2, 1)]


def test_the_id_to_answer_a_refused_list_with_is_the_requests_own():
    caller = Caller.of(principal(), "demo")
    same = snapshot(server(ALLOW_ALL), identify=lambda *_: caller)
    listing = [check(post(message("tools/list", id=number)), same) for number in (1, 2)]

    assert [1, 2] == [decision.request_id for decision in listing]


@pytest.mark.parametrize(
    ("rule_says", "server_says", "expected"),
    [
        ({}, {}, (DenialStyle.AUTO, False)),
        ({}, {"denial": DenialStyle.HTTP, "hide": True}, (DenialStyle.HTTP, True)),
        (
            {"denial": DenialStyle.JSONRPC, "hide": True},
            {"denial": DenialStyle.HTTP},
            (DenialStyle.HTTP, True),
        ),
        ({"hide": False}, {"hide": True}, (DenialStyle.AUTO, False)),
        ({"denial": DenialStyle.HTTP, "hide": False}, {"hide": True}, (DenialStyle.HTTP, False)),
        ({"denial": DenialStyle.HTTP}, {"hide": True}, (DenialStyle.AUTO, True)),
        (
            {"denial": DenialStyle.HTTP},
            {"hide": True, "denial": DenialStyle.JSONRPC},
            (DenialStyle.JSONRPC, True),
        ),
    ],
)
def test_a_rule_overrides_how_its_server_denies(rule_says, server_says, expected):
    context = snapshot(server(rule("deny", "echo", **rule_says), **server_says))
    decision = check(call("echo"), context)

    assert expected == (decision.denial, decision.hide)


@pytest.mark.requirement("protocol.opened-method")
def test_a_server_opens_a_method_for_itself_alone():
    elsewhere = server(name="elsewhere", path="/other")
    context = snapshot(server(methods=frozenset({"vendor/x"})), elsewhere)

    assert Reason.ALLOWED is reason(post(message("vendor/x")), context)
    assert Reason.UNKNOWN_METHOD is reason(post(message("vendor/x"), path="/other"), context)


def test_each_server_decides_by_its_own_rules():
    context = snapshot(
        server(rule("allow", "echo")), server(rule("deny", "*"), name="closed", path="/closed")
    )

    assert ("demo", Reason.ALLOWED) == ((decision := check(call(), context)).server, decision.reason)
    closed = check(call(path="/closed"), context)
    assert ("closed", Reason.DENIED_BY_RULE) == (closed.server, closed.reason)


def test_the_limits_of_the_walk_are_those_of_its_messages():
    assert Reason.BAD_MESSAGE is reason(call("x" * 9), snapshot(server(ALLOW_ALL), limits=Limits(name=8)))


@pytest.mark.parametrize(("clock", "expected"), [(0.999, Reason.ALLOWED), (1.0, Reason.DEADLINE)])
def test_an_allow_is_too_late_from_the_very_moment_of_its_deadline(clock, expected):
    assert expected is check(call(), OPEN, Deadline(1.0, lambda: clock)).reason


@pytest.mark.parametrize(("chars", "expected"), [(65536, 1), (65537, None)])
def test_the_id_of_a_refused_request_is_looked_for_up_to_a_size(chars, expected):
    empty = len(json.dumps(message("ping", {"pad": ""})))
    body = json.dumps(message("ping", {"pad": "x" * (chars - empty)})).encode()
    decision = check(post(body, {"authorization": ...}), snapshot(server(), max_body=1 << 20))

    assert chars == len(body)
    assert expected == decision.request_id


NOTHING_ALLOWED = {
    "allowed": False,
    "rewrite": False,
    "session": ABSENT,
    "rule": "",
    "scopes": (),
    "shadows": (),
    "denial": DenialStyle.AUTO,
    "hide": False,
    "code": None,
}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (
            lambda: post(PING, host="other.example"),
            {"reason": Reason.UNKNOWN_ENDPOINT, "server": "", "method": "", "item": None, "principal": None}
            | {"request_id": None, "version": ""},
        ),
        (
            lambda: post(PING, {"content-type": "text/plain", "mcp-protocol-version": "2025-06-18"}),
            {
                "reason": Reason.BAD_CONTENT_TYPE,
                "server": "demo",
                "method": "",
                "item": None,
                "principal": None,
            }
            | {"request_id": 1, "version": "2025-06-18"},
        ),
        (
            lambda: post(PING, {"authorization": ..., "mcp-protocol-version": "2025-06-18"}),
            {"reason": Reason.MISSING_TOKEN, "server": "demo", "method": "", "item": None, "principal": None}
            | {"request_id": 1, "version": "2025-06-18"},
        ),
        (
            lambda: post(message("no/such", id=5), {"mcp-protocol-version": "2025-06-18"}),
            {"reason": Reason.UNKNOWN_METHOD, "server": "demo", "method": "no/such", "item": None}
            | {"request_id": 5, "version": "2025-06-18"},
        ),
        (
            lambda: stream(headers={"mcp-protocol-version": "1999-01-01"}),
            {"reason": Reason.UNSUPPORTED_VERSION, "server": "demo", "method": "GET", "item": None}
            | {"request_id": None, "version": "1999-01-01"},
        ),
        (
            lambda: post(
                message("ping", id=5), {"mcp-session-id": "s", "mcp-protocol-version": "2025-06-18"}
            ),
            {"reason": Reason.SESSION_MISMATCH, "server": "demo", "method": "ping", "item": None}
            | {"request_id": 5, "version": "2025-06-18"},
        ),
        (
            lambda: post({"jsonrpc": "2.0", "id": 7, "result": {}}, {"mcp-session-id": "s"}),
            {"reason": Reason.SESSION_MISMATCH, "server": "demo", "method": "response", "item": None}
            | {"request_id": 7, "version": "2025-03-26"},
        ),
        (
            lambda: call("other", headers={"mcp-session-id": own_session()}),
            {
                "reason": Reason.NO_RULE,
                "server": "demo",
                "method": "tools/call",
                "item": Item(Kind.TOOL, "other"),
            }
            | {"request_id": 1, "version": "2025-03-26"},
        ),
    ],
)
def test_a_denial_says_what_was_known_when_it_was_made_and_nothing_of_an_allow(request_, expected):
    found = told(check(request_(), ECHO))

    assert NOTHING_ALLOWED | expected == {name: found[name] for name in NOTHING_ALLOWED | expected}


def test_a_denied_list_is_not_rewritten_and_keeps_no_session():
    late = check(post(message("tools/list"), {"mcp-session-id": own_session()}), OPEN, TOO_LATE)

    assert (Reason.DEADLINE, False, ABSENT) == (late.reason, late.rewrite, late.session)


def test_the_end_of_the_token_is_marked_once_it_was_judged():
    marked = []
    engine.check(call(), ECHO, tokens.NOW, NEVER, marked.append)
    engine.check(call(host="other.example"), ECHO, tokens.NOW, NEVER, marked.append)

    assert ["token"] == marked


@pytest.mark.parametrize(
    ("body", "session", "every", "expected"),
    [
        (PING, True, False, True),
        (PING, False, False, False),
        (PING, False, True, True),
        ({"jsonrpc": "2.0", "id": 7, "result": {}}, True, True, False),
        (message("notifications/initialized", id=...), True, True, False),
        (message("tools/list"), False, False, True),
        (message("initialize"), False, False, True),
    ],
)
def test_an_answer_is_read_where_it_can_hold_a_list(body, session, every, expected):
    headers = {"mcp-session-id": own_session()} if session else {}
    context = snapshot(server(ALLOW_ALL), rewrite_every_answer=every)

    assert expected is check(post(body, headers), context).rewrite


RESUMES = {"last-event-id": own_event()}
IN_SESSION = {"mcp-session-id": own_session()}


@pytest.mark.parametrize(
    ("request_", "default", "lists", "every"),
    [
        pytest.param(post(PING, IN_SESSION), True, False, True, id="ping in a session"),
        pytest.param(call(headers=IN_SESSION), True, False, True, id="call in a session"),
        pytest.param(call(), False, False, True, id="call outside a session"),
        pytest.param(post(message("tools/list"), IN_SESSION), True, True, True, id="list"),
        pytest.param(post(message("tasks/list"), IN_SESSION), True, True, True, id="list of tasks"),
        pytest.param(post(message("initialize")), True, True, True, id="new session"),
        pytest.param(stream("GET", IN_SESSION), True, True, True, id="GET"),
        pytest.param(post(PING, IN_SESSION | RESUMES), True, True, True, id="resumption by POST"),
        pytest.param(post(PING, RESUMES), True, True, True, id="resumption outside a session"),
        pytest.param(
            post(message("notifications/initialized", id=...), IN_SESSION | RESUMES), False, False, False
        ),
        pytest.param(stream("DELETE", IN_SESSION), False, False, False, id="DELETE"),
    ],
)
@pytest.mark.requirement("protocol.session-answers-are-read")
def test_where_an_operator_has_lists_read_only_a_sessions_other_answers_are_not(
    request_, default, lists, every
):
    unread = server(ALLOW_ALL, reads_sessions=False)
    contexts = snapshot(server(ALLOW_ALL)), snapshot(unread), snapshot(unread, rewrite_every_answer=True)
    found = [check(request_, context) for context in contexts]

    assert [default, lists, every] == [decision.rewrite for decision in found]
    assert {Reason.ALLOWED} == {decision.reason for decision in found}
    assert 1 == len({decision.session for decision in found})


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (call, lambda: ABSENT),
        (lambda: post(PING, {"mcp-session-id": own_session("s")}), lambda: Replace("s", own_session("s"))),
        (
            lambda: post(modern("tools/list"), {**mirrored("tools/list"), "mcp-session-id": "whatever"}),
            lambda: REMOVE,
        ),
    ],
)
def test_an_allow_says_what_becomes_of_the_session_id_on_its_way_upstream(request_, expected):
    decision = check(request_(), OPEN)

    assert (Reason.ALLOWED, expected()) == (decision.reason, decision.session)


def test_a_caller_without_a_token_is_nobody_where_the_server_is_open_to_one_and_no_caller_elsewhere():
    open_to_nobody = snapshot(server(ALLOW_ALL, anonymous=frozenset({Reason.MISSING_TOKEN})))
    without = call(headers={"authorization": ...})
    broken = call(headers={"authorization": "Bearer x"})

    assert ANONYMOUS is check(without, open_to_nobody).principal
    assert [Reason.ALLOWED, Reason.MALFORMED_TOKEN] == [
        reason(each, open_to_nobody) for each in (without, broken)
    ]
    assert Reason.MISSING_TOKEN is reason(without)


def test_a_rules_own_style_is_kept_where_neither_it_nor_its_server_hides():
    decision = check(call(), snapshot(server(rule("deny", "echo", denial=DenialStyle.HTTP))))

    assert (DenialStyle.HTTP, False) == (decision.denial, decision.hide)


def test_a_snapshot_knows_its_servers_by_name():
    assert {"demo": OPEN.directory.servers[0]} == dict(OPEN.servers)

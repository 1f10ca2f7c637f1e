"""What Envoy is told of an allow and of a denial, to the last field; and what is cached of it."""

import dataclasses
import json
from functools import partial

import pytest
from envoy.service.auth.v3 import external_auth_pb2
from msgspec import structs

from authz.core.decision import Decision
from authz.core.denial import DenialResponse
from authz.core.identity.principal import ANONYMOUS, Caller
from authz.core.identity.session import ABSENT, REMOVE, Replace
from authz.core.mcp.item import Item, Kind
from authz.core.reasons import Reason
from authz.core.response.caller_metadata import KEY, encode_caller
from authz.core.transport import header_changes
from authz.edge.envoy import check_response, denied_response
from tests.support.core import post, principal, server

ID = "0123456789abcdef"


def allowed(**parts):
    caller = Caller.of(principal(), "demo")
    return Decision(reason=Reason.ALLOWED, allowed=True, server="demo", caller=caller, **parts)


def parsed(response):
    return external_auth_pb2.CheckResponse.FromString(response)


@pytest.mark.parametrize(
    ("session", "rewrite", "removed", "upstream", "downstream"),
    [
        (ABSENT, False, False, [], [""]),
        (ABSENT, True, False, [], []),
        (REMOVE, False, True, [], [""]),
        (REMOVE, True, True, [], []),
        (Replace("s", "tag.s"), False, False, ["s"], ["tag.s"]),
        (Replace("s", "tag.s"), True, False, ["s"], []),
    ],
)
def test_a_session_id_is_left_removed_or_replaced_on_its_way_upstream(
    session, rewrite, removed, upstream, downstream
):
    decision = allowed(method="ping", session=session, rewrite=rewrite)
    ok = parsed(check_response.allow(decision, post({}), server(), "p", ID)).ok_response

    assert removed is ("mcp-session-id" in ok.headers_to_remove)
    assert upstream == [each.header.value for each in ok.headers if each.header.key == "mcp-session-id"]
    assert downstream == [each.header.value for each in ok.response_headers_to_add]


def test_a_caller_gets_each_of_his_sessions_in_either_kind_of_answer():
    decision = allowed(method="ping")

    def ids(session, rewrite):
        asked = structs.replace(decision, session=session, rewrite=rewrite)
        ok = parsed(check_response.allow(asked, post({}), server(), "p", ID)).ok_response
        return [each.header.value for each in (*ok.headers, *ok.response_headers_to_add)][-2 + rewrite :]

    for _ in range(2):
        for name in ("s", "t", "u" * 600):
            assert [name, f"tag.{name}"] == ids(Replace(name, f"tag.{name}"), False)
            assert [name] == ids(Replace(name, f"tag.{name}"), True)


@pytest.mark.parametrize(
    ("headers", "set_"),
    [
        ({"mcp-name": "echo", "user-agent": "mad!"}, {}),
        ({"mcp-name": "pub_!"}, {"mcp-name": "pub_!"}),
        (
            {
                "mcp-method": "x/y!",
                "mcp-param-city": "caf!",
                "mcp-param-day": "1",
                "authorization": "Bearer !",
            },
            {"mcp-method": "x/y!", "mcp-param-city": "caf!"},
        ),
    ],
)
@pytest.mark.requirement("security.exact-bytes")
def test_a_judged_header_that_may_stand_for_other_bytes_goes_on_as_it_was_judged(headers, set_):
    ok = parsed(
        check_response.allow(
            allowed(method="ping", headers=header_changes(headers)), post({}, headers), server(), "p", ID
        )
    ).ok_response
    found = {each.header.key: (each.header.value, each.append_action) for each in ok.headers}

    assert set_ == {name: value for name, (value, _) in found.items() if name in headers}
    assert {check_response._OVERWRITE} == {action for _, action in found.values()}


@pytest.mark.parametrize(
    ("event", "removed", "upstream"),
    [(ABSENT, False, []), (REMOVE, True, []), (Replace("7", "tag.7"), False, ["7"])],
)
def test_an_event_id_is_left_removed_or_replaced_on_its_way_upstream(event, removed, upstream):
    decision = allowed(method="GET", event=event, rewrite=True)
    ok = parsed(check_response.allow(decision, post({}), server(), "p", ID)).ok_response

    assert removed is ("last-event-id" in ok.headers_to_remove)
    assert upstream == [each.header.value for each in ok.headers if each.header.key == "last-event-id"]


@pytest.mark.parametrize("decision", [Decision(), Decision(reason=Reason.ALLOWED, allowed=True)])
def test_only_an_allow_for_a_caller_is_let_through(decision):
    with pytest.raises(ValueError, match="only an allow"):
        check_response.allow(decision, post({}), server(), "p", ID)


@pytest.mark.parametrize(
    ("method", "item"),
    [
        ("m" * 2000, None),
        ("tools/call", Item(Kind.TOOL, "t" * 2000)),
        ("m" * 200, Item(Kind.TOOL, "t" * 200)),
    ],
)
def test_a_long_name_is_answered_and_not_kept(method, item):
    check_response._CALL_PARTS.clear()
    answer = check_response.allow(allowed(method=method, item=item), post({}), server(), "p", ID)

    assert method[:100].encode() in answer
    assert 0 == len(check_response._CALL_PARTS)


def metadata(response):
    """Return the dynamic metadata as plain values."""
    fields = response.dynamic_metadata.fields
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in fields.items()}


def set_headers(options):
    return {option.header.key: (option.header.value, option.append_action) for option in options}


OVERWRITE, OVERWRITE_ONLY = 2, 3
"""`OVERWRITE_IF_EXISTS_OR_ADD` and `OVERWRITE_IF_EXISTS` of Envoy's HeaderAppendAction."""


def test_an_allow_says_upstream_who_calls_and_in_the_metadata_what_was_decided():
    decision = allowed(method="tools/call", item=Item(Kind.TOOL, "echo"), rule="r1")
    response = parsed(check_response.allow(decision, post({}), server(), "digest", ID))

    assert 0 == response.status.code
    assert "ok_response" == response.WhichOneof("http_response")
    assert {
        "x-mcp-subject": ("auth0|alice", OVERWRITE),
        "x-mcp-client": ("client-1", OVERWRITE),
        "x-mcp-issuer": (principal().issuer, OVERWRITE),
    } == set_headers(response.ok_response.headers)
    assert ["x-mcp-scopes", "authorization"] == list(response.ok_response.headers_to_remove)
    assert {
        "sub": "auth0|alice",
        "client": "client-1",
        "decision": "allow",
        "reason": "allowed",
        "server": "demo",
        "policy": "digest",
        "rewrite": False,
        "rule": "r1",
        "method": "tools/call",
        "tool": "echo",
        "decision_id": ID,
    } == metadata(response)


def test_an_allow_whose_answer_is_read_asks_for_one_that_can_be_and_says_who_reads():
    decision = allowed(method="tools/list", rewrite=True, request_id=7)
    response = parsed(check_response.allow(decision, post({}), server(forward_token=True), "p", ID))
    found = metadata(response)

    assert ["x-mcp-scopes", "accept-encoding"] == list(response.ok_response.headers_to_remove)
    assert True is found["rewrite"]
    inputs = server().policy.visibility_inputs
    assert (encode_caller(decision.caller, post({}), inputs), "7") == (found[KEY], found["request_id"])


def test_who_reads_is_said_again_where_the_request_differs_in_what_is_read():
    decision = allowed(method="tools/list", rewrite=True, request_id=7)

    def said(host="mcp.example.com", number=7):
        request = structs.replace(post({}), host=host)
        again = structs.replace(decision, request_id=number)
        found = metadata(parsed(check_response.allow(again, request, server(), "p", ID)))
        return json.loads(found[KEY])["host"], found["request_id"]

    assert ("mcp.example.com", "7") == said()
    assert ("mcp.example.com", "8") == said(number=8)
    assert ("other.example.com", "7") == said("other.example.com")
    assert ("mcp.example.com", "7") == said()


@pytest.mark.parametrize(("forward", "rewrite"), [(a, b) for a in (False, True) for b in (False, True)])
def test_the_token_goes_upstream_only_where_the_server_asks_for_it_and_coding_only_where_nothing_is_read(
    forward, rewrite
):
    decision = allowed(method="ping", rewrite=rewrite)
    ok = parsed(check_response.allow(decision, post({}), server(forward_token=forward), "p", ID)).ok_response

    assert (not forward, rewrite) == (
        "authorization" in ok.headers_to_remove,
        "accept-encoding" in ok.headers_to_remove,
    )


def headers_of(who, sent=None):
    changes = header_changes(sent or {})
    decision = Decision(
        reason=Reason.ALLOWED, allowed=True, server="demo", method="ping", caller=who, headers=changes
    )
    return parsed(check_response.allow(decision, post({}, sent), server(), "p", ID)).ok_response


def test_the_scopes_are_said_in_the_tokens_order_and_nobody_is_said_by_no_header_at_all():
    assert ("b a", OVERWRITE) == set_headers(headers_of(Caller.of(principal("b", "a"), "demo")).headers)[
        "x-mcp-scopes"
    ]

    nobody = headers_of(Caller.of(ANONYMOUS, "demo"))
    assert {} == set_headers(nobody.headers)
    assert list(check_response.IDENTITY_HEADERS) == list(nobody.headers_to_remove)[:4]


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("auth0|alice b", "auth0|alice b"),
        ("a%b", "a%25b"),
        ("größe", "gr%C3%B6%C3%9Fe"),
        ("a\r\nx-mcp-client: b", "a%0D%0Ax-mcp-client: b"),
        ("~ !\"$&'()", "~ !\"$&'()"),
        ("\x7f", "%7F"),
    ],
)
def test_a_value_that_would_break_a_header_is_percent_encoded(subject, expected):
    who = Caller.of(dataclasses.replace(principal(), subject=subject), "demo")

    assert expected == set_headers(headers_of(who).headers)["x-mcp-subject"][0]


SPOOFED = [
    *(f"x{a}mcp{b}{name}" for a in "-_." for b in "-_." for name in ("subject", "scopes", "issuer")),
    *(f"mcp{a}session{b}id" for a in "-_." for b in "-_." if (a, b) != ("-", "-")),
]


@pytest.mark.parametrize("name", SPOOFED)
def test_every_spelling_of_a_header_that_only_the_gateway_sets_is_taken_away(name):
    who = Caller.of(principal("a"), "demo")
    assert set() == set(headers_of(who).headers_to_remove) - {"authorization"}

    ok = headers_of(who, {name: "spoofed"})
    kept_by_overwriting = set(set_headers(ok.headers))
    assert name in {*ok.headers_to_remove, *kept_by_overwriting}
    assert "spoofed" not in str(ok)


@pytest.mark.parametrize(
    "name", ["mcp-session-id", "x-mcpx", "xmcp-subject", "my-session-id", "mcp-session-ids", "x-request-id"]
)
def test_a_header_of_another_name_is_left_alone(name):
    assert ["authorization"] == list(
        headers_of(Caller.of(principal("a"), "demo"), {name: "v"}).headers_to_remove
    )


def test_what_a_client_spoofed_is_not_remembered_for_the_callers_next_request():
    who = Caller.of(principal("a"), "demo")
    spoofed = headers_of(who, {"x_mcp_subject": "admin"})

    assert "x_mcp_subject" in spoofed.headers_to_remove
    assert ["authorization"] == list(headers_of(who).headers_to_remove)
    assert {"identity"} == set(who.cache.replies)


def test_what_is_cached_for_a_caller_a_server_or_a_call_is_used_again(monkeypatch):
    who = Caller.of(principal("a"), "demo")
    first = headers_of(who)
    for maker in ("_identity", "_server", "_call"):
        monkeypatch.setattr(check_response, maker, None)

    assert first == headers_of(who)


def test_a_session_id_is_set_by_the_gateway_and_given_back_only_where_the_server_says_it():
    decision = allowed(method="ping", session=Replace("s", "tag.s"))
    ok = parsed(check_response.allow(decision, post({}), server(), "p", ID)).ok_response

    assert ("s", OVERWRITE) == set_headers(ok.headers)["mcp-session-id"]
    assert {"mcp-session-id": ("tag.s", OVERWRITE_ONLY)} == set_headers(ok.response_headers_to_add)


def test_a_denial_is_the_response_that_was_rendered_and_its_metadata_says_why():
    decision = Decision(
        reason=Reason.NO_RULE,
        server="demo",
        caller=Caller.of(principal(), "demo"),
        method="tools/call",
        item=Item(Kind.TOOL, "rm\n"),
    )
    denial = DenialResponse(403, (("content-type", "application/json"), ("x-a", "b")), b'{"id":1}')
    response = parsed(denied_response.deny(decision, denial, "digest", ID))
    denied = response.denied_response

    assert (7, 403, '{"id":1}') == (response.status.code, denied.status.code, denied.body)
    assert {"content-type": ("application/json", OVERWRITE), "x-a": ("b", OVERWRITE)} == set_headers(
        denied.headers
    )
    assert {
        "sub": "auth0|alice",
        "client": "client-1",
        "decision": "deny",
        "reason": "no_rule",
        "server": "demo",
        "policy": "digest",
        "rewrite": False,
        "method": "tools/call",
        "tool": "rm�",
        "decision_id": ID,
    } == metadata(response)


def test_a_denial_of_nobody_names_nobody():
    response = parsed(denied_response.deny(Decision(), DenialResponse(401, (), b""), "p", ID))

    assert set() == {"sub", "client", "rule", "method"} & set(metadata(response))


@pytest.mark.parametrize(("chars", "kept"), [(256, 1), (257, 0)])
def test_a_call_is_kept_up_to_a_length_of_its_names(chars, kept):
    check_response._CALL_PARTS.clear()
    for method, item in (("m" * chars, None), ("m" * 6, Item(Kind.TOOL, "t" * (chars - 6)))):
        check_response.allow(allowed(method=method, item=item), post({}), server(), "p", ID)

    assert 2 * kept == len(check_response._CALL_PARTS)


def test_a_session_id_in_its_own_spelling_is_not_taken_away_beside_a_header_that_is():
    who = Caller.of(principal("a"), "demo")
    ok = headers_of(who, {"x-mcp-admin": "1", "mcp_session_id": "s", "mcp-session-id": "s"})

    assert ["mcp_session_id", "authorization"] == list(ok.headers_to_remove)


def test_a_session_id_in_its_own_spelling_costs_no_second_look():
    who = Caller.of(principal("a"), "demo")
    headers_of(who, {"mcp-session-id": "s"})

    assert {"identity"} == set(who.cache.replies)


def test_a_denial_for_a_known_caller_is_not_let_through():
    denied = Decision(reason=Reason.NO_RULE, server="demo", caller=Caller.of(principal(), "demo"))

    with pytest.raises(ValueError, match="only an allow"):
        check_response.allow(denied, post({}), server(), "p", ID)


def test_an_identity_header_that_is_set_is_overwritten_and_not_taken_away():
    ok = headers_of(Caller.of(principal("a"), "demo"), {"x-mcp-subject": "admin", "x-mcp-admin": "1"})

    assert ["authorization"] == list(ok.headers_to_remove)
    assert ("auth0|alice", OVERWRITE) == set_headers(ok.headers)["x-mcp-subject"]


def test_an_allow_has_a_status_of_its_own():
    response = parsed(check_response.allow(allowed(method="ping"), post({}), server(), "p", ID))

    assert (True, 0) == (response.HasField("status"), response.status.code)


@pytest.mark.parametrize(
    "build", [partial(check_response._header_part, "x"), partial(check_response._text_part, "sub")]
)
def test_a_prebuilt_message_is_the_one_that_would_be_built(build):
    prebuilt = check_response.Prebuilt(build)
    texts = ["é.%" * size for size in range(1, 40)] + ["." * size for size in range(1, 140)]

    assert list(map(build, texts)) == list(map(prebuilt, texts)) == list(map(prebuilt, texts))

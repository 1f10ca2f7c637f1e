"""A session id belongs to whoever opened the session: what was bound for one caller is admitted for no other."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from authz.core.identity.principal import ANONYMOUS, Caller
from authz.core.identity.session import (
    _SESSION,
    ABSENT,
    MIN_KEY,
    REMOVE,
    BoundIds,
    Replace,
    Sessions,
    UnboundSessions,
    _tag,
    to_id,
    to_text,
)
from authz.core.reasons import Reason
from tests.support.core import (
    MODERN,
    SESSIONS,
    call,
    changed,
    check,
    good_token,
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
)

OLD, NEW = b"o" * MIN_KEY, b"n" * MIN_KEY
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
IDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","), min_size=1)


def caller(issuer="i", subject="s", client="c", at="demo"):
    return Caller.of(replace(principal(), issuer=issuer, subject=subject, client=client), at)


CALLERS = st.builds(caller, TEXT, TEXT, TEXT, TEXT)


def who(one):
    return one.server, one.principal.issuer, one.principal.subject, one.principal.client


@given(CALLERS, IDS)
def test_who_opened_a_session_may_use_it_whatever_else_a_later_token_says(one, session):
    refreshed = Caller.of(replace(one.principal, scopes=("other",), roles=("r",), expires=1.0), one.server)

    assert session == SESSIONS.admit(refreshed, SESSIONS.bind(one, session))


@given(CALLERS, CALLERS, IDS)
@pytest.mark.requirement("security.session-is-the-openers")
def test_nobody_else_may(one, other, session):
    assume(who(one) != who(other))

    assert SESSIONS.admit(other, SESSIONS.bind(one, session)) is None


@given(st.lists(TEXT, min_size=5, max_size=5), st.data())
def test_moving_text_from_one_field_to_the_next_makes_another_caller(fields, data):
    joined, cuts = "".join(fields), sorted(data.draw(st.integers(0, len("".join(fields)))) for _ in range(4))
    moved = [joined[a:b] for a, b in zip([0, *cuts], [*cuts, len(joined)], strict=True)]
    assume(moved[:4] != fields[:4])
    at, *rest = fields[:4]
    other_at, *others = moved[:4]

    assert SESSIONS.admit(caller(*others, other_at), SESSIONS.bind(caller(*rest, at), "1")) is None


def test_the_empty_id_is_none_even_with_a_tag_of_its_own():
    one = caller()

    assert None is Sessions([OLD]).admit(one, f"{_tag(OLD, _SESSION, one, '')}.")


def test_an_id_that_was_bound_before_is_admitted_after_an_upgrade():
    """Replicas of two versions serve one session: what is signed, and its spelling, may not change."""
    assert "GvVpaKEKkz7q23lQopLWpPEDesMQxPVPvLbjlKCOaDE.s" == Sessions([OLD]).bind(caller(), "s")


@pytest.mark.parametrize("between", ["x", ",", "-", ""])
def test_the_tag_and_the_id_are_parted_by_a_dot(between):
    tag, _, session = Sessions([OLD]).bind(caller(), "s").rpartition(".")

    assert None is Sessions([OLD]).admit(caller(), f"{tag}{between}{session}")


def test_a_question_about_a_policy_admits_every_id_as_it_is():
    assert "anything" == UnboundSessions().admit(caller(), "anything")


@pytest.mark.parametrize(("longest", "expected"), [(10, "x" * 10), (9, None)])
def test_an_id_is_admitted_up_to_the_longest_that_a_server_may_mint(longest, expected):
    bound = Sessions([OLD]).bind(caller(), "x" * 10)

    assert expected == Sessions([OLD], longest=longest).admit(caller(), bound)


def test_an_id_that_was_verified_is_not_verified_again_and_one_that_was_refused_is_not_kept():
    one, sessions = caller(), Sessions([OLD])
    bound = sessions.bind(one, "s")

    assert [None, "s"] == [sessions.admit(one, "x" * 50), sessions.admit(one, bound)]
    assert {(sessions, bound): "s"} == one.cache.sessions
    one.cache.sessions.put((sessions, bound), "kept")
    assert "kept" == sessions.admit(one, bound)
    assert "s" == Sessions([OLD]).admit(one, bound)


@given(IDS, st.data())
def test_an_id_with_one_character_changed_left_out_or_added_is_none(session, data):
    one = caller()
    bound = SESSIONS.bind(one, session)
    at = data.draw(st.integers(0, len(bound) - 1))
    other = data.draw(st.characters(max_codepoint=0x2FF, exclude_characters=bound[at]))

    assert SESSIONS.admit(one, bound[:at] + other + bound[at + 1 :]) is None
    assert SESSIONS.admit(one, bound[:at] + bound[at + 1 :]) is None
    assert SESSIONS.admit(one, bound[:at] + other + bound[at:]) is None


def test_each_spelling_of_the_last_characters_spare_bits_is_another_tag():
    one = caller()
    bound = SESSIONS.bind(one, "s")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    admitted = [last for last in alphabet if SESSIONS.admit(one, f"{bound[:42]}{last}.s")]
    assert [bound[42]] == admitted


@given(st.text())
def test_what_was_never_bound_is_no_session_and_raises_nothing(sent):
    assert SESSIONS.admit(caller(), sent) is None


@given(CALLERS, IDS)
def test_what_a_client_gets_is_visible_ascii_without_a_comma_and_44_characters_longer(one, session):
    bound = SESSIONS.bind(one, session)

    assert len(session) + 44 == len(bound)
    assert all("!" <= character <= "~" and character != "," for character in bound)


@pytest.mark.parametrize("session", ["", "a,b", "a b", "a\tb", "é", "a\n", "\x7f", "a" * 2049])
def test_an_id_that_could_not_come_back_cannot_be_bound(session):
    with pytest.raises(ValueError, match="visible ASCII"):
        SESSIONS.bind(caller(), session)


def test_a_longer_id_than_may_be_bound_is_not_admitted_either():
    bound = Sessions([OLD], longest=9).bind(caller(), "123456789")

    assert Sessions([OLD], longest=9).admit(caller(), bound) == "123456789"
    assert Sessions([OLD], longest=8).admit(caller(), bound) is None


def test_the_first_key_signs_and_both_verify():
    before, during, after = Sessions([OLD]), Sessions([NEW, OLD]), Sessions([NEW])
    old, new = before.bind(caller(), "s"), during.bind(caller(), "s")

    assert ["s", None] == [before.admit(caller(), each) for each in (old, new)]
    assert ["s", "s"] == [during.admit(caller(), each) for each in (old, new)]
    assert [None, "s"] == [after.admit(caller(), each) for each in (old, new)]


@pytest.mark.parametrize("keys", [[], [b""], [b"k" * (MIN_KEY - 1)], [OLD, b"short"]])
def test_a_key_that_is_missing_or_too_short_is_refused_without_being_quoted(keys):
    with pytest.raises(ValueError, match=f"^a session key of at least {MIN_KEY} bytes is needed$"):
        Sessions(keys)


def test_the_keys_are_not_in_what_is_printed():
    assert "oooo" not in repr(Sessions([OLD]))


def test_nobodies_share_sessions_with_nobodies_alone():
    bound = SESSIONS.bind(Caller.of(ANONYMOUS, "demo"), "s")

    assert SESSIONS.admit(Caller.of(ANONYMOUS, "demo"), bound) == "s"
    assert SESSIONS.admit(caller("", "x", ""), bound) is None


TARGET = snapshot(server(rule("allow", "echo")))


def asked(headers, body=None, method="POST"):
    if method != "POST":
        return post(b"", {"content-type": ..., **headers}, method=method)
    return post(body or message("tools/call", {"name": "echo", "arguments": {}}), headers)


EACH = [
    ("POST", None),
    ("POST", message("notifications/initialized", id=...)),
    ("POST", message(..., result={}, params=...)),
    ("GET", None),
    ("DELETE", None),
]


@pytest.mark.parametrize(("method", "body"), EACH)
def test_a_session_of_ones_own_goes_up_as_the_server_named_it(method, body):
    decision = check(asked({"mcp-session-id": own_session("abc")}, body, method), TARGET)

    assert (True, Replace("abc", own_session("abc"))) == (decision.allowed, decision.session)


@pytest.mark.parametrize(("method", "body"), EACH)
@pytest.mark.parametrize("sent", ["", "abc", own_session("abc")[:-1], SESSIONS.bind(caller(), "abc")])
@pytest.mark.requirement("reason.session_mismatch")
def test_any_other_session_is_refused_with_the_requests_id(method, body, sent):
    decision = check(asked({"mcp-session-id": sent}, body, method), TARGET)

    wanted = None if method != "POST" or (body or {}).get("method", "").startswith("notif") else 1
    assert (Reason.SESSION_MISMATCH, wanted, ABSENT) == (
        decision.reason,
        decision.request_id,
        decision.session,
    )


def test_the_session_is_judged_after_the_message_and_before_the_policy():
    mine, other = {"mcp-session-id": own_session()}, {"mcp-session-id": "x"}

    assert Reason.UNKNOWN_METHOD is check(asked(other, message("no/such")), TARGET).reason
    assert Reason.SESSION_MISMATCH is check(call("hidden", headers=_with(other)), TARGET).reason
    assert Reason.NO_RULE is check(call("hidden", headers=_with(mine)), TARGET).reason


def _with(headers):
    return {"authorization": f"Bearer {good_token()}", "content-type": "application/json", **headers}


@pytest.mark.parametrize("version", [MODERN])
@pytest.mark.parametrize("sent", ["x", "", own_session()])
def test_a_modern_request_goes_up_without_a_session_and_is_not_judged_by_it(version, sent):
    params = {"name": "echo", "arguments": {}}
    body = modern("tools/call", params)
    body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = version
    headers = {**mirrored("tools/call", "echo", version), "mcp-session-id": sent}
    posted = check(post(body, headers), TARGET)
    streamed = check(asked({"mcp-protocol-version": version, "mcp-session-id": sent}, method="GET"), TARGET)

    assert (True, REMOVE, False) == (posted.allowed, posted.session, posted.rewrite)
    assert (True, REMOVE) == (streamed.allowed, streamed.session)


@pytest.mark.parametrize("every", [False, True])
def test_a_call_outside_a_session_passes_the_rewriter_only_if_every_answer_does(every):
    context = snapshot(server(rule("allow", "echo")), rewrite_every_answer=every)
    request = post(modern("tools/call", {"name": "echo", "arguments": {}}), mirrored("tools/call", "echo"))

    assert every is check(request, context).rewrite
    assert not check(asked({}, message("notifications/initialized", id=...)), context).rewrite


EVENTS = st.binary(min_size=1, max_size=20)


@given(CALLERS, CALLERS, st.sampled_from([b"7", b"a b", b" x", "\u00fc".encode(), b"~7", b"a,b"]))
@pytest.mark.requirement("security.session-is-the-openers")
def test_an_event_belongs_to_who_got_it_and_its_id_comes_back_as_the_servers(one, other, event):
    bound = SESSIONS.bind_event(one, event).decode()

    assert event.decode() == SESSIONS.admit_event(one, bound)
    assert bound.isascii()
    assert bound.isprintable()
    assert who(one) == who(other) or SESSIONS.admit_event(other, bound) is None


@given(EVENTS)
def test_the_text_of_an_event_id_fits_a_header_and_is_read_back_or_there_is_none(event):
    text = to_text(event)

    assert text is None or (event.decode(), text) == (to_id(text), text.strip())
    assert text is None or (text.isascii() and text.isprintable())


@pytest.mark.parametrize("event", [b"", b"a\0", b"a\tb", b"\xff", "\u0085".encode(), b"x" * 2049])
def test_an_event_id_that_no_header_brings_back_is_not_bound(event):
    assert SESSIONS.bind_event(caller(), event) is None


def test_the_tag_of_a_session_is_none_of_an_event_and_the_other_way_round():
    one = caller()

    assert SESSIONS.admit_event(one, SESSIONS.bind(one, "7")) is None
    assert SESSIONS.admit(one, SESSIONS.bind_event(one, b"7").decode()) is None


def test_two_callers_without_a_subject_are_told_apart_by_what_stands_for_it():
    one, other = (
        Caller.of(replace(caller(subject="").principal, holder=holder), "demo")
        for holder in ("sid:a", "sid:b")
    )

    assert (b"7".decode(), None) == tuple(
        SESSIONS.admit_event(each, SESSIONS.bind_event(one, b"7").decode()) for each in (one, other)
    )
    assert ("s", None) == tuple(SESSIONS.admit(each, SESSIONS.bind(one, "s")) for each in (one, other))


GET = {"method": "GET"}


@pytest.mark.parametrize("request_", [post(b"", **GET), call()], ids=["GET", "POST"])
@pytest.mark.parametrize("sent", ["7", own_session("7"), own_event()[:-1] + "8", own_event() + "7"])
@pytest.mark.requirement("reason.session_mismatch")
def test_another_event_id_than_the_callers_own_is_refused(request_, sent):
    request = changed(request_, headers={**request_.headers, "last-event-id": sent})

    assert Reason.SESSION_MISMATCH is check(request, snapshot(server(rule("allow", "echo")))).reason


def test_the_callers_own_event_id_goes_up_as_the_servers_and_an_empty_one_is_none():
    target = snapshot(server())

    assert Replace("7", own_event()) == check(post(b"", {"last-event-id": own_event()}, **GET), target).event
    assert ABSENT == check(post(b"", {"last-event-id": ""}, **GET), target).event


def test_a_modern_request_goes_up_without_an_event_id():
    request = post(modern("tools/list"), {**mirrored("tools/list"), "last-event-id": "7"})

    assert REMOVE == check(request, snapshot(server())).event


@pytest.mark.parametrize("session", [None, "s"])
@pytest.mark.parametrize("event", [None, "e"])
def test_of_the_ids_that_nobody_verified_those_are_removed_that_were_sent(session, event):
    removed = BoundIds.removed(session, event)

    assert (ABSENT if session is None else REMOVE, ABSENT if event is None else REMOVE) == (
        removed.session,
        removed.event,
    )


def test_where_nothing_is_bound_an_id_is_what_was_sent():
    assert ("s", "e") == (
        UnboundSessions().admit(caller(), "s"),
        UnboundSessions().admit_event(caller(), "e"),
    )


@pytest.mark.parametrize("length", [1, 10])
def test_an_id_of_an_event_may_be_as_long_as_the_longest(length):
    sessions = Sessions([NEW], longest=length)
    bound = sessions.bind_event(caller(), b"x" * length)

    assert bound is not None
    assert "x" * length == sessions.admit_event(caller(), bound.decode())
    assert sessions.bind_event(caller(), b"x" * (length + 1)) is None


@pytest.mark.parametrize("event", [b"7", b"a b", b"!", b"a~", b"9/9"])
def test_a_plain_id_is_bound_as_it_is_and_any_other_in_base64(event):
    assert event.decode() == to_text(event)
    assert to_text(b" " + event).startswith("~")
    assert to_text(b"~" + event).startswith("~")

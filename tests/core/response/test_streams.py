import pytest

from authz.core.denial import render_denial
from authz.core.reasons import Reason
from authz.core.request import HttpRequest
from authz.core.response.streams import EXPECTED_SECONDS, OpenStreams, StreamShares
from tests.support.clock import ManualClock
from tests.support.core import changed, check, good_token, mirrored, modern, post, principal, server, snapshot

ANN, BOB = changed(principal(), subject="ann"), changed(principal(), subject="bob")


def streams(clock=None, per_caller=2, per_server=3):
    return OpenStreams(StreamShares(per_caller=per_caller, per_server=per_server), clock or ManualClock(0.0))


def test_a_caller_has_a_share_over_all_servers():
    counted = streams()

    assert [True, True, False, True] == [
        counted.admit(ANN, "a"),
        counted.admit(ANN, "b"),
        counted.admit(ANN, "c"),
        counted.admit(BOB, "c"),
    ]


def nameless(**parts):
    return changed(principal(), subject="", **parts)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (nameless(holder="sid:1"), nameless(holder="sid:2")),
        (nameless(client="agent"), nameless(client="other")),
        (nameless(), ANN),
        (changed(ANN, issuer="https://one.example/"), changed(ANN, issuer="https://other.example/")),
    ],
    ids=["sessions", "clients", "a subject and none", "issuers"],
)
def test_no_caller_takes_the_share_of_another(one, other):
    counted = streams(per_caller=1)

    assert [True, False, True] == [
        counted.admit(one, "a"),
        counted.admit(one, "a"),
        counted.admit(other, "a"),
    ]


@pytest.mark.parametrize("who", [ANN, nameless(holder="jti:1")], ids=["a subject", "a token's id"])
def test_a_caller_has_one_share_through_all_clients(who):
    counted = streams(per_caller=1)

    assert [True, False] == [
        counted.admit(changed(who, client="agent"), "a"),
        counted.admit(changed(who, client="other"), "a"),
    ]


def test_a_server_has_a_share_over_all_callers():
    counted = streams(per_caller=9)

    assert [True, True, True, False, True] == [
        *(counted.admit(ANN, "a") for _ in range(3)),
        counted.admit(BOB, "a"),
        counted.admit(BOB, "b"),
    ]


def test_a_stream_that_ended_makes_room_and_one_that_is_open_does_not():
    clock = ManualClock(0.0)
    counted = streams(clock)
    for _ in range(2):
        assert counted.admit(ANN, "a")
        counted.begin(ANN, "a")
    clock.now += 2 * EXPECTED_SECONDS

    assert not counted.admit(ANN, "a")
    counted.end(ANN, "a")
    assert counted.admit(ANN, "a")


def test_a_stream_that_does_not_begin_is_forgotten_and_one_that_began_is_counted_once():
    clock = ManualClock(0.0)
    counted = streams(clock)
    counted.admit(ANN, "a")
    counted.begin(ANN, "a")
    counted.admit(ANN, "a")
    clock.now += EXPECTED_SECONDS

    assert [True, False] == [counted.admit(ANN, "a"), counted.admit(ANN, "a")]


def test_a_stream_that_was_admitted_elsewhere_is_counted_here():
    counted = streams(per_caller=1)
    counted.begin(ANN, "a")

    assert not counted.admit(ANN, "a")
    counted.end(ANN, "a")
    assert counted.admit(ANN, "a")


def test_nothing_is_kept_of_streams_that_ended():
    clock = ManualClock(0.0)
    counted = streams(clock)
    for _ in range(2):
        counted.admit(ANN, "a")
        counted.begin(ANN, "a")
        counted.end(ANN, "a")
    clock.now += EXPECTED_SECONDS
    counted.admit(BOB, "b")

    assert [["b"], [(BOB.issuer, "bob", "", "")]] == [list(counted._servers), list(counted._callers)]


LISTEN = post(
    modern("subscriptions/listen", {"notifications": {"toolsListChanged": True}}),
    mirrored("subscriptions/listen"),
)
GET = HttpRequest(
    method="GET",
    host="mcp.example",
    path="/mcp",
    headers={"authorization": f"Bearer {good_token()}", "accept": "text/event-stream"},
)


@pytest.mark.parametrize("request_", [LISTEN, GET], ids=["listen", "GET"])
@pytest.mark.requirement("reason.too_many_streams")
def test_a_stream_beyond_the_share_is_denied_with_429_and_when_to_come_back(request_):
    counted = streams(per_caller=1)
    target = snapshot(server(), admit_stream=counted.admit)

    allowed, denied = check(request_, target), check(request_, target)

    assert (Reason.ALLOWED, Reason.TOO_MANY_STREAMS) == (allowed.reason, denied.reason)
    assert (True, False) == (allowed.rewrite, denied.rewrite)
    response = render_denial(denied, target.servers[denied.server], request_, "id")
    assert (429, "10") == (response.status, dict(response.headers)["retry-after"])


def test_what_opens_no_stream_is_never_counted():
    target = snapshot(server(), admit_stream=streams(per_caller=0).admit)

    assert Reason.ALLOWED is check(post(modern("tools/list"), mirrored("tools/list")), target).reason


def test_open_streams_are_told_by_server():
    counted = streams(per_caller=9, per_server=9)
    for who, where in ((ANN, "a"), (BOB, "a"), (ANN, "b")):
        counted.begin(who, where)
    counted.admit(ANN, "b")
    counted.end(BOB, "a")

    assert {"a": 1, "b": 1} == dict(counted.by_server())

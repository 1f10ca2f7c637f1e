"""What is kept of answers is bounded, whatever a sender writes."""

import pytest

from authz.core.decision import Decision
from authz.core.mcp.item import Item, Kind
from authz.core.reasons import Reason
from authz.edge.envoy import check_response as replies
from tests.support.core import post, server

ID = "0123456789abcdef"


def allowed(**parts):
    return Decision(reason=Reason.ALLOWED, allowed=True, server="demo", **parts)


def test_a_session_id_that_is_taken_off_is_not_kept():
    replies._session.cache_clear()
    for number in range(100):
        request = post({}, {"mcp-session-id": f"{number}-" + "x" * 5000})
        replies.allow(allowed(method="ping", session=""), request, server(), "p", ID)

    assert 1 == replies._session.cache_info().currsize


@pytest.mark.parametrize(
    ("method", "item"),
    [
        ("m" * 2000, None),
        ("tools/call", Item(Kind.TOOL, "t" * 2000)),
        ("m" * 200, Item(Kind.TOOL, "t" * 200)),
    ],
)
def test_a_long_name_is_answered_and_not_kept(method, item):
    replies._TOLD.clear()
    answer = replies.allow(allowed(method=method, item=item), post({}), server(), "p", ID)

    assert method[:100].encode() in answer
    assert 0 == len(replies._TOLD)


def test_what_is_kept_of_calls_is_bounded_and_what_came_first_goes_first(monkeypatch):
    monkeypatch.setattr(replies, "_REMEMBERED", 3)
    monkeypatch.setattr(replies, "_TOLD", {})
    told = [replies._told("tools/call", "rule", Item(Kind.TOOL, name)) for name in "abcda"]

    assert told[0] == told[4]
    assert list("cda") == [item.name for _, _, item in replies._TOLD]

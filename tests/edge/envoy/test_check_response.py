"""What is cached of responses is bounded, whatever a sender writes."""

import pytest
from envoy.service.auth.v3 import external_auth_pb2

from authz.core.decision import Decision
from authz.core.identity.principal import Caller
from authz.core.identity.session import ABSENT, REMOVE, Replace
from authz.core.mcp.item import Item, Kind
from authz.core.reasons import Reason
from authz.edge.envoy import check_response
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

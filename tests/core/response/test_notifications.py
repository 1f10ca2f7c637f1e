"""Notifications that name something: whether their reader may know of it, asked of the notification alone."""

import msgspec
import pytest
from msgspec import Raw

from authz.core.mcp.item import Item, Kind
from authz.core.mcp.methods import SUBSCRIBABLE
from authz.core.response.notifications import ACKNOWLEDGED, NOTIFICATIONS, is_visible
from authz.core.wire.raw_json import UnfitError
from authz.core.wire.width import TooWideError


def members(method, params=None):
    """The members of a notification, as the filter opens it."""
    given = {"method": Raw(msgspec.json.encode(method))}
    return given if params is None else {**given, "params": Raw(params)}


def asked(method, params=None, *, hidden=()):
    """The verdict, and what was asked for it."""
    seen = []

    def visible(item):
        seen.append(item)
        return item.name not in hidden

    return is_visible(members(method, params), visible), seen


@pytest.mark.parametrize(("method", "about"), NOTIFICATIONS.items())
@pytest.mark.parametrize("hidden", [(), ("it",)])
def test_a_notification_about_one_thing_is_for_those_who_may_see_it(method, about, hidden):
    kind, key = about

    assert (not hidden, [Item(kind, "it")]) == asked(method, b'{"%b":"it"}' % key.encode(), hidden=hidden)


def test_the_names_of_the_protocol_are_those_that_are_judged():
    assert {
        "notifications/resources/updated": (Kind.RESOURCE, "uri"),
        "notifications/tasks/status": (Kind.TASK, "taskId"),
        "notifications/tasks": (Kind.TASK, "taskId"),
    } == NOTIFICATIONS
    assert "notifications/subscriptions/acknowledged" == ACKNOWLEDGED


@pytest.mark.parametrize(("method", "about"), NOTIFICATIONS.items())
@pytest.mark.parametrize("again", ["it", "other"])
def test_a_name_in_params_that_two_readers_could_take_for_another_is_refused(method, about, again):
    key = about[1]
    params = msgspec.json.encode({key: "it", key.upper(): again})

    with pytest.raises(UnfitError):
        asked(method, params)


def test_an_acknowledgement_whose_subscription_has_a_look_alike_is_refused():
    with pytest.raises(UnfitError):
        asked(ACKNOWLEDGED, b'{"notifications":{},"Notifications":{"taskIds":["hidden"]}}')


@pytest.mark.parametrize(("key", "kind"), SUBSCRIBABLE.items())
def test_an_acknowledgement_may_say_null_for_what_was_not_asked_for(key, kind):
    assert (True, []) == asked(ACKNOWLEDGED, b'{"notifications":{"%b":null}}' % key.encode())


@pytest.mark.parametrize("count", [10_000, 10_001])
def test_an_acknowledgement_names_no_more_than_a_subscription_may(count):
    params = msgspec.json.encode({"notifications": {"resourceSubscriptions": ["a"] * count}})
    if count == 10_000:
        assert count == len(asked(ACKNOWLEDGED, params)[1])
        return
    with pytest.raises(TooWideError):
        asked(ACKNOWLEDGED, params)


@pytest.mark.parametrize("method", [ACKNOWLEDGED, *NOTIFICATIONS])
def test_params_of_very_many_members_are_refused_before_they_are_opened(method):
    params = msgspec.json.encode({**{f"k{n}": 0 for n in range(10_001)}, "uri": "it", "taskId": "it"})

    with pytest.raises(TooWideError):
        asked(method, params)


def test_a_resource_and_a_task_of_one_name_are_two_things():
    params = b'{"uri":"it","taskId":"other"}'

    assert [Item(Kind.RESOURCE, "it")] == asked("notifications/resources/updated", params)[1]
    assert [Item(Kind.TASK, "other")] == asked("notifications/tasks/status", params)[1]


@pytest.mark.parametrize(
    "method",
    [
        "notifications/progress",
        "notifications/message",
        "notifications/tools/list_changed",
        "notifications/resources/UPDATED",
        "notifications/resources/updated ",
        "",
    ],
)
@pytest.mark.parametrize("params", [None, b"{}", b'{"uri":"it"}', b"[1]", b"7"])
def test_of_any_other_notification_nothing_is_asked_or_read(method, params):
    assert (True, []) == asked(method, params, hidden=("it",))


@pytest.mark.parametrize("method", NOTIFICATIONS)
@pytest.mark.parametrize(
    "params",
    [
        None,
        b"{}",
        b"[]",
        b"null",
        b'"it"',
        b'{"uri":1,"taskId":1}',
        b'{"uri":null,"taskId":null}',
        b'{"uri":["it"],"taskId":["it"]}',
        b'{"uri":"it","uri":"it","taskId":"it","taskId":"it"}',
        b'{"uri":"it","URI":"it","taskId":"it","TASKID":"it"}',
        b'{"uri":"it","uri\\u0000":"it","taskId":"it","taskId\\u0000":"it"}',
    ],
)
def test_a_notification_that_does_not_say_plainly_what_it_is_about_is_refused(method, params):
    with pytest.raises((UnfitError, msgspec.DecodeError)):
        asked(method, params)


@pytest.mark.parametrize(("key", "kind"), SUBSCRIBABLE.items())
def test_an_acknowledgement_asks_for_each_thing_that_it_repeats(key, kind):
    params = b'{"notifications":{"toolsListChanged":true,"%b":["a","b"]}}' % key.encode()

    assert (True, [Item(kind, "a"), Item(kind, "b")]) == asked(ACKNOWLEDGED, params)


@pytest.mark.parametrize(
    "params", [None, b"{}", b'{"notifications":{}}', b'{"notifications":{"resourceSubscriptions":[]}}']
)
def test_an_acknowledgement_of_nothing_in_particular_is_for_anybody(params):
    assert (True, []) == asked(ACKNOWLEDGED, params)


@pytest.mark.parametrize(
    "subscription",
    [
        b'{"resourceSubscriptions":["shown","hidden"]}',
        b'{"taskIds":["hidden"]}',
        b'{"resourceSubscriptions":["shown"],"taskIds":["hidden"]}',
        b'{"resourceSubscriptions":"shown"}',
        b'{"resourceSubscriptions":[1]}',
        b'{"resourceSubscriptions":{"shown":1}}',
        b'{"resourceSubscriptions":["shown"],"resourceSubscriptions":["shown"]}',
        b'{"resourceSubscriptions":["shown"],"ResourceSubscriptions":["hidden"]}',
        b"[]",
        b"1",
    ],
)
def test_an_acknowledgement_is_refused_whole_where_its_reader_may_not_have_a_part_of_it(subscription):
    """It is the server's word on what was granted: one that is cut would claim what nobody said."""
    with pytest.raises((UnfitError, msgspec.DecodeError)):
        asked(ACKNOWLEDGED, b'{"notifications":%b}' % subscription, hidden=("hidden",))


@pytest.mark.parametrize("method", [b"1", b"null", b"[]", b"{}"])
def test_a_method_that_is_no_string_is_refused(method):
    with pytest.raises((UnfitError, msgspec.DecodeError)):
        is_visible({"method": Raw(method)}, lambda _: True)

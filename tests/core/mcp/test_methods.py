"""The method table knows what the specification's schemas know, in the era that knows it, and nothing else."""

import pytest

from authz.core.mcp.item import Item, Kind, Template
from authz.core.mcp.methods import HTTP_METHODS, METHODS, USES, Era
from authz.core.request import DEFAULT_LIMITS

BOTH, LEGACY, MODERN = (Era.LEGACY, Era.MODERN), (Era.LEGACY,), (Era.MODERN,)

REQUESTS = {
    "initialize": LEGACY,
    "server/discover": MODERN,
    "ping": LEGACY,
    "tools/list": BOTH,
    "tools/call": BOTH,
    "prompts/list": BOTH,
    "prompts/get": BOTH,
    "resources/list": BOTH,
    "resources/templates/list": BOTH,
    "resources/read": BOTH,
    "resources/subscribe": LEGACY,
    "resources/unsubscribe": LEGACY,
    "subscriptions/listen": MODERN,
    "completion/complete": BOTH,
    "logging/setLevel": LEGACY,
    "tasks/get": BOTH,
    "tasks/result": LEGACY,
    "tasks/cancel": BOTH,
    "tasks/list": LEGACY,
    "tasks/update": MODERN,
    "skills/list": BOTH,
    "skills/get": BOTH,
    "resources/directory/read": BOTH,
}
NOTIFICATIONS = {
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/tasks/status",
}
LISTS = {
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/directory/read",
    "tasks/list",
    "skills/list",
}
UNASKED = {"skills/get", "subscriptions/listen"}


def test_the_table_holds_the_methods_that_clients_may_send_and_no_other():
    assert REQUESTS.keys() | NOTIFICATIONS == METHODS.keys()


@pytest.mark.parametrize(("method", "eras"), REQUESTS.items())
def test_a_request_is_known_in_its_eras(method, eras):
    assert eras == METHODS[method].eras
    assert not METHODS[method].notification


@pytest.mark.parametrize("method", sorted(NOTIFICATIONS))
def test_a_client_notifies_only_in_the_legacy_era_and_names_nothing(method):
    row = METHODS[method]

    assert (LEGACY, True, None, False) == (row.eras, row.notification, row.extract_items, row.lists)


@pytest.mark.requirement("protocol.method-table")
def test_exactly_the_methods_whose_response_can_name_what_was_not_asked_for_are_trimmed():
    assert {name for name, row in METHODS.items() if row.lists} == LISTS | UNASKED


def test_a_stream_may_redeliver_a_list_and_the_end_of_a_session_may_not():
    assert {"GET": True, "DELETE": False} == {name: row.lists for name, row in HTTP_METHODS.items()}


@pytest.mark.parametrize(
    ("method", "params", "items"),
    [
        ("tools/call", {"name": "echo"}, (Item(Kind.TOOL, "echo"),)),
        ("prompts/get", {"name": "greet"}, (Item(Kind.PROMPT, "greet"),)),
        ("resources/read", {"uri": "file:///a"}, (Item(Kind.RESOURCE, "file:///a"),)),
        ("resources/subscribe", {"uri": "file:///a"}, (Item(Kind.RESOURCE, "file:///a"),)),
        ("resources/unsubscribe", {"uri": "file:///a"}, (Item(Kind.RESOURCE, "file:///a"),)),
        ("resources/directory/read", {"uri": "file:///a/"}, (Item(Kind.RESOURCE, "file:///a/"),)),
        ("skills/get", {"uri": "skill://a"}, (Item(Kind.RESOURCE, "skill://a"),)),
        ("tasks/get", {"taskId": "t1"}, (Item(Kind.TASK, "t1"),)),
        ("tasks/result", {"taskId": "t1"}, (Item(Kind.TASK, "t1"),)),
        ("tasks/update", {"taskId": "t1"}, (Item(Kind.TASK, "t1"),)),
        ("tasks/cancel", {"taskId": "t1"}, (Item(Kind.TASK, "t1"),)),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}}, (Item(Kind.PROMPT, "p"),)),
        ("completion/complete", {"ref": {"type": "ref/resource", "uri": "r"}}, (Item(Kind.RESOURCE, "r"),)),
        (
            "completion/complete",
            {"ref": {"type": "ref/resource", "uri": "r/{x}"}},
            (Template(Kind.RESOURCE, "r/{x}"),),
        ),
        ("completion/complete", {"ref": {"type": "ref/resource", "name": "r"}}, None),
        ("completion/complete", {"ref": {"type": "ref/tool", "name": "t"}}, None),
        ("completion/complete", {"ref": {"name": "p"}}, None),
        ("completion/complete", {"ref": "p"}, None),
        ("completion/complete", {}, None),
        ("subscriptions/listen", {"notifications": {}}, ()),
        ("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, ()),
        (
            "subscriptions/listen",
            {"notifications": {"resourceSubscriptions": ["a", "b"], "taskIds": ["t"], "x": False}},
            (Item(Kind.RESOURCE, "a"), Item(Kind.RESOURCE, "b"), Item(Kind.TASK, "t")),
        ),
        ("subscriptions/listen", {"notifications": {"resourceSubscriptions": "a"}}, None),
        ("subscriptions/listen", {"notifications": {"resourceSubscriptions": True}}, None),
        ("subscriptions/listen", {"notifications": {"resourceSubscriptions": ["a", 1]}}, None),
        ("subscriptions/listen", {"notifications": {"resourceSubscriptions": [""]}}, None),
        ("subscriptions/listen", {"notifications": {"vendorUris": ["a"]}}, None),
        ("subscriptions/listen", {"notifications": ["a"]}, None),
        ("subscriptions/listen", {}, None),
        ("tools/call", {}, None),
        ("tools/call", {"name": ""}, None),
        ("tools/call", {"name": None}, None),
        ("tools/call", {"name": ["echo"]}, None),
        ("tools/call", {"uri": "echo"}, None),
    ],
)
def test_a_method_names_what_its_params_say_or_nothing_acceptable(method, params, items):
    namer = METHODS[method].extract_items

    assert namer is not None
    assert items == namer(params, DEFAULT_LIMITS)


def test_every_method_that_reads_or_uses_one_thing_names_it():
    silent = {name for name, row in METHODS.items() if row.extract_items is None and not row.notification}

    assert silent == {
        "initialize",
        "server/discover",
        "ping",
        "logging/setLevel",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "tasks/list",
        "skills/list",
    }


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_used_by_a_method_that_names_it(kind):
    namer = METHODS[USES[kind]].extract_items

    assert namer is not None
    assert (Item(kind, "x"),) == namer({"name": "x", "uri": "x", "taskId": "x"}, DEFAULT_LIMITS)


@pytest.mark.parametrize("table", [METHODS, HTTP_METHODS, USES])
def test_the_tables_cannot_be_changed(table):
    with pytest.raises(TypeError):
        table["x"] = None

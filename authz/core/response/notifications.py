"""Notifications of a server that name something: whether their reader may know of it.

Who subscribed to a resource was allowed to, but a server may notify of a part of it, and a stream is held open longer
than one request. So each such notification is judged by itself, by the rules that decide calls. Free text in other
notifications (log messages, progress) is not judged.

Sources: `notifications/resources/updated` and `notifications/subscriptions/acknowledged` of MCP 2026-07-28,
`notifications/tasks/status` of 2025-11-25, `notifications/tasks` of the tasks extension (SEP-2663).
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from msgspec import Raw
from msgspec.json import Decoder

from authz.core.mcp.item import Item, Kind, Visible
from authz.core.mcp.methods import SUBSCRIBABLE
from authz.core.wire.raw_json import UnfitError, name_at, open_object, text
from authz.core.wire.width import check_members

NOTIFICATIONS: Mapping[str, tuple[Kind, str]] = MappingProxyType(
    {
        "notifications/resources/updated": (Kind.RESOURCE, "uri"),
        "notifications/tasks/status": (Kind.TASK, "taskId"),
        "notifications/tasks": (Kind.TASK, "taskId"),
    }
)
"""Notifications about one thing: its kind, and the param that names it."""

ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
"""The first message of a `subscriptions/listen` stream, which repeats what was asked for."""

MAX_NAMES = 10_000
"""Most things that an acknowledgement may name, and most members of what it stands in: a subscription may name no more."""

_PARAMS = frozenset({"uri", "taskId", "notifications"})
_SUBSCRIPTION = frozenset(SUBSCRIBABLE)
_NULL = Raw(b"null")
_NAMES = Decoder(list[str]).decode


def is_visible(notification: Mapping[str, Raw], visible: Visible) -> bool:
    """Return whether the reader of a stream may get a notification.

    Args:
        notification: its members.
        visible: asked for each thing that it names.

    Raises:
        UnfitError: it does not name what it must, or repeats a subscription that its reader cannot have.
        msgspec.DecodeError: a name is no string.
    """
    method = text(notification["method"])
    if method == ACKNOWLEDGED:
        if not all(map(visible, _subscribed(_params(notification)))):
            msg = "a subscription to something that its reader may not see"
            raise UnfitError(msg)
        return True
    if method not in NOTIFICATIONS:
        return True
    kind, key = NOTIFICATIONS[method]
    return visible(Item(kind, name_at(_params(notification), key)))


def _params(notification: Mapping[str, Raw]) -> Mapping[str, Raw]:
    params = notification.get("params", Raw(b"{}"))
    check_members(params, MAX_NAMES)  # a subscription is not among what may be wide, so its names count
    return open_object(params, _PARAMS)


def _subscribed(params: Mapping[str, Raw]) -> Iterator[Item]:
    subscription = params.get("notifications", Raw(b"{}"))
    for key, raw in open_object(subscription, _SUBSCRIPTION).items():
        kind = SUBSCRIBABLE.get(key)
        if kind is not None and raw != _NULL:
            yield from (Item(kind, name) for name in _NAMES(raw))

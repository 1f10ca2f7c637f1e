"""The method table: every method of MCP that a client may send, and what each one needs.

Rules of this file:

* A method that has no row is denied. Rows come from the specification's schemas of 2025-03-26 to 2026-07-28 and
  of the tasks (SEP-2663) and skills (SEP-2640) extensions.
* `extract_items` says where in `params` the thing stands that a rule must allow. A method that names nothing needs a valid
  token and no rule.
* `lists` marks methods whose response can name what was not asked for: a list, a skill's files, the notifications of
  a subscription. It is then trimmed to what the caller may use.
* `starts_session` marks the method whose response can begin a session, `may_stream` those whose response can stay open for as long
  as the client likes.
* `shows_rewriter` marks methods whose answer comes at once and holds nothing to trim: it goes to the rewriter only where it
  is not known whether there is one, so that this is known before a list is asked for.
* `eras`: 2026-07-28 dropped the handshake and with it some methods; a method of the other era is unknown.
* `GET` and `DELETE` are rows too, because the streamable transport uses them without a message: a GET stream can
  redeliver the response of an earlier list request (Last-Event-ID), so it counts as a list.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any

from authz.core.mcp.item import Item, Kind, resource_or_template
from authz.core.request import Limits

# MCP protocol versions, and the era that a declared one belongs to.
#
# A version outside the four handshake versions is held to the modern rules, wherever it is named. So an unknown version
# meets the stricter checks first, and is refused after them: what a message of a version that is not known here means
# to a server cannot be judged, for a later version may name a tool in another place.

HANDSHAKE_VERSIONS = frozenset({"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"})
MODERN_VERSIONS = ("2026-07-28",)
"""Versions with per-request metadata, the oldest first; what a refused client is told it may use."""
ASSUMED_VERSION = "2025-03-26"
"""The version of a legacy request without `MCP-Protocol-Version` (2025-06-18, transports)."""


def is_modern(version: str) -> bool:
    """Return whether a declared version is held to the rules of 2026-07-28; an undeclared one (empty) is not."""
    return bool(version) and version not in HANDSHAKE_VERSIONS


def is_known(version: str) -> bool:
    """Return whether messages of a declared version can be judged; an undeclared one (empty) is assumed to be old."""
    return version in MODERN_VERSIONS or not is_modern(version)


Params = Mapping[str, Any]
Namer = Callable[[Params, Limits], tuple[Item, ...] | None]
"""Reads the items that a message names from its params; None when they are missing, of the wrong type, or too many.

Counts and lengths come first: to look into a URI takes time in its length."""


class Era(Enum):
    """Which generation of the protocol: the handshake of 2025 and before, or per-request metadata since 2026-07-28."""

    LEGACY = "legacy"
    MODERN = "modern"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One row of the table.

    Attributes:
        eras: the eras that know the method.
        extract_items: reads the items it names, None when it names nothing.
        mirror: the param that a modern client repeats in the `Mcp-Name` header, None if there is none (SEP-2243).
        lists: whether the response can name items beside those that were asked for.
        starts_session: whether the response can begin a session.
        shows_rewriter: whether the response goes to the rewriter where it is not known whether there is one.
        may_stream: whether the response can stay open, so that the caller's token can expire meanwhile.
        arguments: whether it has arguments that rules may read; on any other method they would be a caller's invention.
        notification: whether it is sent without an id and without an answer.
    """

    eras: tuple[Era, ...] = (Era.LEGACY, Era.MODERN)
    extract_items: Namer | None = None
    mirror: str | None = None
    lists: bool = False
    starts_session: bool = False
    shows_rewriter: bool = False
    may_stream: bool = False
    arguments: bool = False
    notification: bool = False


def _one(kind: Kind, key: str) -> Namer:
    """Read one item whose name is the string at `key`."""

    def read(params: Params, limits: Limits) -> tuple[Item, ...] | None:
        name = params.get(key)
        if not isinstance(name, str) or not 0 < len(name) <= limits.name:
            return None
        return (Item(kind, name),)

    return read


def _reference(params: Params, limits: Limits) -> tuple[Item, ...] | None:
    """Read what a completion refers to: `ref/prompt` by name, `ref/resource` by URI or template."""
    ref = params.get("ref")
    if not isinstance(ref, dict):
        return None
    kind = ref.get("type")
    row = _REFERENCES.get(kind) if isinstance(kind, str) else None
    named = _one(*row)(ref, limits) if row else None
    if named is None or named[0].kind is not Kind.RESOURCE:
        return named
    return (resource_or_template(named[0].name),)


_REFERENCES = {"ref/prompt": (Kind.PROMPT, "name"), "ref/resource": (Kind.RESOURCE, "uri")}

SUBSCRIBABLE: Mapping[str, Kind] = MappingProxyType(
    {"resourceSubscriptions": Kind.RESOURCE, "taskIds": Kind.TASK}
)
"""Members of a subscription that hold names, to the kind of what they name."""


def _subscriptions(params: Params, limits: Limits) -> tuple[Item, ...] | None:
    """Read every URI and task id that `subscriptions/listen` asks for; a flag names nothing, nor does null."""
    wanted = params.get("notifications")
    if not isinstance(wanted, dict) or not all(map(_is_subscription, wanted, wanted.values())):
        return None
    named = {kind: wanted.get(key) or () for key, kind in SUBSCRIBABLE.items()}
    if sum(map(len, named.values())) > limits.items:  # before any of them is looked at
        return None
    names = [name for listed in named.values() for name in listed]
    if not all(isinstance(name, str) and 0 < len(name) <= limits.name for name in names):
        return None
    return tuple(dict.fromkeys(Item(kind, name) for kind, listed in named.items() for name in listed))


def _is_subscription(key: str, value: Any) -> bool:
    return value is None or isinstance(value, list if key in SUBSCRIBABLE else bool)


def _rows() -> dict[str, Method]:
    legacy, modern = (Era.LEGACY,), (Era.MODERN,)
    task, uri = _one(Kind.TASK, "taskId"), _one(Kind.RESOURCE, "uri")
    return {
        "initialize": Method(eras=legacy, starts_session=True),
        "server/discover": Method(eras=modern, shows_rewriter=True),
        "ping": Method(eras=legacy, shows_rewriter=True),
        "logging/setLevel": Method(eras=legacy),
        "tools/list": Method(lists=True),
        "tools/call": Method(extract_items=_one(Kind.TOOL, "name"), mirror="name", arguments=True),
        "prompts/list": Method(lists=True),
        "prompts/get": Method(extract_items=_one(Kind.PROMPT, "name"), mirror="name", arguments=True),
        "resources/list": Method(lists=True),
        "resources/templates/list": Method(lists=True),
        "resources/read": Method(extract_items=uri, mirror="uri"),
        "resources/subscribe": Method(eras=legacy, extract_items=uri),
        "resources/unsubscribe": Method(eras=legacy, extract_items=uri),
        "resources/directory/read": Method(extract_items=uri, lists=True),
        "subscriptions/listen": Method(
            eras=modern, extract_items=_subscriptions, lists=True, may_stream=True
        ),
        "completion/complete": Method(extract_items=_reference),
        "tasks/list": Method(eras=legacy, lists=True),
        "tasks/get": Method(extract_items=task, mirror="taskId"),
        "tasks/result": Method(eras=legacy, extract_items=task),
        "tasks/update": Method(eras=modern, extract_items=task, mirror="taskId"),
        "tasks/cancel": Method(extract_items=task, mirror="taskId"),
        "skills/list": Method(lists=True),
        "skills/get": Method(extract_items=uri, lists=True),
        "notifications/initialized": Method(eras=legacy, notification=True),
        "notifications/cancelled": Method(eras=legacy, notification=True),
        "notifications/progress": Method(eras=legacy, notification=True),
        "notifications/roots/list_changed": Method(eras=legacy, notification=True),
        "notifications/tasks/status": Method(eras=legacy, notification=True),
    }


METHODS: Mapping[str, Method] = MappingProxyType(_rows())

HTTP_METHODS: Mapping[str, Method] = MappingProxyType(
    {"GET": Method(lists=True, may_stream=True), "DELETE": Method()}
)
"""HTTP methods that carry no message. POST is not here: what it needs is its message's row."""

STREAMS = frozenset(name for name, row in {**METHODS, **HTTP_METHODS}.items() if row.may_stream)
"""The methods whose response can stay open for as long as the client likes."""

VENDOR = Method()
"""The row of a method that a server's configuration opens by name: a valid token and no rule."""

USES: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.TOOL: "tools/call",
        Kind.PROMPT: "prompts/get",
        Kind.RESOURCE: "resources/read",
        Kind.TASK: "tasks/get",
    },
)
"""The method by which an item of a list is used: what a rule sees as `mcp.method` when visibility is judged."""

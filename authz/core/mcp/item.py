"""The things a rule can name: tools, prompts, resources, tasks."""

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias
from urllib.parse import unquote

import msgspec

# Resource URIs that two readers could take for two resources.
#
# A rule for `file:///public/*` must not admit `file:///public/../secret`: the rule compares text, the server walks a path.
# Which of the escaped spellings a server undoes is not known here, so all of them count.

_MAX_ROUNDS = 8
"""Times that percent-encoding is undone; what is still encoded then is refused."""


def is_ambiguous(uri: str) -> bool:
    """Return whether a URI holds a dot segment in any spelling, or a control character."""
    for _ in range(_MAX_ROUNDS):
        decoded = unquote(uri)
        if decoded == uri:
            return not uri.isprintable() or _has_dot_segment(uri)
        uri = decoded
    return True


def _has_dot_segment(text: str) -> bool:
    if "." not in text:
        return False
    segments = text.replace("\\", "/").replace("?", "/").replace("#", "/").replace(";", "/").split("/")
    return "." in segments or ".." in segments


class Kind(StrEnum):
    """What sort of thing an item is. The value is the word used in records and metrics."""

    TOOL = "tool"
    PROMPT = "prompt"
    RESOURCE = "resource"
    TASK = "task"

    __hash__ = str.__hash__  # an Enum's own is Python code, and every look-up of an item asks for it


class Item(msgspec.Struct, frozen=True):
    """One nameable thing of an MCP server.

    Attributes:
        kind: its sort.
        name: a tool's or prompt's name, a resource's URI or URI template, a task's id.
    """

    kind: Kind
    name: str


Visible: TypeAlias = Callable[[Item], bool]
"""Whether somebody may see an item."""


def is_nameable(item: Item) -> bool:
    """Return whether a request can name an item: a name is not empty, and a resource's URI means one resource to all."""
    return bool(item.name) and not (item.kind is Kind.RESOURCE and is_ambiguous(item.name))

"""The things a rule can name: tools, prompts, resources, tasks."""

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

import msgspec


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

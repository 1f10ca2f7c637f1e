"""The things a rule can name: tools, prompts, resources, tasks."""

from collections.abc import Callable, Mapping
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


class Template(Item, frozen=True):
    """A URI template (RFC 6570) where a resource could stand: in a list of templates, or in a completion.

    It equals no item of the same name, because to read that text is another thing.
    """


def resource_or_template(text: str) -> Item:
    """Return the item that a text names where either may stand; no URI holds a brace (RFC 3986 section 2)."""
    kind = Template if "{" in text or "}" in text else Item
    return kind(Kind.RESOURCE, text)


Visible: TypeAlias = Callable[[Item], bool]
"""Whether somebody may see an item."""


class ListName(StrEnum):
    """A list of a server, by the member of the result that holds it."""

    TOOLS = "tools"
    PROMPTS = "prompts"
    RESOURCES = "resources"
    TEMPLATES = "resourceTemplates"
    SKILLS = "skills"

    __hash__ = str.__hash__


NAMED_BY: Mapping[ListName, str] = {
    ListName.TOOLS: "name",
    ListName.PROMPTS: "name",
    ListName.RESOURCES: "uri",
    ListName.TEMPLATES: "uriTemplate",
    ListName.SKILLS: "uri",
}
"""The member that names an item, for each list."""
LIST_NAMES: Mapping[Kind, tuple[ListName, ...]] = {
    Kind.TOOL: (ListName.TOOLS,),
    Kind.PROMPT: (ListName.PROMPTS,),
    Kind.RESOURCE: (ListName.RESOURCES, ListName.SKILLS, ListName.TEMPLATES),
    Kind.TASK: (),
}
"""The lists in which an item of a kind can stand, what names it exactly before what only describes it."""

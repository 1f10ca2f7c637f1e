"""A rule of the native file as a typed model: what it selects, and on which conditions."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
    model_validator,
)

from authz.config.native.arguments import Argument
from authz.config.validation import Section, Text
from authz.core.policy.rule import Groups

_OR_NAME = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}
"""A list, or the name of one in `define`, which is put in its place before the model is asked."""
_SCOPE = re.compile(r"^[\x21\x23-\x5B\x5D-\x7E]{1,256}$")


def _scope(text: str) -> str:
    """Accept one scope; the error of several in one text says how to write them."""
    if _SCOPE.fullmatch(text):
        return text
    words = text.split()
    each = f"; write each as an item: [{', '.join(words)}]" if len(words) > 1 else ""
    msg = f"a scope is one word of visible ASCII characters without quotes and backslashes{each}"
    raise ValueError(msg)


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Word = Annotated[str, AfterValidator(_scope), Field(json_schema_extra={"pattern": _SCOPE.pattern})]
"""A scope, in the characters of RFC 6749 section 3.3, so that a challenge can name it."""


def _arguments_form(value: Any) -> str:
    return "[locked]" if isinstance(value, str) else "[declared]"


RuleArguments = Annotated[
    Annotated[dict[Text, Argument], Tag("[declared]")] | Annotated[Literal["locked"], Tag("[locked]")],
    Discriminator(_arguments_form),
]


Names = Annotated[list[Text], WithJsonSchema(_OR_NAME)]


class ToolHints(Section):
    """Tools by what the lock says of them; what it does not say counts as the worst case."""

    readOnly: bool | None = None  # noqa: N815 - MCP's own word
    destructive: bool | None = None
    idempotent: bool | None = None
    openWorld: bool | None = None  # noqa: N815 - MCP's own word

    @model_validator(mode="after")
    def _says_something(self) -> "ToolHints":
        if not self.given:
            msg = "selects nothing: write readOnly, destructive, idempotent or openWorld"
            raise ValueError(msg)
        return self

    @property
    def given(self) -> dict[str, bool]:
        """What is asked for."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


def _tools_form(value: Any) -> str:
    return "[annotations]" if isinstance(value, dict | ToolHints) else "[names]"


SelectedTools = Annotated[
    Annotated[Names, Tag("[names]")] | Annotated[ToolHints, Tag("[annotations]")],
    Discriminator(_tools_form),
]


class Select(Section):
    """Names, with `*` for any text; resources by URI; tools also by their annotations in the lock."""

    tools: SelectedTools = Field([])
    prompts: Names = Field([])
    resources: Names = Field([])
    tasks: Names = Field([])

    @model_validator(mode="after")
    def _names_something(self) -> "Select":
        if not (self.tools or self.prompts or self.resources or self.tasks):
            msg = "selects nothing: name tools, prompts, resources or tasks"
            raise ValueError(msg)
        if isinstance(self.tools, ToolHints) and (self.prompts or self.resources or self.tasks):
            msg = "tools by their annotations stand in a rule of their own: only tools have annotations"
            raise ValueError(msg)
        return self


def _definition(value: Any) -> Any:
    """Accept an expression, or a list of names."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list) and value and all(isinstance(each, str) and each for each in value):
        return value
    msg = "an expression in a string, or a list of names, is needed"
    raise ValueError(msg)


Definition = Annotated[Any, AfterValidator(_definition), WithJsonSchema(_OR_NAME)]
"""What `define` gives a name to."""


def _group(name: str) -> str:
    """Accept a group as a rule can compare it."""
    Groups.of((name,))
    return name


GroupName = Annotated[Text, AfterValidator(_group)]
DenialStyle = Literal["auto", "result", "jsonrpc", "http"]


class RuleModel(Section):
    """One rule: what it selects, and on which conditions."""

    name: Name | None = Field(None, description="default: rule-N by position")
    allow: Select | None = None
    deny: Select | None = None
    scopes: Annotated[list[Word], WithJsonSchema(_OR_NAME)] = Field([], description="all are needed")
    any_scopes: Annotated[list[Word], WithJsonSchema(_OR_NAME)] = Field([], description="one is needed")
    roles: Names = Field([], description="one is needed")
    groups: Annotated[list[GroupName], WithJsonSchema(_OR_NAME)] = Field(
        [], description="one is needed: a group's name or path, or every path below one with /* at its end"
    )
    issuers: list[Name] = Field([], description="one of them issued the token; default: any of the server's")
    when: Text | None = Field(None, description="CEL; must not read args")
    args: Text | None = Field(None, description="CEL; may read args")
    arguments: RuleArguments | None = Field(
        None,
        description="what is asked of the call's arguments: a type, with ? for one that may be left out, or a schema; "
        "locked: what the tool's input schema in the lock asks",
    )
    extra: Literal["allow", "deny"] | None = Field(
        None, description="what happens to arguments that are not declared; default allow"
    )
    shadow: bool = Field(default=False, description="evaluated and reported, never applied")
    denial: DenialStyle | None = None
    hide: bool | None = None

    @model_validator(mode="after")
    def _one_effect(self) -> "RuleModel":
        if (self.allow is None) == (self.deny is None):
            msg = "a rule has exactly one of allow and deny"
            raise ValueError(msg)
        if self.extra is not None and self.arguments is None:
            msg = "extra is about arguments that are not declared: declare some, or write arguments: {}"
            raise ValueError(msg)
        return self

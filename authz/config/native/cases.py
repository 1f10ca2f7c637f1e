"""The cases of a policy as typed models: the section `tests` of a native file, or a file of their own."""

from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from authz.config.validation import Section, Text
from authz.core.mcp.item import Kind
from authz.core.reasons import Reason

_EXPECTATIONS = ("allow", "deny", *(reason.value for reason in Reason if reason is not Reason.ALLOWED))


TEMPLATE = "template"
"""What names a URI template in a case; to the rules it is a resource."""


def _check_expectation(word: str) -> str:
    """Accept `allow`, `deny` and every reason for a denial."""
    if word not in _EXPECTATIONS:
        close = get_close_matches(word, _EXPECTATIONS, n=1)
        hint = f"did you mean {close[0]}?" if close else "docs/reasons.md lists the reasons"
        msg = f"allow, deny or a reason is needed; {hint}"
        raise ValueError(msg)
    return word


Expectation = Annotated[str, AfterValidator(_check_expectation)]


class CaseModel(Section):
    """One case: a caller uses an item or reads a list, and what the policy must answer."""

    name: Text
    persona: Text | None = Field(None, description="the persona whose claims the caller has; or give claims")
    claims: dict[str, Any] | None = Field(None, description="the caller's claims")
    server: Text | None = Field(None, description="default: the only one")
    tool: Text | None = None
    prompt: Text | None = None
    resource: Text | None = Field(None, description="its URI")
    template: Text | None = Field(None, description="a URI template, whose completion is asked for")
    task: Text | None = Field(None, description="its id")
    args: dict[str, Any] = Field({}, description="the call's arguments")
    headers: dict[str, str] = Field({}, description="request headers, names in lower case")
    expect: Expectation | None = Field(None, description="allow, deny, or a reason")
    catalogue: list[Text] | None = Field(None, description="what the server offers")
    visible: list[Text] | None = Field(
        None, description="the items of it that are listed, no more and no less"
    )
    kind: Literal["tool", "prompt", "resource", "template", "task"] = Field(
        "tool", description="the kind of the catalogue's items"
    )

    @property
    def items(self) -> list[tuple[str, str]]:
        """The items that are named, by kind."""
        named = {
            Kind.TOOL.value: self.tool,
            Kind.PROMPT.value: self.prompt,
            Kind.RESOURCE.value: self.resource,
            TEMPLATE: self.template,
            Kind.TASK.value: self.task,
        }
        return [(kind, name) for kind, name in named.items() if name is not None]

    @model_validator(mode="after")
    def _one_question(self) -> "CaseModel":
        is_list = self.catalogue is not None and self.visible is not None
        is_call = len(self.items) == 1 and self.expect is not None
        mixed = (self.items or self.expect or self.args) if is_list else (self.catalogue or self.visible)
        problems = (
            ((self.persona is None) == (self.claims is None), "a case has exactly one of persona and claims"),
            (
                bool(mixed) or not (is_list or is_call),
                "a case has one of tool, prompt, resource, template and task with expect, or catalogue with visible",
            ),
            (
                is_list and not set(self.visible or ()) <= set(self.catalogue or ()),
                "visible names something that is not in the catalogue",
            ),
        )
        for wrong, msg in problems:
            if wrong:
                raise ValueError(msg)
        return self


class CasesModel(Section):
    """Cases that test the policy; `serve` ignores them."""

    personas: dict[Text, dict[str, Any]] = Field({}, description="name to claims")
    cases: list[CaseModel] = Field([])

"""URI templates (RFC 6570): what a server may take for an expansion of one.

Rules of this module:

* Servers do not expand templates, they match URIs against them, each in its own way. So an expression stands for what the
  RFC expands it to and for what the official SDKs and their frameworks match: `{name}` is any text without a slash, and
  `{path*}` any text, where the RFC writes a list with commas. Every expression may also stand for nothing.
* A prefix length (`{name:3}`) is not looked at: the text may be longer than the RFC allows.
* An operator that the RFC reserves, a name it does not know, and a brace too many make a template unreadable.
* The rest of a template is taken as it is written, as servers do.
"""

import re
from dataclasses import dataclass

_EXPRESSION = re.compile(r"\{([^{}]*)\}")
_VARIABLE = re.compile(
    r"(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})(?:\.?(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2}))*(?:\*|:[1-9][0-9]{0,3})?"
)
_OPERATORS = {"": "", "+": "", "#": "#", ".": ".", "/": "/", ";": ";", "?": "?", "&": "&"}
"""Operator to the character that its expansion begins with (RFC 6570 section 3.2.1)."""
_RESERVED = frozenset({"+", "#", "?", "&"})
"""Operators whose expansion may hold a slash."""
_MAX_EXPRESSIONS = 32


@dataclass(frozen=True, slots=True)
class TemplateExpression:
    """What one expression of a template stands for: nothing, or a first character and any text after it.

    Attributes:
        first: the first character, empty for none.
        slashes: whether the text may hold a slash.
    """

    first: str
    slashes: bool


TemplateParts = tuple[str | TemplateExpression, ...]
"""Literal texts and expressions in turn."""


def parse(text: str) -> TemplateParts | None:
    """Return the parts of a template; None if it is unreadable or has too many expressions."""
    pieces = _EXPRESSION.split(text)
    literals, bodies = pieces[::2], pieces[1::2]
    if len(bodies) > _MAX_EXPRESSIONS or any("{" in literal or "}" in literal for literal in literals):
        return None
    parts: list[str | TemplateExpression] = [literals[0]]
    for body, literal in zip(bodies, literals[1:], strict=True):
        expression = _expression(body)
        if expression is None:
            return None
        parts += (expression, literal)
    return tuple(part for part in parts if part != "")


def _expression(body: str) -> TemplateExpression | None:
    operator = body[:1] if body[:1] in _OPERATORS else ""
    variables = body[len(operator) :].split(",")
    if not all(_VARIABLE.fullmatch(each) for each in variables):
        return None
    several = len(variables) > 1 or variables[0].endswith("*")
    slashes = operator in _RESERVED or variables[-1].endswith("*") or (operator == "/" and several)
    return TemplateExpression(_OPERATORS[operator], slashes)


def widest_pattern(text: str) -> str:
    """Return a pattern of every URI that a template can make, with `*` for an expression; "" if it is unreadable.

    A star in the template itself makes it unreadable: in a pattern it would stand for more.
    """
    parts = None if "*" in _EXPRESSION.sub("", text) else parse(text)
    return "".join("*" if isinstance(part, TemplateExpression) else part for part in parts or ())

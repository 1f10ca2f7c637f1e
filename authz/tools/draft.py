"""The first policy for a server, from what it offers: one rule a tool, by what the tool says of itself.

Rules of this module:

* Annotations are a server's claims. They only choose which scope or role a draft asks for, and a person reads it next.
* What says that it is read-only is open to the scope for reading; what may destroy asks for a role as well; everything else
  asks for the scope for writing. A tool without annotations may destroy, as MCP has it.
* The draft has cases: what each persona may call, tool by tool, so that the first change of a rule shows what it does.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from authz.core.mcp.item import NAMED_BY, ListName
from authz.core.mcp.uri_template import widest_pattern

READ, WRITE, ROLE = "mcp:read", "mcp:write", "admin"
ROLES_CLAIM = "https://example.com/roles"
_RULE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_MAX_COMMENT = 200
_MAY_DESTROY = "may destroy: it says nothing of that"
_PERSONAS: dict[str, dict[str, Any]] = {
    "reader": {"sub": "reader", "scope": READ},
    "writer": {"sub": "writer", "scope": f"{READ} {WRITE}"},
    "admin": {"sub": "admin", "scope": f"{READ} {WRITE}", ROLES_CLAIM: [ROLE]},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftTerms:
    """What the draft cannot know from the server.

    Attributes:
        name: what the policy calls the server.
        resource: the public URL of the gateway.
        upstream: the URL of the server, "" if it is not known.
        issuer: who issues the tokens.
        audience: for which API they are.
    """

    name: str
    resource: str
    upstream: str
    issuer: str
    audience: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDraft:
    """A policy file as a tree, with the comments at its paths, and the names that no rule can hold."""

    tree: dict[str, Any]
    comments: Mapping[tuple[str | int, ...], str]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _ToolDraft:
    name: str
    why: str
    conditions: Mapping[str, list[str]]
    allowed: tuple[str, ...]


def draft(offered: Mapping[ListName, Iterable[Mapping[str, Any]]], terms: DraftTerms) -> PolicyDraft:
    """Write a policy for a server.

    Args:
        offered: its items by list, as the server wrote them.
        terms: what they do not say.
    """
    tools = {str(tool[NAMED_BY[ListName.TOOLS]]): tool for tool in offered.get(ListName.TOOLS, ())}
    usable = {name: tool for name, tool in tools.items() if name and "*" not in name}
    drafts = [_tool(name, usable[name]) for name in sorted(usable)]
    rules: list[dict[str, Any]] = []
    comments: dict[tuple[str | int, ...], str] = {}
    place = ("servers", terms.name, "rules")
    for each in drafts:
        comments[*place, len(rules)] = each.why
        name = {"name": each.name} if _RULE_NAME.fullmatch(each.name) else {}
        rules.append({**name, "allow": {"tools": [literal(each.name)]}, **each.conditions})
    rest = _rest(offered)
    if rest:
        comments[*place, len(rules)] = "what can be read besides: prompts and resources"
        named = {} if _REST in usable else {"name": _REST}
        rules.append({**named, "allow": rest, "scopes": [READ]})
    tree = {
        "issuers": {
            "main": {
                "issuer": terms.issuer,
                "audiences": [terms.audience],
                "claims": {"scopes": "scope", "roles": ROLES_CLAIM},
            }
        },
        "servers": {terms.name: {**_server(terms), "rules": rules}},
        "tests": {"personas": _PERSONAS, "cases": list(_cases(drafts))},
    }
    left_out = tuple(name for name in tools if name not in usable)
    return PolicyDraft(tree=tree, comments={**_HEAD, **comments}, left_out=left_out)


_REST = "prompts-and-resources"
_HEAD: Mapping[tuple[str | int, ...], str] = {
    (
        "issuers",
    ): "Made by mcp-authz init from what the server says of its tools. Read every rule: those are claims.",
    (
        "tests",
    ): "What each persona may do, for `mcp-authz test`. Change a rule, and the case that it changes fails.",
}


def _server(terms: DraftTerms) -> dict[str, Any]:
    upstream = {"upstream": terms.upstream} if terms.upstream else {}
    return {"resource": terms.resource, **upstream, "issuers": ["main"], "scopes": [READ]}


def literal(text: str) -> str:
    """Return a text as a policy file has it, where `${` begins a variable."""
    return text.replace("${", "$${")


def _tool(name: str, tool: Mapping[str, Any]) -> _ToolDraft:
    annotations = tool.get("annotations")
    given = annotations if isinstance(annotations, dict) else {}
    said = _MAY_DESTROY
    conditions: dict[str, list[str]] = {"scopes": [WRITE], "roles": [ROLE]}
    allowed: tuple[str, ...] = ("admin",)
    if given.get("readOnlyHint") is True:
        said, conditions, allowed = "says it only reads", {"scopes": [READ]}, ("reader", "writer", "admin")
    elif given.get("destructiveHint") is False:
        said, conditions, allowed = "says it destroys nothing", {"scopes": [WRITE]}, ("writer", "admin")
    elif given.get("destructiveHint") is True:
        said = "says it may destroy"
    return _ToolDraft(name, f"{_first_line(tool.get('description'))}{said}", conditions, allowed)


def _first_line(text: object) -> str:
    """Return the beginning of a description as one printable line for a comment."""
    line = " ".join("".join(char if char.isprintable() else " " for char in str(text or "")).split())
    short = line if len(line) <= _MAX_COMMENT else line[:_MAX_COMMENT] + "…"
    return f"{short} | " if short else ""


def _rest(offered: Mapping[ListName, Iterable[Mapping[str, Any]]]) -> dict[str, list[str]]:
    """Return what a rule for reading can name besides tools; a template for everything stays out of it."""
    patterns = map(widest_pattern, _names(offered, ListName.TEMPLATES))
    named = {
        "prompts": _exact(offered, ListName.PROMPTS),
        "resources": {*_exact(offered, ListName.RESOURCES), *(each for each in patterns if each.strip("*"))},
    }
    return {kind: sorted(map(literal, names)) for kind, names in named.items() if names}


def _exact(offered: Mapping[ListName, Iterable[Mapping[str, Any]]], section: ListName) -> set[str]:
    return {name for name in _names(offered, section) if name and "*" not in name}


def _names(offered: Mapping[ListName, Iterable[Mapping[str, Any]]], section: ListName) -> set[str]:
    return {str(item[NAMED_BY[section]]) for item in offered.get(section, ())}


def _cases(drafts: Iterable[_ToolDraft]) -> Iterator[dict[str, Any]]:
    for each in drafts:
        for persona in _PERSONAS:
            allowed = persona in each.allowed
            yield {
                "name": f"{persona} {'may' if allowed else 'may not'} call {literal(each.name)}",
                "persona": persona,
                "tool": literal(each.name),
                "expect": "allow" if allowed else "deny",
            }

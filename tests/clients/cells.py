"""What each client is put through: the cells of the table, each a story that a driver plays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_ON = {"do": "on"}
_ECHO = ("echo", {"message": "hello"})
_DENIED = ("delete_file", {"filename": "/elsewhere"})


def _call(*tools: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"do": "call", "tools": [list(tool) for tool in tools]}


@dataclass(frozen=True)
class Cell:
    """One column of the table.

    Attributes:
        meaning: what happens to the client, for people.
        steps: what it does.
        headers: what it sends with every request, for the proxy in front or the server behind.
        signs_in: whether it is for clients with OAuth, and for them alone; the others are given a token.
    """

    meaning: str
    steps: tuple[dict[str, Any], ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    signs_in: bool = False

    def story(self) -> dict[str, Any]:
        """Write it for a driver; every story ends with the step that shows that the client goes on."""
        return {"headers": dict(self.headers), "steps": [*self.steps, _ON]}


CELLS: Mapping[str, Cell] = {
    "null members": Cell(
        "every member that may be left out is null in what it sends",
        ({"do": "list"}, _call(_ECHO)),
        {"x-client": "nulls"},
    ),
    "unknown method": Cell("it sends a method that nobody knows", (_call(("unknown_method", {})),)),
    "denied": Cell("it calls a tool with arguments that are not allowed", (_call(_DENIED),)),
    "denied beside": Cell("the same, and an allowed call at the same time", (_call(_DENIED, _ECHO),)),
    "step-up": Cell("it calls a tool for which its token lacks a scope", (_call(("list_files", {})),)),
    "step-up as result": Cell("the same, where the rule says denial: result", (_call(("archive", {})),)),
    "step-up, signed in": Cell(
        "it signs in for the scope, and keeps those that it had",
        (_call(("list_files", {})), _call(("delete_file", {"filename": "/inbox/monday.txt"}))),
        signs_in=True,
    ),
    "session lost": Cell("the gateway does not know its session any more", (_call(("lose_session", {})),)),
    "redirect behind": Cell("the server answers a call with a redirect", (_call(("redirect", {})),)),
    "challenge behind": Cell("the server answers a call with a challenge", (_call(("challenge", {})),)),
    "compressed list": Cell("the server compresses its list", ({"do": "list"},), {"x-answer": "gzip"}),
}


def played_by(*, signs_in: bool) -> tuple[str, ...]:
    """Give the names of the cells for clients with OAuth, or for those that are given a token."""
    return tuple(name for name, cell in CELLS.items() if cell.signs_in is signs_in)

"""What a live MCP server offers: every list, all pages, in both eras of the protocol.

Rules of this module:

* Each era is asked by itself: the handshake and its session (2025-11-25 and before), and per-request metadata (2026-07-28).
  A server that knows one era is complete with that one. One that knows none is a failure.
* A list that the server does not have ("method not found") is empty. Anything else that goes wrong is a failure: a lock must
  not be made of half a catalogue.
* What a server sends is bounded in bytes, items, pages and seconds, each answer and all of them together, and read by the
  strict reader, as the gateway reads it. A cursor that comes back is a failure: the pages would never end.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from authz.core.mcp.definition import marked
from authz.core.mcp.item import NAMED_BY, ListName
from authz.tools.conversation import (
    Allowance,
    CatalogueError,
    Conversation,
    Legacy,
    Modern,
    SpentError,
    connected,
)

METHODS: Mapping[ListName, str] = MappingProxyType(
    {
        ListName.TOOLS: "tools/list",
        ListName.PROMPTS: "prompts/list",
        ListName.RESOURCES: "resources/list",
        ListName.TEMPLATES: "resources/templates/list",
        ListName.SKILLS: "skills/list",
    }
)
MAX_PAGES = 1000
MAX_ITEMS = 50_000
_NOT_FOUND = frozenset({-32601, -32602})
"""What servers answer for a list that they do not have; some take an unknown method for wrong parameters."""


@dataclass(slots=True)
class Catalogue:
    """What a server offers in one era.

    Attributes:
        era: `legacy` or `modern`.
        items: the items of each list, as the server wrote them.
    """

    era: str
    items: dict[ListName, list[dict[str, Any]]] = field(default_factory=dict)


def catalogues(
    url: str, token: str | None, progress: Callable[[str], None] = lambda _text: None
) -> list[Catalogue]:
    """Ask a server for everything that it offers.

    Args:
        url: the server's endpoint.
        token: a bearer token, None for none.
        progress: told what is being asked.

    Returns:
        One catalogue for each era that the server speaks, at least one.

    Raises:
        CatalogueError: it speaks none, one of its lists cannot be had, or all of it is too much.
    """
    found: list[Catalogue] = []
    problem: CatalogueError | None = None
    with connected(url, token) as http:
        allowance = Allowance(url)
        for speak in (Legacy, Modern):
            conversation = speak(http, url, allowance)
            try:
                conversation.begin()
            except SpentError:
                raise
            except CatalogueError as error:
                problem = problem or error
                continue
            found.append(_read_all(conversation, progress))
            conversation.end()
    if not found and problem is not None:
        raise problem
    return found


def _read_all(conversation: Conversation, progress: Callable[[str], None]) -> Catalogue:
    catalogue = Catalogue(conversation.era)
    for section, method in METHODS.items():
        progress(f"{conversation.era}: {method}")
        catalogue.items[section] = list(_read_list(conversation, section, method))
    return catalogue


def _read_list(conversation: Conversation, section: ListName, method: str) -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    followed: set[str] = set()
    count = 0
    for _ in range(MAX_PAGES):
        answer = conversation.ask(method, **cursor)
        result = answer.get("result")
        if not isinstance(result, dict):
            error = answer.get("error")
            code = error.get("code") if isinstance(error, dict) else None
            if code in _NOT_FOUND and not cursor:
                return
            msg = f"{method} ({conversation.era}) failed with code {code if isinstance(code, int) else 'unknown'}"
            raise CatalogueError(msg)
        for item in _items(result, section, method):
            count += 1
            if count > MAX_ITEMS:
                msg = f"{method} ({conversation.era}) has more than {MAX_ITEMS} items"
                raise CatalogueError(msg)
            yield item
        following = result.get("nextCursor")
        if not isinstance(following, str):
            return
        if following in followed:
            msg = f"{method} ({conversation.era}) gives a cursor a second time, so its pages never end; have it mended at the server"
            raise CatalogueError(msg)
        followed.add(following)
        cursor = {"cursor": following}
    msg = f"{method} ({conversation.era}) has more than {MAX_PAGES} pages"
    raise CatalogueError(msg)


def _items(result: Mapping[str, Any], section: ListName, method: str) -> Iterator[dict[str, Any]]:
    items = result.get(section)
    if not isinstance(items, list):
        msg = f"the result of {method} has no list `{section}`"
        raise CatalogueError(msg)
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get(NAMED_BY[section]), str):
            msg = f"an item of {method} has no {NAMED_BY[section]}"
            raise CatalogueError(msg)
        yield marked(item)

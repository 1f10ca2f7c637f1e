"""What a live MCP server offers: every list, all pages, in both eras of the protocol.

Rules of this module:

* Each era is asked by itself: the handshake and its session (2025-11-25 and before), and per-request metadata (2026-07-28).
  A server that knows one era is complete with that one. One that knows none is a failure.
* A list that the server does not have ("method not found") is empty. Anything else that goes wrong is a failure: a lock must
  not be made of half a catalogue.
* What a server sends is bounded in bytes, items, pages and seconds, and read by the strict reader, as the gateway reads it.
"""

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import httpx

from authz.config.addresses import is_loopback
from authz.core.mcp.definition import marked
from authz.core.mcp.item import NAMED_BY, ListName
from authz.core.wire.confusables import OverBudgetError
from authz.core.wire.sse import Parser
from authz.core.wire.strict_json import StrictJSONError, loads_marked

METHODS: Mapping[ListName, str] = MappingProxyType(
    {
        ListName.TOOLS: "tools/list",
        ListName.PROMPTS: "prompts/list",
        ListName.RESOURCES: "resources/list",
        ListName.TEMPLATES: "resources/templates/list",
        ListName.SKILLS: "skills/list",
    }
)
LEGACY, MODERN = "2025-11-25", "2026-07-28"
SECONDS = 30.0
"""Longest time for one answer, to its last byte."""
MAX_BYTES = 16 * 1024 * 1024
MAX_PAGES = 1000
MAX_ITEMS = 50_000
_MAX_VALUES = 4_000_000
_NOT_FOUND = frozenset({-32601, -32602})
"""What servers answer for a list that they do not have; some take an unknown method for wrong parameters."""
_REFUSED = frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN})
_META = "io.modelcontextprotocol/"
_SELF = {"name": "mcp-authz", "version": "1"}


class CatalogueError(Exception):
    """A server's catalogue cannot be had; the text says why and what to do, and holds nothing that the server sent."""


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
        CatalogueError: it speaks none, or one of its lists cannot be had.
    """
    found: list[Catalogue] = []
    problem: CatalogueError | None = None
    with _client(url, token) as http:
        for speak in (_Legacy, _Modern):
            conversation = speak(http, url)
            try:
                conversation.begin()
            except CatalogueError as error:
                problem = problem or error
                continue
            found.append(_read_all(conversation, progress))
            conversation.end()
    if not found and problem is not None:
        raise problem
    return found


@contextmanager
def _client(url: str, token: str | None) -> Iterator[httpx.Client]:
    headers = {"accept": "application/json, text/event-stream", "accept-encoding": "identity"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    try:
        # No connection is used twice: a server may close one just as the next request is written to it.
        alone = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(
            headers=headers,
            timeout=SECONDS,
            follow_redirects=False,
            trust_env=not is_loopback(url),
            limits=alone,
        ) as http:
            yield http
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError, OSError) as error:
        msg = f"{url} did not answer ({type(error).__name__}): is the server up, and is this its endpoint?"
        raise CatalogueError(msg) from None


class _Conversation(ABC):
    """Requests in one era."""

    era = ""

    def __init__(self, http: httpx.Client, url: str) -> None:
        self.url = url
        self._http = http
        self._ids = itertools.count(1)
        self.session: dict[str, str] = {}

    @abstractmethod
    def begin(self) -> None:
        """Find out whether the server speaks this era."""

    @abstractmethod
    def end(self) -> None:
        """End what `begin` began."""

    @abstractmethod
    def headers(self, _method: str) -> dict[str, str]:
        """Return the headers of a request."""

    def parameters(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters of a request."""
        return given

    def ask(self, method: str, **given: Any) -> dict[str, Any]:
        """Return the result of a request, as {"result": …}, or its error.

        Raises:
            CatalogueError: there is neither.
        """
        number = next(self._ids)
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": self.parameters(given)}
        with self._http.stream("POST", self.url, json=message, headers=self.headers(method)) as response:
            session = response.headers.get("mcp-session-id")
            if session and method == "initialize":
                self.session = {"mcp-session-id": session}
            return self._answer(response, number, method)

    def _answer(self, response: httpx.Response, number: int, method: str) -> dict[str, Any]:
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        status = response.status_code
        refused = status in _REFUSED
        for document in () if refused else _documents(response, media_type):
            message = _object(document, method)
            if message.get("id") == number and ("result" in message or "error" in message):
                return message
        cure = (
            "pass a --token that may list everything" if refused else "is this the endpoint of an MCP server?"
        )
        msg = f"{self.url} answered {method} with status {status} and no result ({cure})"
        raise CatalogueError(msg)


class _Legacy(_Conversation):
    era = "legacy"

    def begin(self) -> None:
        answer = self.ask("initialize", protocolVersion=LEGACY, capabilities={}, clientInfo=_SELF)
        result = answer.get("result")
        version = result.get("protocolVersion") if isinstance(result, dict) else None
        if not isinstance(version, str):
            msg = f"{self.url} takes no handshake of {LEGACY}"
            raise CatalogueError(msg)
        self.session["mcp-protocol-version"] = version
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        self._http.post(self.url, json=note, headers=self.session)

    def end(self) -> None:
        if "mcp-session-id" in self.session:
            self._http.delete(self.url, headers=self.session)

    def headers(self, _method: str) -> dict[str, str]:
        return self.session


class _Modern(_Conversation):
    era = "modern"

    def begin(self) -> None:
        answer = self.ask("server/discover")
        result = answer.get("result")
        if not isinstance(result, dict) or MODERN not in result.get("supportedVersions", [MODERN]):
            msg = f"{self.url} does not speak {MODERN}"
            raise CatalogueError(msg)

    def end(self) -> None:
        """Leave it: this era begins nothing."""

    def headers(self, _method: str) -> dict[str, str]:
        return {"mcp-protocol-version": MODERN, "mcp-method": _method}

    def parameters(self, given: dict[str, Any]) -> dict[str, Any]:
        meta = {
            f"{_META}protocolVersion": MODERN,
            f"{_META}clientInfo": _SELF,
            f"{_META}clientCapabilities": {},
        }
        return {**given, "_meta": meta}


def _documents(response: httpx.Response, media_type: str) -> Iterator[bytes]:
    """Yield the JSON documents of a response as they come, within the bounds."""
    end = time.monotonic() + SECONDS
    parser = Parser(max_bytes=MAX_BYTES) if media_type == "text/event-stream" else None
    body = bytearray()
    size = 0
    for part in response.iter_raw():
        size += len(part)
        if size > MAX_BYTES or time.monotonic() > end:
            msg = f"an answer is longer than {MAX_BYTES} bytes, or takes longer than {SECONDS:g} s"
            raise CatalogueError(msg)
        if parser is None:
            body += part
        else:
            yield from (event.data for event in parser.feed(part) if event.data)
    if parser is None and media_type == "application/json" and body:
        yield bytes(body)


def _object(document: bytes, method: str) -> dict[str, Any]:
    try:
        value = loads_marked(document, max_depth=64, nodes=_MAX_VALUES, keys=_MAX_VALUES)
    except (StrictJSONError, OverBudgetError) as error:
        why = str(error) if isinstance(error, StrictJSONError) else "too many values"
        msg = f"the answer to {method} is not JSON that every reader reads alike: {why}"
        raise CatalogueError(msg) from None
    return value if isinstance(value, dict) else {}


def _read_all(conversation: _Conversation, progress: Callable[[str], None]) -> Catalogue:
    catalogue = Catalogue(conversation.era)
    for section, method in METHODS.items():
        progress(f"{conversation.era}: {method}")
        catalogue.items[section] = list(_read_list(conversation, section, method))
    return catalogue


def _read_list(conversation: _Conversation, section: ListName, method: str) -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
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
                msg = f"{method} has more than {MAX_ITEMS} items"
                raise CatalogueError(msg)
            yield item
        following = result.get("nextCursor")
        if not isinstance(following, str):
            return
        cursor = {"cursor": following}
    msg = f"{method} has more than {MAX_PAGES} pages"
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

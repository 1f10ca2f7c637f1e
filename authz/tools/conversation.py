"""Requests to an MCP server and its answers, in each era of the protocol, bounded in bytes and seconds.

A failure is a `CatalogueError`: what is asked for here is what a server offers.
"""

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from authz.config.addresses import is_loopback
from authz.core.wire.confusables import OverBudgetError
from authz.core.wire.sse import Parser
from authz.core.wire.strict_json import StrictJSONError, loads_marked

LEGACY, MODERN = "2025-11-25", "2026-07-28"
SECONDS = 30.0
"""Longest time for one answer, to its last byte."""
MAX_BYTES = 16 * 1024 * 1024
ALL_SECONDS, ALL_BYTES = 300.0, 4 * MAX_BYTES
"""The bounds of everything that one server is asked, in both eras."""
_MAX_VALUES = 4_000_000
_REFUSED = frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN})
_UNAVAILABLE = frozenset(
    {httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT}
)
_TOKEN = "pass a --token that may list everything; --token - reads it from stdin"
_OTHER_TOKEN = (
    "the token was refused, or this is not the endpoint: see what `mcp-authz token --decode` says of it"
)
_ENDPOINT = "is this the endpoint of an MCP server?"
_DOWN = "is the server up, and what is in front of it?"
_META = "io.modelcontextprotocol/"
_SELF = {"name": "mcp-authz", "version": "1"}


class CatalogueError(Exception):
    """A server's catalogue cannot be had; the text says why and what to do, and holds nothing that the server sent."""


class SpentError(CatalogueError):
    """All that a server is asked takes too long, or is too much."""


@contextmanager
def connected(url: str, token: str | None) -> Iterator[httpx.Client]:
    """Open connections to a server, closed at the end.

    Raises:
        CatalogueError: the server does not answer.
    """
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


class Allowance:
    """The time and the bytes that are left for everything that a server is asked."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._end = time.monotonic() + ALL_SECONDS
        self._bytes = ALL_BYTES

    def spend(self, size: int) -> None:
        """Take bytes that came.

        Raises:
            SpentError: nothing is left.
        """
        self._bytes -= size
        if self._bytes < 0 or time.monotonic() > self._end:
            msg = (
                f"{self._url} was not read to its end within {ALL_SECONDS:g} s and {ALL_BYTES} bytes "
                "(do its pages end, and is it as fast as usual?)"
            )
            raise SpentError(msg)


class Conversation(ABC):
    """Requests in one era."""

    era = ""

    def __init__(self, http: httpx.Client, url: str, allowance: Allowance) -> None:
        self.url = url
        self._http = http
        self._allowance = allowance
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
        for document in () if refused else _documents(response, media_type, self._allowance):
            message = _object(document, method)
            if message.get("id") == number and ("result" in message or "error" in message):
                return message
        msg = f"{self.url} answered {method} with status {status} and no result ({self._cure(status)})"
        raise CatalogueError(msg)

    def _cure(self, status: int) -> str:
        if status in _REFUSED:
            given = "authorization" in self._http.headers
            return _OTHER_TOKEN if given else _TOKEN
        return _DOWN if status in _UNAVAILABLE else _ENDPOINT


class Legacy(Conversation):
    """The handshake, and the session that it begins (2025-11-25 and before)."""

    era = "legacy"

    def begin(self) -> None:
        """Shake hands."""
        answer = self.ask("initialize", protocolVersion=LEGACY, capabilities={}, clientInfo=_SELF)
        result = answer.get("result")
        version = result.get("protocolVersion") if isinstance(result, dict) else None
        if not isinstance(version, str):
            msg = f"{self.url} takes no handshake of {LEGACY}"
            raise CatalogueError(msg)
        self.session["mcp-protocol-version"] = version
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        self._tell("POST", json=note)

    def end(self) -> None:
        """End the session, if the server gave one."""
        if "mcp-session-id" in self.session:
            self._tell("DELETE")

    def _tell(self, verb: str, **given: Any) -> None:
        """Send what has no answer; what comes all the same is not read."""
        with self._http.stream(verb, self.url, headers=self.session, **given):
            pass

    def headers(self, _method: str) -> dict[str, str]:
        """Return the session's headers."""
        return self.session


class Modern(Conversation):
    """Requests that stand alone, each with its metadata (2026-07-28)."""

    era = "modern"

    def begin(self) -> None:
        """Ask for the versions."""
        answer = self.ask("server/discover")
        result = answer.get("result")
        if not isinstance(result, dict) or MODERN not in result.get("supportedVersions", [MODERN]):
            msg = f"{self.url} does not speak {MODERN}"
            raise CatalogueError(msg)

    def end(self) -> None:
        """Leave it: this era begins nothing."""

    def headers(self, _method: str) -> dict[str, str]:
        """Return the headers that repeat what the body says."""
        return {"mcp-protocol-version": MODERN, "mcp-method": _method}

    def parameters(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters with the metadata of every request."""
        meta = {
            f"{_META}protocolVersion": MODERN,
            f"{_META}clientInfo": _SELF,
            f"{_META}clientCapabilities": {},
        }
        return {**given, "_meta": meta}


def _documents(response: httpx.Response, media_type: str, allowance: Allowance) -> Iterator[bytes]:
    """Yield the JSON documents of a response as they come, within the bounds."""
    end = time.monotonic() + SECONDS
    parser = Parser(max_bytes=MAX_BYTES) if media_type == "text/event-stream" else None
    body = bytearray()
    size = 0
    for part in response.iter_raw():
        allowance.spend(len(part))
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

"""The rows of the demo's table, and the plain HTTP requests with which scenarios fill them."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import httpx

from authz.demo.no_tls import verification
from authz.demo.stack import Stack

ALL = ["echo", "get_user_info", "list_files", "delete_file", "system_status"]
"""The MCP server's tools, in its order."""
INITIALIZE: Mapping[str, Any] = MappingProxyType(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "demo", "version": "1"},
        },
    }
)
_MCP = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class ScenarioRow:
    """One claim about the gateway.

    Attributes:
        claim: the claim in the words of a user.
        expected: the expected result.
        seen: the actual result.
    """

    claim: str
    expected: str
    seen: str

    @property
    def held(self) -> bool:
        """Whether the claim holds."""
        return self.expected == self.seen


Scenario = Callable[[Stack], AsyncIterator[ScenarioRow]]
"""Makes some requests, and yields a row for each claim that they check."""


def nothing_arrived(stack: Stack, before: int) -> ScenarioRow:
    """Return the row that no request has reached the MCP server since it had seen `before` of them."""
    claim = "  ... and the MCP server saw none of it"
    return ScenarioRow(claim, "0 requests", f"{len(stack.arrivals()) - before} requests")


def post(
    url: str,
    token: str | None,
    body: Mapping[str, Any] | bytes = INITIALIZE,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Post one message: bytes unchanged, a mapping as JSON."""
    sent = {**_MCP, **({} if token is None else {"authorization": f"Bearer {token}"}), **(headers or {})}
    content = body if isinstance(body, bytes) else json.dumps(dict(body)).encode()
    return httpx.post(
        url, content=content, headers=sent, trust_env=False, verify=verification(url), timeout=_SECONDS
    )


def outcome(response: httpx.Response) -> str:
    """Return the status and the reason of a denial, or only the status if there is no reason."""
    reason = _reason(response)
    return f"{response.status_code} {reason}" if reason else str(response.status_code)


def get(url: str) -> dict[str, Any]:
    """Fetch a JSON object; return an empty one for any other answer."""
    value = httpx.get(url, trust_env=False, verify=verification(url), timeout=_SECONDS).json()
    return value if isinstance(value, dict) else {}


def join(names: Sequence[str]) -> str:
    """Return names as the text of a cell."""
    return ", ".join(names)


def _reason(response: httpx.Response) -> str:
    """Return the reason of a denial, which an error or a tool's result gives, "" for another answer."""
    try:
        body = response.json()
        return str((body["error"]["data"] if "error" in body else body["result"]["_meta"])["reason"])
    except (ValueError, KeyError, TypeError):
        return ""

"""What the clients ask, in both eras: calls, reads, prompts and lists, with good and bad tokens, some of it malformed.

Most questions are forbidden to somebody, and some to everybody. A question knows its bytes, so that the oracle judges
what Envoy hands over and not what a client meant.
"""

import itertools
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from authz.core.request import HttpRequest
from authz.demo.issuer.app import BAD_TOKENS, TokenFields, TokenIssuer
from tests.chaos.oracle import OFFERED
from tests.chaos.policies import PROMPTS, RESOURCES, SERVERS, TOOLS
from tests.chaos.upstream import NUMBER, SESSION

MODERN, LEGACY = "2026-07-28", "2025-06-18"
ERAS = (MODERN, LEGACY)
HOUR, DAY = 3600, 86_400
_ADMIN = {"scope": "files:read files:write", "roles": ["admin"]}
_PEOPLE: Mapping[str, dict[str, Any]] = {
    "alice": {"scope": "files:read"},
    "bob": _ADMIN,
    "carol": {},
    "dave": {**_ADMIN, "ttl": HOUR},
    "erin": {**_ADMIN, "later": HOUR},
}
"""Token fields of honest callers. By a clock that is two hours ahead dave's token has expired, and erin's, which is not
yet valid, is good."""
_STRANGERS = tuple(f"bad:{kind}" for kind in BAD_TOKENS)
_STRANGER = TokenFields().sub
"""Whom the issuer's bad tokens are about."""
_PATHS = ("/inbox/a", "/inbox/../etc", "/etc/passwd")
_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass(slots=True, kw_only=True, eq=False)
class Question:
    """One request, with what the answer is compared with.

    Attributes:
        number: unlike every other's.
        subject: who asks.
        server: the server that is asked.
        method: the JSON-RPC method; "" for a stream that is opened by GET.
        name: the tool, prompt or URI; "" for none.
        request: what Envoy hands to the service.
        sent: when, by the monotonic clock.
    """

    number: int
    subject: str
    server: str
    method: str
    name: str
    request: HttpRequest
    sent: float = 0.0


@dataclass(slots=True)
class Wallet:
    """The callers' tokens, by the issuer's present key and by those before it."""

    issuer: TokenIssuer
    tokens: dict[str, str] = field(default_factory=dict)

    def refill(self) -> None:
        """Get every caller a token by the issuer's present key; what was there stays as the old token."""
        made = {name: BAD_TOKENS[name.partition(":")[2]](self.issuer) for name in _STRANGERS}
        for name, fields in _PEOPLE.items():
            if name in self.tokens:
                made[f"{name}'"] = self.tokens[name]
            made[name] = self._token(name, dict(fields))
        self.tokens = made  # at once: clients read it meanwhile

    def subject(self, holder: str) -> str:
        """Return who a token is about; of the bad ones, one that is only not valid yet can become good."""
        return _STRANGER if holder in _STRANGERS else holder.rstrip("'")

    def holder(self, rng: random.Random) -> str:
        """Choose whose token to use: mostly an honest one, sometimes one by the key before, sometimes a bad one."""
        chance = rng.random()
        if chance < 0.08:
            return rng.choice(_STRANGERS)
        old = sorted(name for name in self.tokens if name.endswith("'"))
        return rng.choice(old) if old and chance < 0.16 else rng.choice([*_PEOPLE])

    def _token(self, name: str, fields: dict[str, Any]) -> str:
        """Make a token that was issued a day ago, so that a clock that is set back does not come before it."""
        now, later = int(time.time()), fields.pop("later", 0)
        ttl = fields.pop("ttl", 30 * DAY)
        claims = {"iat": now - DAY, "exp": now + ttl, **({"nbf": now + later} if later else {})}
        return self.issuer.token(sub=name, claims=claims, **fields)


@dataclass(slots=True, kw_only=True)
class Questions:
    """Makes one client's questions, in one era, from one seed."""

    port: int
    era: str
    wallet: Wallet
    rng: random.Random
    numbers: Iterator[int]
    sessions: dict[tuple[str, str], str] = field(default_factory=dict)

    def next(self) -> Question:
        """Return the next question: in a legacy session, the first one opens it."""
        holder, server = self.wallet.holder(self.rng), self.rng.choice(SERVERS)
        who = self.wallet.subject(holder)
        if self.era == LEGACY and (who, server) not in self.sessions and self.rng.random() < 0.7:
            return self.ask(holder, server, "initialize", _HELLO)
        return self.rng.choices(*_MIX)[0](self, holder, server)

    def ask(
        self, holder: str, server: str, method: str, params: dict[str, Any], **changes: str | None
    ) -> Question:
        """Return a question with the headers of its era; `changes` to them, None to leave one out."""
        number = next(self.numbers)
        if self.era == MODERN:
            params = {"_meta": _META, **params}
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        name = params.get("name", params.get("uri", ""))
        lines = self._headers(holder, server, number) | self._mirrored(method, name) | changes
        return self._question(holder, server, method, name, lines, json.dumps(message).encode(), number)

    def stream(self, holder: str, server: str) -> Question:
        """Return the request that opens a session's stream."""
        number = next(self.numbers)
        lines = self._headers(holder, server, number) | {"accept": "text/event-stream", "content-type": None}
        return self._question(holder, server, "", "", lines, b"", number)

    def call(self, holder: str, server: str) -> Question:
        """Call a tool."""
        name = self.rng.choice(TOOLS)
        arguments = {"path": self.rng.choice(_PATHS)} if name == "write" else {}
        return self.ask(holder, server, "tools/call", {"name": name, "arguments": arguments})

    def read(self, holder: str, server: str) -> Question:
        """Read a resource."""
        return self.ask(holder, server, "resources/read", {"uri": self.rng.choice(RESOURCES)})

    def prompt(self, holder: str, server: str) -> Question:
        """Get a prompt."""
        return self.ask(holder, server, "prompts/get", {"name": self.rng.choice(PROMPTS)})

    def list(self, holder: str, server: str) -> Question:
        """Ask for a list."""
        return self.ask(holder, server, self.rng.choice([*OFFERED]), {})

    def steal(self, holder: str, server: str) -> Question:
        """Call a tool in a session that somebody else opened, if there is one."""
        others = sorted(
            value for (who, _), value in self.sessions.items() if who != self.wallet.subject(holder)
        )
        session = {SESSION: self.rng.choice(others)} if others else {}
        return self.ask(holder, server, "tools/call", {"name": "echo", "arguments": {}}, **session)

    def smuggle(self, holder: str, server: str) -> Question:
        """Name a forbidden tool where a careless reader does not look."""
        question = self.ask(holder, server, "tools/call", {"name": "echo", "arguments": {}})
        body = self.rng.choice(_SMUGGLED)(question.request.body)
        headers = {**question.request.headers, "content-length": str(len(body))}
        question.request = HttpRequest(
            method="POST",
            scheme="http",
            host=question.request.host,
            path=question.request.path,
            headers=headers,
            body=body,
            source="127.0.0.1",
        )
        return question

    def _headers(self, holder: str, server: str, number: int) -> dict[str, str | None]:
        session = self.sessions.get((self.wallet.subject(holder), server))
        return {
            "host": f"localhost:{self.port}",
            "authorization": f"Bearer {self.wallet.tokens[holder]}",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": self.era,
            NUMBER: str(number),
            SESSION: session if self.era == LEGACY else None,
        }

    def _mirrored(self, method: str, name: str) -> dict[str, str | None]:
        if self.era == MODERN:
            return {"mcp-method": method, "mcp-name": name or None}
        return {SESSION: None, "mcp-protocol-version": None} if method == "initialize" else {}

    def _question(
        self,
        holder: str,
        server: str,
        method: str,
        name: str,
        lines: Mapping[str, str | None],
        body: bytes,
        number: int,
    ) -> Question:
        headers = {key: value for key, value in lines.items() if value is not None}
        if body:
            headers["content-length"] = str(len(body))
        request = HttpRequest(
            method="POST" if body else "GET",
            scheme="http",
            host=headers["host"],
            path=f"/{server}",
            headers=headers,
            body=body,
            source="127.0.0.1",
        )
        subject = self.wallet.subject(holder)
        return Question(
            number=number, subject=subject, server=server, method=method, name=name, request=request
        )


_HELLO = {
    "protocolVersion": LEGACY,
    "capabilities": {},
    "clientInfo": {"name": "chaos", "version": "1"},
}
_SMUGGLED: tuple[Callable[[bytes], bytes], ...] = (
    lambda body: b"[" + body + b"]",
    lambda body: body.replace(b'"name": "echo"', b'"name": "echo", "name": "forbidden"'),
    lambda body: body.replace(b'"name": "echo"', b'"name": "echo", "Name": "forbidden"'),
    lambda body: body.replace(b'"method"', b'"Method": "tools/list", "method"'),
    lambda body: body[:-1],
)
_MIX: tuple[list[Callable[[Questions, str, str], Question]], list[int]] = (
    [Questions.call, Questions.read, Questions.prompt, Questions.list, Questions.steal, Questions.smuggle],
    [50, 12, 8, 20, 5, 5],
)


def numbers() -> Iterator[int]:
    """Count from one."""
    return itertools.count(1)

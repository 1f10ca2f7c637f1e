"""An authorization server on loopback that answers about tokens (RFC 7662, RFC 9701), and counts what it is asked."""

import asyncio
import contextlib
import socket
import time
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

import jwt
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from authz.edge.http.listener import Uvicorn
from tests.support import tokens

CLIENT, SECRET = "mcp gateway", "s3cret/with:signs+"
SIGNED_KEY = "assertion-key"


@dataclass(slots=True, kw_only=True)
class AuthorizationServer:
    """What the server knows, how it answers, and what it was asked.

    Attributes:
        url: its URL, once it listens.
        known: what it says about tokens; of any other that it is not active.
        gate: closed to keep every question under way.
        status: answered instead, unless it is 200.
        signer: the private key of signed answers; None for plain JSON.
        changes: members of a signed answer that replace the right ones; `typ` is its header's.
        assertions: the public key of a client that signs; None for the secret.
        asked: every token that it was asked about.
        most: questions that were under way at once.
        records: what a service wrote that asked it.
        loop: the event loop that it runs on, where that is another thread's.
    """

    url: str = ""
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    status: int = 200
    signer: Any = None
    changes: dict[str, Any] = field(default_factory=dict)
    assertions: Any = None
    asked: list[str] = field(default_factory=list)
    most: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)
    loop: Any = None
    _now: int = 0

    def issue(self, token: str, **claims: Any) -> str:
        """Know a token, with acceptable claims that `claims` change; one that is `...` is left out."""
        base = {"active": True, "sub": "alice", "client_id": "cli", "scope": "a b", "aud": tokens.AUDIENCE}
        base |= {"exp": int(time.time()) + tokens.A_DAY, **claims}
        self.known[token] = {name: value for name, value in base.items() if value is not ...}
        return token

    async def answer(self, request: Request) -> Response:
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            return await self._answer(request)
        finally:
            self._now -= 1

    async def _answer(self, request: Request) -> Response:
        form = await request.form()
        self.asked.append(str(form["token"]))
        await self.gate.wait()
        if self.status != 200 or not self._is_client(request, form):
            return Response(status_code=self.status if self.status != 200 else 401)
        said = self.known.get(str(form["token"]), {"active": False})
        if self.signer is None:
            return JSONResponse(said)
        claims = {"iss": tokens.ISSUER, "aud": CLIENT, "iat": int(time.time()), "token_introspection": said}
        claims |= {name: value for name, value in self.changes.items() if name != "typ"}
        headers = {"typ": self.changes.get("typ", "token-introspection+jwt"), "kid": tokens.KID}
        text = jwt.encode(claims, self.signer, "RS256", headers)
        return Response(text, media_type="application/token-introspection+jwt")

    def _is_client(self, request: Request, form: Any) -> bool:
        if self.assertions is None:
            scheme, _, pair = request.headers.get("authorization", "").partition(" ")
            given = tuple(map(unquote_plus, _decoded(pair).split(":", 1))) if scheme == "Basic" else ()
            return given == (CLIENT, SECRET)
        try:
            proof = jwt.decode(
                form["client_assertion"], self.assertions, ["RS256", "ES256"], audience=tokens.ISSUER
            )
        except (jwt.InvalidTokenError, KeyError):
            return False
        named = jwt.get_unverified_header(form["client_assertion"]).get("kid") == SIGNED_KEY
        return named and proof["iss"] == proof["sub"] == form["client_id"] == CLIENT and "jti" in proof


def _decoded(pair: str) -> str:
    return b64decode(pair).decode()


@contextlib.asynccontextmanager
async def serving(server: AuthorizationServer):
    """Serve on a free port of this loop."""
    server.gate.set()
    app = Starlette(routes=[Route("/introspect", server.answer, methods=["POST"])])
    web = Uvicorn(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    server.url = f"http://127.0.0.1:{listener.getsockname()[1]}/introspect"
    running = asyncio.create_task(web.serve(sockets=[listener]))
    try:
        yield server
    finally:
        server.gate.set()
        web.should_exit = True
        await running

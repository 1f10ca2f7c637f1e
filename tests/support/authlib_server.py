"""An authorization server made of Authlib's endpoints: it issues opaque tokens, answers about them and revokes them.

What it says, whom it lets ask, and what it does with a wrong question is Authlib's; here stand its clients, its tokens and
the HTTP around it.
"""

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Request, TokenMixin, grants
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from joserfc.jwk import RSAKey

from tests.support import tokens
from tests.support.waiting import DEADLINE

_ASSERTION, _BASIC = JWTBearerClientAssertion.CLIENT_AUTH_METHOD, "client_secret_basic"
_PAGES = {"/token": None, "/introspect": "introspection", "/revoke": "revocation"}


@dataclass(slots=True, eq=False, kw_only=True)
class _Client(ClientMixin):  # type: ignore[misc]  # Authlib is not typed
    client_id: str
    secret: str
    method: str = _BASIC
    key: Any = None

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_client_secret(self, secret: str) -> bool:
        return secrets.compare_digest(secret, self.secret)

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method == self.method

    def check_grant_type(self, grant: str) -> bool:
        return grant == "client_credentials"


@dataclass(slots=True, eq=False, kw_only=True)
class _Token(TokenMixin):  # type: ignore[misc]
    text: str
    client: str
    scope: str
    expires: int
    revoked: bool = False

    def check_client(self, client: _Client) -> bool:
        return self.client == client.client_id

    def is_expired(self) -> bool:
        return time.time() >= self.expires

    def is_revoked(self) -> bool:
        return self.revoked


class _Request(OAuth2Request):  # type: ignore[misc]
    def __init__(self, path: str, form: dict[str, str], headers: dict[str, str]) -> None:
        super().__init__("POST", f"https://authlib.example{path}", headers=headers)
        self.payload = BasicOAuth2Payload(form)

    @property
    def form(self) -> dict[str, str]:
        return self.payload.data  # type: ignore[no-any-return]


class _Server(AuthorizationServer):  # type: ignore[misc]
    def __init__(self, site: "AuthlibSite") -> None:
        super().__init__()
        self.site = site
        self.register_token_generator("default", BearerTokenGenerator(lambda **_: secrets.token_urlsafe(24)))
        self.register_grant(grants.ClientCredentialsGrant)
        self.register_client_auth_method(_ASSERTION, _Assertion(site))
        for endpoint in (_Introspection, _Revocation):
            self.register_endpoint(endpoint)

    def query_client(self, client_id: str) -> _Client | None:
        return self.site.clients.get(client_id)

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        expires = int(time.time()) + token["expires_in"]
        made = _Token(
            text=token["access_token"],
            client=request.client.client_id,
            scope=token.get("scope", ""),
            expires=expires,
        )
        self.site.tokens[made.text] = made

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> tuple[int, Any]:
        return status, body

    def send_signal(self, name: str, *_: Any, **__: Any) -> None:
        pass


class _Assertion(JWTBearerClientAssertion):  # type: ignore[misc]
    def __init__(self, site: "AuthlibSite") -> None:
        super().__init__()
        self._site, self._seen = site, set[str]()

    def get_audiences(self) -> list[str]:
        return [tokens.ISSUER]

    def validate_jti(self, _claims: Any, jti: str) -> bool:
        fresh = jti not in self._seen
        self._seen.add(jti)
        return fresh

    def resolve_client_public_key(self, client: _Client) -> Any:
        return RSAKey.import_key(client.key)


class _Introspection(IntrospectionEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS = (_BASIC, _ASSERTION)

    def check_permission(self, _token: _Token, client: _Client, _request: Any) -> bool:
        return client.client_id in self.server.site.may_ask

    def query_token(self, text: str, _hint: str | None) -> _Token | None:
        return self.server.site.tokens.get(text)  # type: ignore[no-any-return]

    def introspect_token(self, token: _Token) -> dict[str, Any]:
        said = {"client_id": token.client, "sub": token.client, "scope": token.scope, "token_type": "Bearer"}
        return said | {"iss": tokens.ISSUER, "aud": tokens.AUDIENCE, "exp": token.expires}


class _Revocation(RevocationEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS = (_BASIC,)

    def query_token(self, text: str, _hint: str | None) -> _Token | None:
        return self.server.site.tokens.get(text)  # type: ignore[no-any-return]

    def revoke_token(self, token: _Token, _request: Any) -> None:
        token.revoked = True


@dataclass(slots=True, eq=False, kw_only=True)
class AuthlibSite:
    """What the server holds, and what it was asked.

    Attributes:
        url: where it listens.
        clients: its clients, by id.
        may_ask: those that may ask about tokens.
        gate: closed to keep every question under way.
        questions: how often it was asked about a token.
        most: questions that were under way at once.
    """

    url: str = ""
    clients: dict[str, _Client] = field(default_factory=dict)
    may_ask: set[str] = field(default_factory=set)
    tokens: dict[str, _Token] = field(default_factory=dict)
    gate: threading.Event = field(default_factory=threading.Event)
    questions: int = 0
    most: int = 0
    _now: int = 0
    _lock: Any = field(default_factory=threading.Lock)

    def add_client(self, client_id: str, secret: str, *, may_ask: bool = False, key: Any = None) -> None:
        """Register a client that proves who it is by its secret, or by an RSA key (PEM)."""
        method = _BASIC if key is None else _ASSERTION
        self.clients[client_id] = _Client(client_id=client_id, secret=secret, method=method, key=key)
        if may_ask:
            self.may_ask.add(client_id)

    @contextlib.contextmanager
    def question(self) -> Iterator[None]:
        """Count a question while it is answered."""
        with self._lock:
            self.questions, self._now = self.questions + 1, self._now + 1
            self.most = max(self.most, self._now)
        try:
            assert self.gate.wait(DEADLINE)
            yield
        finally:
            with self._lock:
                self._now -= 1


@contextlib.contextmanager
def serving() -> Iterator[AuthlibSite]:
    """Serve on a free port, until the end of the block."""
    site = AuthlibSite()
    site.gate.set()
    server = _Server(site)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = dict(parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
            # Authlib looks for names as they are usually written.
            request = _Request(self.path, form, {name.title(): value for name, value in self.headers.items()})
            with site.question() if self.path == "/introspect" else contextlib.nullcontext():
                name = _PAGES[self.path]
                made = (
                    server.create_endpoint_response(name, request)
                    if name
                    else server.create_token_response(request)
                )
            status, said = made
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Web(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 512

    with Web(("127.0.0.1", 0), Handler) as web:
        site.url = f"http://127.0.0.1:{web.server_port}"
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield site
        finally:
            site.gate.set()
            web.shutdown()
            thread.join()

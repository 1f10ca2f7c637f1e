"""An OpenID issuer for demos and tests only: it gives any token to anybody who asks, and so serves loopback alone.

`Issuer` makes tokens of the shape Auth0 gives, and publishes keys as Auth0 does; `app` serves it; `IssuerServer` runs
that in a thread, `python -m authz.demo.issuer --port N` in a process. Keys are made at start and die with it.

| request | answer |
|---|---|
| GET /.well-known/openid-configuration, /.well-known/oauth-authorization-server | issuer and key set URL; no flows, there are none |
| GET /.well-known/jwks.json | the published keys |
| POST /demo/token, JSON object of `TokenFields` | a token |
| POST /demo/token/KIND, KIND of `BAD_TOKENS` | a token that must be refused |
| POST /demo/rotate | a new key signs from now on, the old ones stay published |
| POST /demo/revoke/KID | that key is no longer published |
| POST /demo/outage/on, /demo/outage/off | whether the well-known documents answer 503; tokens are given all the same |
"""

import argparse
import contextlib
import hashlib
import hmac
import json
import secrets
import socket
import sys
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Any

import msgspec
import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from authz.demo.processes import loopback

AUDIENCE = "https://mcp-oauth-demo"
"""The API identifier that tokens are for when none is asked for."""
ROLES_CLAIM = "https://mcp-demo/roles"
KEYS_MAX_AGE = 300
"""Seconds that the key set may be cached, by its Cache-Control."""
NOTICE = "for demos and tests only: this issuer gives any token to anybody"

_RSA_BITS = 2048
_START_SECONDS = 10.0
_STOP_SECONDS = 5.0


class TokenFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be asked of a token.

    Attributes:
        sub: the subject.
        scope: scopes, separated by spaces.
        roles: value of `ROLES_CLAIM`.
        audience: the API identifier; `aud` is a list of it and the issuer's userinfo.
        client: `azp`.
        ttl: seconds from now to `exp`; negative for a token that expired.
        kid: which published key signs; empty for the newest.
        claims: claims to set as they are, last; None takes a claim out.
    """

    sub: str = "auth0|user"
    scope: str = ""
    roles: Sequence[str] = ()
    audience: str = AUDIENCE
    client: str = "demo-client"
    ttl: int = 3600
    kid: str = ""
    claims: Mapping[str, Any] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """An RSA key and its name in the key set."""

    kid: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    private: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS),
        repr=False,
    )

    def jwk(self) -> dict[str, str]:
        """Return the public half (RFC 7517 section 4, RFC 7518 section 6.3.1)."""
        numbers = self.private.public_key().public_numbers()
        n, e = _number(numbers.n), _number(numbers.e)
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": n, "e": e}

    def pem(self) -> bytes:
        """Return the public half in PEM."""
        pem, info = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(pem, info)

    def sign(self, data: bytes) -> bytes:
        """Sign as RS256 does (RFC 7518 section 3.3)."""
        return self.private.sign(data, padding.PKCS1v15(), SHA256())


class Issuer:
    """Keys and the tokens they sign. Any thread may read while one changes it.

    Attributes:
        url: the issuer identifier, with a final slash as Auth0 has it.
        keys: what is published; the first signs.
        outage: whether the well-known documents fail.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        """Make the first key. `clock` gives seconds since the epoch."""
        self.url = url
        self.keys: tuple[SigningKey, ...] = (SigningKey(),)
        self.outage = False
        self._clock = clock

    @property
    def jwks_uri(self) -> str:
        """Where the key set is served."""
        return f"{self.url}.well-known/jwks.json"

    def now(self) -> int:
        """Return the issuer's time in seconds since the epoch."""
        return int(self._clock())

    def rotate(self) -> str:
        """Sign with a new key from now on, keep the old ones published, and return the new key's kid."""
        key = SigningKey()
        self.keys = (key, *self.keys)
        return key.kid

    def revoke(self, kid: str) -> None:
        """Publish a key no longer.

        Raises:
            ValueError: it is not published, or it is the one that signs (rotate first).
        """
        if self._key(kid) is self.keys[0]:
            msg = "the key that signs cannot be revoked"
            raise ValueError(msg)
        self.keys = tuple(key for key in self.keys if key.kid != kid)

    def jwks(self) -> dict[str, Any]:
        """Return the key set (RFC 7517 section 5)."""
        return {"keys": [key.jwk() for key in self.keys]}

    def metadata(self) -> dict[str, Any]:
        """Return the discovery document (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2)."""
        return {
            "issuer": self.url,
            "jwks_uri": self.jwks_uri,
            "response_types_supported": [],
            "grant_types_supported": [],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def claims(self, **fields: Any) -> dict[str, Any]:
        """Return the claims of an access token of Auth0's default profile, for the given `TokenFields`.

        Raises:
            TypeError: there is no such field.
        """
        asked, now = TokenFields(**fields), self.now()
        claims = {
            "iss": self.url,
            "sub": asked.sub,
            "aud": [asked.audience, f"{self.url}userinfo"],
            "azp": asked.client,
            "iat": min(now, now + asked.ttl),
            "exp": now + asked.ttl,
            "scope": asked.scope,
            ROLES_CLAIM: list(asked.roles),
            **asked.claims,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, **fields: Any) -> str:
        """Return a signed access token for the given `TokenFields`.

        Raises:
            TypeError: there is no such field.
            ValueError: no key of that `kid` is published.
        """
        key = self._key(fields.get("kid") or self.keys[0].kid)
        return _compact({"alg": "RS256", "typ": "JWT", "kid": key.kid}, self.claims(**fields), key.sign)

    def _key(self, kid: str) -> SigningKey:
        for key in self.keys:
            if key.kid == kid:
                return key
        msg = "no key of this kid is published"
        raise ValueError(msg)


def _expired(issuer: Issuer) -> str:
    return issuer.token(claims={"iat": issuer.now() - 7200, "exp": issuer.now() - 3600})


def _not_yet_valid(issuer: Issuer) -> str:
    return issuer.token(claims={"nbf": issuer.now() + 3600})


def _wrong_audience(issuer: Issuer) -> str:
    return issuer.token(audience="https://another-api.example")


def _wrong_issuer(issuer: Issuer) -> str:
    return issuer.token(claims={"iss": "https://another-issuer.example/"})


def _unknown_kid(issuer: Issuer) -> str:
    header = {"alg": "RS256", "typ": "JWT", "kid": secrets.token_urlsafe(16)}
    return _compact(header, issuer.claims(), issuer.keys[0].sign)


def _foreign_key(issuer: Issuer) -> str:
    header = {"alg": "RS256", "typ": "JWT", "kid": issuer.keys[0].kid}
    return _compact(header, issuer.claims(), SigningKey().sign)


def _alg_none(issuer: Issuer) -> str:
    return _compact({"alg": "none", "typ": "JWT"}, issuer.claims(), lambda _: b"")


def _hs256_public_key(issuer: Issuer) -> str:
    key = issuer.keys[0]
    header = {"alg": "HS256", "typ": "JWT", "kid": key.kid}
    return _compact(header, issuer.claims(), lambda data: hmac.digest(key.pem(), data, hashlib.sha256))


BAD_TOKENS: Mapping[str, Callable[[Issuer], str]] = MappingProxyType(
    {
        "expired": _expired,
        "not_yet_valid": _not_yet_valid,
        "wrong_audience": _wrong_audience,
        "wrong_issuer": _wrong_issuer,
        "unknown_kid": _unknown_kid,
        "foreign_key": _foreign_key,
        "alg_none": _alg_none,
        "hs256_public_key": _hs256_public_key,
    }
)
"""Tokens that must be refused, each wrong in one way: kind to maker."""


def _compact(header: Mapping[str, Any], claims: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> str:
    signed = f"{_json(header)}.{_json(claims)}"
    return f"{signed}.{_base64(sign(signed.encode()))}"


def _json(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class _Pages:
    """The handlers of `app`."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer

    def metadata(self, _request: Request) -> Response:
        return self._document(self._issuer.metadata())

    def jwks(self, _request: Request) -> Response:
        return self._document(self._issuer.jwks())

    async def token(self, request: Request) -> Response:
        asked = msgspec.json.decode(await request.body(), type=TokenFields)
        return _token_response(self._issuer.token(**msgspec.structs.asdict(asked)), expires_in=asked.ttl)

    def bad_token(self, request: Request) -> Response:
        make = BAD_TOKENS.get(request.path_params["kind"])
        if make is None:
            raise HTTPException(404)
        return _token_response(make(self._issuer))

    def rotate(self, _request: Request) -> Response:
        return JSONResponse({"kid": self._issuer.rotate()})

    def revoke(self, request: Request) -> Response:
        self._issuer.revoke(request.path_params["kid"])
        return Response(status_code=204)

    def outage(self, request: Request) -> Response:
        self._issuer.outage = request.url.path.endswith("/on")
        return Response(status_code=204)

    def _document(self, document: Mapping[str, Any]) -> Response:
        if self._issuer.outage:
            raise HTTPException(503)
        return JSONResponse(document, headers={"cache-control": f"public, max-age={KEYS_MAX_AGE}"})


def app(issuer: Issuer) -> Starlette:
    """Return the issuer's HTTP side; the module's docstring lists its paths."""
    pages = _Pages(issuer)
    routes = [
        Route("/.well-known/openid-configuration", pages.metadata),
        Route("/.well-known/oauth-authorization-server", pages.metadata),
        Route("/.well-known/jwks.json", pages.jwks),
        Route("/demo/token", pages.token, methods=["POST"]),
        Route("/demo/token/{kind}", pages.bad_token, methods=["POST"]),
        Route("/demo/rotate", pages.rotate, methods=["POST"]),
        Route("/demo/revoke/{kid}", pages.revoke, methods=["POST"]),
        Route("/demo/outage/on", pages.outage, methods=["POST"]),
        Route("/demo/outage/off", pages.outage, methods=["POST"]),
    ]
    # A web page must not get tokens by letting its own name resolve to this machine.
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    refusals = {ValueError: _bad_request, msgspec.DecodeError: _bad_request}
    return Starlette(routes=routes, middleware=[hosts], exception_handlers=refusals)


def _token_response(token: str, **more: Any) -> Response:
    body = {"access_token": token, "token_type": "Bearer", "notice": NOTICE, **more}
    return JSONResponse(body, headers={"cache-control": "no-store"})


def _bad_request(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "invalid_request", "error_description": str(error)}, status_code=400)


class IssuerServer:
    """Context manager that runs an issuer in a thread and gives the `Issuer`.

    Raises:
        ValueError: from the constructor, for an address that is not loopback.
        OSError: on entering, when the port is taken.
        TimeoutError: on entering, when the server is not up within ten seconds.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Prepare; port 0 takes a free one."""
        self._address = (loopback(host), port)

    def __enter__(self) -> Issuer:
        listening, issuer = _listen(*self._address)
        self._server = _server(issuer)
        self._thread = threading.Thread(
            target=self._server.run, args=([listening],), name="issuer", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline:
                msg = "the issuer did not start"
                raise TimeoutError(msg)
            time.sleep(0.01)
        return issuer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)


def _listen(host: str, port: int) -> tuple[socket.socket, Issuer]:
    # Bound here and not by the server, because the identifier holds the port.
    listening = socket.create_server((host, port))
    return listening, Issuer(f"http://{host}:{listening.getsockname()[1]}/")


def _server(issuer: Issuer) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app(issuer),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run an issuer until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m authz.demo.issuer", description=NOTICE)
    parser.add_argument("--port", type=int, default=8090, help="0 for any free one (default: %(default)s)")
    parser.add_argument("--host", type=loopback, default="127.0.0.1", help="a loopback address of IPv4")
    options = parser.parse_args(arguments)
    listening, issuer = _listen(options.host, options.port)
    sys.stderr.write(f"issuer {issuer.url} ({NOTICE})\n")
    with contextlib.suppress(KeyboardInterrupt):
        _server(issuer).run([listening])


if __name__ == "__main__":
    main()

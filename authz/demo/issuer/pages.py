"""The demo issuer's HTTP side.

| request | answer |
|---|---|
| GET /.well-known/openid-configuration, /.well-known/oauth-authorization-server | the endpoints |
| GET /.well-known/jwks.json | the published keys |
| GET /authorize | a redirect with a code, without a login |
| POST /oauth/token | a token for a code, a device code, a refresh token or a client's secret |
| POST /oauth/device/code | a device code |
| GET /activate?user_code=C&answer=approve or deny | records the answer of the device's user |
| POST /oidc/register | a new client |
| POST /demo/token with a JSON object of `TokenFields` | a token |
| POST /demo/token/KIND, a KIND of `BAD_TOKENS` | a token that must be rejected |
| POST /demo/rotate | signs with a new key; the old ones stay published |
| POST /demo/revoke/KID | stops publishing that key |
| POST /demo/outage/MODE, /demo/outage/off | makes the well-known documents fail in a MODE of `faults.MODES`, or stops that |
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from authz.demo.issuer.authorization_code import ACTIVATE, ENDPOINTS, Flows
from authz.demo.issuer.faults import MODES
from authz.demo.issuer.grants import OAuthError, refuse
from authz.demo.issuer.tokens import BAD_TOKENS, TokenFields

KEYS_MAX_AGE = 300
"""Seconds for which Cache-Control lets clients cache the key set."""
NOTICE = "for demos and tests only: this issuer issues any token to anyone"

_NO_STORE = {"cache-control": "no-store"}


class _Pages:
    """The handlers of `app`. All run on one event loop, so that no two change the state at once."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows
        self._issuer = flows.issuer
        self._outage = ""

    async def metadata(self, request: Request) -> Response:
        return await self._document(request, self._flows.metadata())

    async def jwks(self, request: Request) -> Response:
        return await self._document(request, self._issuer.jwks())

    async def authorize(self, request: Request) -> Response:
        return RedirectResponse(
            self._flows.authorize(_parse_parameters(request.url.query)), 302, headers=_NO_STORE
        )

    async def oauth_token(self, request: Request) -> Response:
        answer = self._flows.token(await _form(request), request.headers.get("authorization"))
        return JSONResponse(answer, headers=_NO_STORE)

    async def device_code(self, request: Request) -> Response:
        return JSONResponse(self._flows.device_code(await _form(request)), headers=_NO_STORE)

    async def activate(self, request: Request) -> Response:
        form = _parse_parameters(request.url.query)
        if "answer" not in form:
            return PlainTextResponse("Add &answer=approve or &answer=deny to this URL.\n")
        self._flows.activate(form)
        return PlainTextResponse("Done. You may close this page.\n")

    async def register(self, request: Request) -> Response:
        metadata = msgspec.json.decode(await request.body(), type=dict[str, Any])
        client = self._flows.clients.register(metadata)
        return JSONResponse(client.document(), status_code=201, headers=_NO_STORE)

    async def token(self, request: Request) -> Response:
        fields = msgspec.json.decode(await request.body(), type=TokenFields)
        return _token_response(self._issuer.token(**msgspec.structs.asdict(fields)), expires_in=fields.ttl)

    async def bad_token(self, request: Request) -> Response:
        make = BAD_TOKENS.get(request.path_params["kind"])
        if make is None:
            raise HTTPException(404)
        return _token_response(make(self._issuer))

    async def rotate(self, _request: Request) -> Response:
        return JSONResponse({"kid": self._issuer.rotate()})

    async def revoke(self, request: Request) -> Response:
        self._issuer.revoke(request.path_params["kid"])
        return Response(status_code=204)

    async def outage(self, request: Request) -> Response:
        mode = request.path_params["mode"]
        if mode not in {"off", *MODES}:
            raise HTTPException(404)
        self._outage = "" if mode == "off" else mode
        return Response(status_code=204)

    async def _document(self, request: Request, document: Mapping[str, Any]) -> Response:
        good = JSONResponse(document, headers={"cache-control": f"public, max-age={KEYS_MAX_AGE}"})
        return await MODES[self._outage](request, good) if self._outage else good


def app(flows: Flows) -> Starlette:
    """Return the issuer as an ASGI application; the module's docstring lists its paths."""
    pages = _Pages(flows)
    path = {member: f"/{place}" for member, place in ENDPOINTS.items()}
    routes = [
        Route("/.well-known/openid-configuration", pages.metadata),
        Route("/.well-known/oauth-authorization-server", pages.metadata),
        Route("/.well-known/jwks.json", pages.jwks),
        Route(path["authorization_endpoint"], pages.authorize),
        Route(path["token_endpoint"], pages.oauth_token, methods=["POST"]),
        Route(path["device_authorization_endpoint"], pages.device_code, methods=["POST"]),
        Route(path["registration_endpoint"], pages.register, methods=["POST"]),
        Route(f"/{ACTIVATE}", pages.activate),
        Route("/demo/token", pages.token, methods=["POST"]),
        Route("/demo/token/{kind}", pages.bad_token, methods=["POST"]),
        Route("/demo/rotate", pages.rotate, methods=["POST"]),
        Route("/demo/revoke/{kid}", pages.revoke, methods=["POST"]),
        Route("/demo/outage/{mode}", pages.outage, methods=["POST"]),
    ]
    refusals = {OAuthError: _refusal, ValueError: _bad_request, msgspec.DecodeError: _bad_request}
    return Starlette(routes=routes, middleware=_middleware(), exception_handlers=refusals)


def _middleware() -> list[Middleware]:
    # The check of the host stops DNS rebinding: a web page must not get tokens by making its own name resolve to this
    # machine. An MCP client that is a page of this machine, such as the Inspector, may request them.
    return [
        Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]),
        Middleware(
            CORSMiddleware,
            allow_origin_regex=r"http://(localhost|127\.0\.0\.1)(:\d+)?",
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "mcp-protocol-version"],
        ),
    ]


async def _form(request: Request) -> dict[str, str]:
    """Return the parameters of a form body (RFC 6749 appendix B)."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        refuse("invalid_request", "the body must be application/x-www-form-urlencoded")
    return _parse_parameters((await request.body()).decode("utf-8"))


def _parse_parameters(text: str) -> dict[str, str]:
    """Parse parameters; a repeated one is an error (RFC 6749 section 3.1)."""
    pairs = parse_qsl(text, errors="strict", max_num_fields=50)
    form = dict(pairs)
    if len(form) != len(pairs):
        refuse("invalid_request", "a parameter is repeated")
    return form


def _token_response(token: str, **more: Any) -> Response:
    body = {"access_token": token, "token_type": "Bearer", "notice": NOTICE, **more}
    return JSONResponse(body, headers=_NO_STORE)


def _refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, OAuthError)
    return JSONResponse(error.body(), status_code=error.status, headers=_NO_STORE)


def _bad_request(_request: Request, error: Exception) -> Response:
    body = {"error": "invalid_request", "error_description": str(error)}
    return JSONResponse(body, status_code=400, headers=_NO_STORE)

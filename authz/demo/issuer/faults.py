"""Ways in which an issuer's documents can fail, as they do on real networks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

HUGE_BYTES = 100 * 1024 * 1024
DRIP_SECONDS = 0.25
"""Seconds between two bytes in the `drip` mode, in which a key set takes minutes."""
FOLLOWED = "followed"
"""Query parameter of the redirect's target in the `redirect` mode; the target serves the document."""

_CHUNK = b" " * 65_536
Fault = Callable[[Request, Response], Awaitable[Response]]
"""Turns a request and its good response into a failure."""


def _status(status: int) -> Fault:
    async def answer(_request: Request, _good: Response) -> Response:
        return Response("out of order\n", status_code=status)

    return answer


async def _html(_request: Request, _good: Response) -> Response:
    return HTMLResponse("<!doctype html><title>Maintenance</title><p>Back soon.")


async def _empty(request: Request, good: Response) -> Response:
    return JSONResponse({"keys": []}) if request.url.path.endswith("jwks.json") else good


async def _redirect(request: Request, good: Response) -> Response:
    return good if FOLLOWED in request.query_params else RedirectResponse(f"{request.url.path}?{FOLLOWED}=1")


async def _nothing(request: Request, _good: Response) -> Response:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return Response(status_code=499)


async def _huge(_request: Request, _good: Response) -> Response:
    return StreamingResponse(_spaces(), media_type="application/json")


async def _spaces() -> AsyncIterator[bytes]:
    yield b'{"keys":['
    for _ in range(HUGE_BYTES // len(_CHUNK)):
        yield _CHUNK
    yield b"]}"


async def _drip(_request: Request, good: Response) -> Response:
    return StreamingResponse(_drops(bytes(good.body)), media_type="application/json")


async def _drops(body: bytes) -> AsyncIterator[bytes]:
    for position in range(len(body)):
        yield body[position : position + 1]
        await asyncio.sleep(DRIP_SECONDS)


MODES: Mapping[str, Fault] = MappingProxyType(
    {
        "on": _status(503),
        "500": _status(500),
        "html": _html,
        "huge": _huge,
        "drip": _drip,
        "empty": _empty,
        "redirect": _redirect,
        "nothing": _nothing,
    }
)
"""Fault by mode. `on` is a 503, `huge` a stream of 100 MB, `drip` one byte at a time, `empty` a set without keys,
`redirect` a redirect to the document, and `nothing` accepts the request and never answers."""

"""One bounded GET: no redirects, no more than so many bytes, no longer than so many seconds."""

import asyncio
import re
from dataclasses import dataclass

import httpx

_MAX_AGE = re.compile(r"(?:^|,)\s*max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)


class FetchError(Exception):
    """A document that could not be had; the text names the cause and no content."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document.

    Attributes:
        body: its bytes.
        max_age: seconds for which the server says it stays good (Cache-Control), None when it does not.
    """

    body: bytes
    max_age: int | None


async def fetch(client: httpx.AsyncClient, url: str, *, max_bytes: int, seconds: float) -> Fetched:
    """Get a document.

    Args:
        client: must not follow redirects.
        url: where.
        max_bytes: what is longer is given up when that many bytes were read.
        seconds: for everything, from the connection to the last byte.

    Raises:
        FetchError: it could not be had within the bounds, or the answer was not 200.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _fetch(client, url, max_bytes)
    except TimeoutError:
        msg = f"no answer within {seconds:g} s"
        raise FetchError(msg) from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        msg = f"{type(error).__name__}"
        raise FetchError(msg) from None


async def _fetch(client: httpx.AsyncClient, url: str, max_bytes: int) -> Fetched:
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    async with client.stream("GET", url, headers=headers) as response:
        if response.status_code != httpx.codes.OK:
            msg = f"status {response.status_code}"
            raise FetchError(msg)
        body = bytearray()
        # Raw bytes: a content coding that was not asked for would otherwise be unpacked without a bound.
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > max_bytes:
                msg = f"more than {max_bytes} bytes"
                raise FetchError(msg)
        found = _MAX_AGE.search(response.headers.get("cache-control", ""))
        return Fetched(bytes(body), int(found[1]) if found else None)

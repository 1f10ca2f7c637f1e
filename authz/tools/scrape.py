"""One bounded GET, for metrics of a service that may be another or not be there."""

import time

import httpx

SECONDS = 10.0
"""Longest time for one answer, to its last byte."""
MAX_BYTES = 16 * 1024 * 1024


class ScrapeError(Exception):
    """Nothing that can be used was had; the text says why and holds nothing that the other side sent."""


def scrape(url: str) -> bytes:
    """Get a page; no redirect is followed and no proxy asked.

    Raises:
        ScrapeError: it cannot be had, in time and in size.
    """
    end = time.monotonic() + SECONDS
    body = bytearray()
    headers = {"accept": "text/plain", "accept-encoding": "identity"}
    try:
        with (
            httpx.Client(timeout=SECONDS, trust_env=False, follow_redirects=False) as client,
            client.stream("GET", url, headers=headers) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                msg = f"answered {answer.status_code} (is this the address of `serve --http`?)"
                raise ScrapeError(msg)
            for part in answer.iter_raw():
                body += part
                if len(body) > MAX_BYTES or time.monotonic() > end:
                    msg = f"the answer is longer than {MAX_BYTES} bytes, or takes longer than {SECONDS:g} s"
                    raise ScrapeError(msg)
    except httpx.TimeoutException:
        msg = f"no answer within {SECONDS:g} s"
        raise ScrapeError(msg) from None
    except httpx.HTTPError:
        msg = "no connection (does `mcp-authz serve` run there, with this --http address?)"
        raise ScrapeError(msg) from None
    return bytes(body)

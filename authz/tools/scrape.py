"""One bounded GET for the metrics of a service, which may be another service or not run at all."""

import time

import httpx

SECONDS = 10.0
"""Longest time for one answer, to its last byte."""
MAX_BYTES = 16 * 1024 * 1024


class ScrapeError(Exception):
    """There is no usable answer; the text says why and holds nothing that the other side sent."""


def scrape(url: str, *, also: frozenset[int] = frozenset()) -> bytes:
    """Get a page; follow no redirect and use no proxy.

    Args:
        url: its URL.
        also: statuses that are good beside 200.

    Raises:
        ScrapeError: there was no answer within the bounds on time and size.
    """
    end = time.monotonic() + SECONDS
    body = bytearray()
    headers = {"accept": "text/plain", "accept-encoding": "identity"}
    try:
        with (
            httpx.Client(timeout=SECONDS, trust_env=False, follow_redirects=False) as client,
            client.stream("GET", url, headers=headers) as answer,
        ):
            if answer.status_code not in {httpx.codes.OK, *also}:
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

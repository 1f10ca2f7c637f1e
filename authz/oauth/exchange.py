"""One exchange of JSON with an authorization server: https, no redirects, and limits on bytes and seconds."""

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from authz.config.addresses import is_loopback

TIMEOUT = 10.0
"""Seconds for one exchange."""
_MAX_BYTES = 262_144
_MAX_LINE = 300


class OAuthFailure(Exception):  # noqa: N818 - reads as what happened
    """There is no token; the text is a sentence for the user."""


class Unreachable(OAuthFailure):
    """The server did not answer, or something in front of it did; another attempt may help."""


def check_url(url: object, what: str) -> str:
    """Accept an https URL, or an http one on loopback (RFC 6749 section 3.1.2.1: tokens travel under TLS).

    Args:
        url: any value.
        what: the name of the URL for the failure.

    Raises:
        OAuthFailure: the URL is neither.
    """
    if isinstance(url, str) and _is_plain(url) and (url.startswith("https://") or _is_local(url)):
        return url
    msg = f"{what} is not an https URL; http is accepted on loopback only"
    raise OAuthFailure(msg)


def _is_plain(url: str) -> bool:
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        return False
    return named and url.isascii() and url.isprintable() and " " not in url


def _is_local(url: str) -> bool:
    return url.startswith("http://") and is_loopback(url)


def http_client(url: str) -> httpx.Client:
    """Return an HTTP client for this server; a server on this machine is not contacted through a proxy."""
    return httpx.Client(follow_redirects=False, timeout=TIMEOUT, trust_env=not is_loopback(url))


def exchange(
    http: httpx.Client, url: str, form: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """Fetch a document, or post a form.

    Args:
        http: must not follow redirects.
        url: the endpoint.
        form: the parameters to post; None for a GET.

    Returns:
        The status, and the answer's JSON object; an empty one if the answer is no JSON object.

    Raises:
        Unreachable: there is no answer, or it is too long, too slow or a server error (5xx).
    """
    method = "GET" if form is None else "POST"
    host = urlsplit(url).netloc
    try:
        with http.stream(method, url, data=form, headers={"accept": "application/json"}) as response:
            body, status = _read(response, host), response.status_code
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        msg = f"{host} did not answer ({type(error).__name__})"
        raise Unreachable(msg) from None
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        msg = f"{host} answered with status {status}"
        raise Unreachable(msg)
    return status, _object(body)


def _read(response: httpx.Response, host: str) -> bytes:
    body, end = bytearray(), time.monotonic() + TIMEOUT
    for chunk in response.iter_bytes(16_384):
        body += chunk
        if len(body) > _MAX_BYTES or time.monotonic() > end:
            msg = f"the answer of {host} is too long or too slow"
            raise Unreachable(msg)
    return bytes(body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def printable_line(value: object) -> str:
    """Return a server's text as one printable line of bounded length, so that it cannot control a terminal."""
    text = value if isinstance(value, str) else ""
    return "".join(char if char.isprintable() else " " for char in text[:_MAX_LINE]).strip()

"""One bounded exchange of JSON with an authorization server: https, no redirects, so many bytes and seconds."""

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
_MAX_WORDS = 300


class OAuthFailure(Exception):  # noqa: N818 - reads as what happened
    """No token; the text is a sentence for the user."""


class Unreachable(OAuthFailure):
    """No answer, or none of the server's own: trying again may help."""


def check_url(url: object, what: str) -> str:
    """Accept an https URL, or an http one on loopback (RFC 6749 section 3.1.2.1: tokens travel under TLS).

    Args:
        url: any value.
        what: names it in the failure.

    Raises:
        OAuthFailure: it is neither.
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


def client(url: str) -> httpx.Client:
    """Return an HTTP client for this server; what is on this machine is not asked for through a proxy."""
    return httpx.Client(follow_redirects=False, timeout=TIMEOUT, trust_env=not is_loopback(url))


def exchange(
    http: httpx.Client, url: str, form: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """Get a document, or post a form.

    Args:
        http: must not follow redirects.
        url: where.
        form: what to post; None to get.

    Returns:
        The status, and the JSON object of the answer; empty when it holds none.

    Raises:
        Unreachable: no answer, or one that is too long, too slow or the server's own failure (5xx).
    """
    method = "GET" if form is None else "POST"
    host = urlsplit(url).netloc
    try:
        with http.stream(method, url, data=form, headers={"accept": "application/json"}) as response:
            body, status = _read(response, host), response.status_code
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        msg = f"{host} does not answer ({type(error).__name__})"
        raise Unreachable(msg) from None
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        msg = f"{host} answers with status {status}"
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


def words(value: object) -> str:
    """Return a server's text as one printable line of bounded length, which cannot steer a terminal."""
    text = value if isinstance(value, str) else ""
    return "".join(char if char.isprintable() else " " for char in text[:_MAX_WORDS]).strip()

"""Reads the certificate authorities of the web once a process, and not once for each HTTP client.

httpx and httpx2 read them whenever a client is made, which costs 30 ms; the tests make thousands, nearly all for plain
HTTP on loopback. Contexts that are made in any other way, and so those of tests about TLS, are not shared.
"""

import functools
import os
import ssl
from typing import Any

import certifi
import httpcore2


def share() -> None:
    """Share the contexts of clients that are given none."""
    make = ssl.create_default_context
    shared = functools.cache(lambda file: make(cafile=file))  # a test may have other authorities

    def create_default_context(*arguments: Any, **options: Any) -> ssl.SSLContext:
        usual = not arguments and options.keys() == {"cafile"} and options["cafile"] in _of_the_web()
        return shared(options["cafile"]) if usual else make(*arguments, **options)

    ssl.create_default_context = create_default_context
    httpcore2.default_ssl_context = functools.cache(httpcore2.default_ssl_context)


def _of_the_web() -> tuple[str | None, ...]:
    """Where httpx finds them: in the file that the machine names, or else in certifi's."""
    return os.environ.get("SSL_CERT_FILE"), certifi.where()

"""Probes for a process that listens on a URL, a port or a socket."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import httpx

from authz.demo.no_tls import NO_TLS

Probe = Callable[[], bool]
"""Tells whether a process is up; called repeatedly, returns within about a second, and raises nothing."""

_PROBE_SECONDS = 1.0


def http_ready(url: str) -> Probe:
    """Return a probe for a 2xx answer to GET `url`; proxies of the environment are not used."""

    def probe() -> bool:
        try:
            return httpx.get(url, timeout=_PROBE_SECONDS, trust_env=False, verify=NO_TLS).is_success
        except httpx.TransportError:
            return False

    return probe


def port_ready(host: str, port: int) -> Probe:
    """Return a probe for a TCP port that accepts connections."""

    def probe() -> bool:
        try:
            socket.create_connection((host, port), timeout=_PROBE_SECONDS).close()
        except OSError:
            return False
        return True

    return probe


def socket_ready(path: Path) -> Probe:
    """Return a probe for a Unix stream socket that accepts connections, which a stale socket file does not."""

    def probe() -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_PROBE_SECONDS)
            try:
                client.connect(os.fspath(path))
            except OSError:
                return False
        return True

    return probe

"""Addresses that the demo and the tests listen on: loopback, on free ports."""

import ipaddress
import secrets
import socket


def loopback(host: str) -> str:
    """Return `host` if it is an IPv4 loopback address; usable as an argparse type.

    Raises:
        ValueError: `host` is another address, or a name, because a name can resolve to any address.
    """
    if ipaddress.IPv4Address(host).is_loopback:
        return host
    msg = f"{host} is not a loopback address"
    raise ValueError(msg)


_PORTS = range(20_000, 32_000)
"""Below those that systems give to connections that go out (Linux from 32768, macOS from 49152), so that none takes one."""
_handed_out: set[int] = set()


def free_port() -> int:
    """Return a free TCP port of 127.0.0.1, and never the same one twice in one process.

    Another process can take the port before it is bound; `Supervisor.start` detects that.
    """
    while True:
        port = secrets.choice(_PORTS)  # not of `random`, which tests may seed alike in several processes
        if port not in _handed_out and _is_free(port):
            _handed_out.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def preferred_port(port: int) -> int:
    """Return `port` if it is free, and another free port otherwise."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return free_port()
    return port

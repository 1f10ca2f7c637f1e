"""Addresses that the demo and the tests listen on: loopback, on ports that nobody holds."""

import ipaddress
import socket


def loopback(host: str) -> str:
    """Return `host` when it is a loopback address of IPv4; usable as an argparse type.

    Raises:
        ValueError: for any other address, and for a name, because a name may resolve to anything.
    """
    if ipaddress.IPv4Address(host).is_loopback:
        return host
    msg = f"{host} is not a loopback address"
    raise ValueError(msg)


_handed_out: set[int] = set()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on, never the same twice in one process.

    Another process may take the port before it is bound; `Supervisor.start` notices.
    """
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _handed_out:
            _handed_out.add(port)
            return port


def preferred_port(port: int) -> int:
    """Return `port` when nobody listens on it, else a free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return free_port()
    return port

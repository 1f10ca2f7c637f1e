"""Addresses that the demo and the tests listen on: loopback, on free ports."""

import ipaddress
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


_handed_out: set[int] = set()


def free_port() -> int:
    """Return a free TCP port of 127.0.0.1, and never the same one twice in one process.

    Another process can take the port before it is bound; `Supervisor.start` detects that.
    """
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _handed_out:
            _handed_out.add(port)
            return port


def preferred_port(port: int) -> int:
    """Return `port` if it is free, and another free port otherwise."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return free_port()
    return port

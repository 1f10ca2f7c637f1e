"""Addresses that a rendered configuration connects to or listens on."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")


def require(ok: bool, message: str) -> None:
    """Raise an error with a message unless `ok`.

    Raises:
        ValueError: with the message.
    """
    if not ok:
        raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A socket: either `host` and `port`, or the `path` of a Unix socket.

    Attributes:
        host: IP literal without brackets, or a DNS name; empty means every address when listening.
        port: 1 to 65535; 0 for a Unix socket.
        path: absolute path of a Unix socket; empty for TCP.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    def __post_init__(self) -> None:
        """Reject an address that is neither a Unix socket nor a host and port."""
        if self.path:
            require(self.path.startswith("/"), f"unix socket path must be absolute: {self.path!r}")
            require(
                not self.host and not self.port, "an address has a unix path or a host and port, not both"
            )
        else:
            require(0 < self.port < 65536, f"port must be 1 to 65535: {self.port}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `host:port`, `[v6]:port`, `:port` or `unix:/path`.

        Raises:
            ValueError: the text is none of these.
        """
        if text.startswith("unix:"):
            return cls(path=text.removeprefix("unix:"))
        host, colon, port = text.rpartition(":")
        shaped = bool(colon) and re.fullmatch(r"[0-9]{1,5}", port) and (not host or _HOST.fullmatch(host))
        require(bool(shaped), f"expected host:port, :port or unix:/path, got {text!r}")
        return cls(host=host.strip("[]"), port=int(port))

    @property
    def is_name(self) -> bool:
        """Whether the host must be looked up in DNS."""
        if not self.host:
            return False
        try:
            ip_address(self.host)
        except ValueError:
            return True
        return False

    @property
    def authority(self) -> str:
        """The `host:port` of a Host header, with an IPv6 literal in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_host(text: str) -> bool:
    """Whether this is a host: a name, an IPv4 address, or an IPv6 address in brackets."""
    return bool(_HOST.fullmatch(text))

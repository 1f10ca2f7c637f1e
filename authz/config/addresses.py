"""Checks on addresses and URLs that a file gives; each returns its argument or raises ValueError with the cure."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

_PORT_MAX = 65_535
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._*-]*):([0-9]{1,5})")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,=:@/-]*")


def check_address(text: str) -> str:
    """Accept `host:port`, `:port`, `[v6]:port` or `unix:/absolute/path`."""
    if text.startswith("unix:"):
        if not text.startswith("unix:/"):
            msg = "a socket needs an absolute path, as in unix:/run/mcp-authz/authz.sock"
            raise ValueError(msg)
        return text
    found = _HOST_PORT.fullmatch(text)
    if found is None or int(found[2]) > _PORT_MAX:
        msg = "an address is host:port or unix:/path, as in 127.0.0.1:9001"
        raise ValueError(msg)
    return text


def check_http_url(text: str) -> str:
    """Accept an absolute http or https URL without credentials, query and fragment."""
    try:
        parts = urlsplit(text)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        port_ok = False
    if not port_ok or parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = "an absolute URL is needed, as in https://example.com/mcp"
        raise ValueError(msg)
    if parts.username is not None or parts.query or parts.fragment or "#" in text:
        msg = "a URL without credentials, query and fragment is needed"
        raise ValueError(msg)
    return text


def check_path(text: str) -> str:
    """Accept an absolute path that no proxy would rewrite: no percent sign, no empty or dot segment."""
    if not _PATH.fullmatch(text) or "//" in text or {".", ".."} & set(text.split("/")):
        msg = "a plain absolute path is needed, as in /mcp"
        raise ValueError(msg)
    return text


def is_loopback(url: str) -> bool:
    """Tell whether a URL points at this machine by name or address."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

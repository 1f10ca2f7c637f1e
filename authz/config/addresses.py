"""Checks on addresses and URLs in a file; each returns its argument, or raises ValueError with the cure."""

import re
from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

_PORT_MAX = 65_535
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._*-]*):([0-9]{1,5})")
_URL = re.compile(r"[A-Za-z0-9._~:/@!$&'()*+,;=%\[\]-]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_WORD = re.compile(r"[!-~]{1,512}")
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
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


def check_tcp_address(text: str) -> str:
    """Accept `host:port`, `:port` or `[v6]:port`."""
    if text.startswith("unix:"):
        msg = "a port is needed here, as in 127.0.0.1:9002"
        raise ValueError(msg)
    return check_address(text)


def is_local(address: str) -> bool:
    """Return whether only processes of this machine can reach an address."""
    return address.startswith("unix:") or is_loopback(f"http://{address}")


def worker_addresses(address: str, workers: int) -> tuple[str, ...]:
    """Return the gRPC address of each worker: one shared port, or one Unix socket each.

    The first socket has the given name, the others a number before the suffix: authz.sock, authz-1.sock.
    """
    if not address.startswith("unix:"):
        return (address,) * workers
    folder, slash, name = address.rpartition("/")
    stem, dot, suffix = name.rpartition(".") if "." in name[1:] else (name, "", "")
    more = (f"{folder}{slash}{stem}-{number}{dot}{suffix}" for number in range(1, workers))
    return (address, *more)


def check_host(text: str) -> str:
    """Accept the name or address of a host without a port, and return it in lower case."""
    if not _HOST.fullmatch(text):
        msg = "a host without a port is needed, as in keys.internal"
        raise ValueError(msg)
    return text.lower().strip("[]")


def check_authority(text: str) -> str:
    """Accept what a client may send as `Host`, a host with or without a port, or `*` for any; return it in lower case."""
    host, colon, port = text.rpartition(":")
    if text != "*" and not _HOST.fullmatch(text) and not (colon and port.isdigit() and _HOST.fullmatch(host)):
        msg = "a host with or without a port is needed, as in mcp.example:8443, or * for any"
        raise ValueError(msg)
    return text.lower()


def check_http_url(text: str) -> str:
    """Accept an absolute http or https URL without credentials, query or fragment (RFC 3986 characters only)."""
    if re.search("[?#@]", text):
        msg = "a URL without credentials, query or fragment is needed"
        raise ValueError(msg)
    if not _URL.fullmatch(text) or not _has_authority(text):
        msg = "an absolute URL is needed, as in https://example.com/mcp"
        raise ValueError(msg)
    return text


def check_issuer(text: str) -> str:
    """Accept the URL of an issuer, or another name without spaces (StringOrURI, RFC 7519 section 2)."""
    if is_http(text):
        return check_http_url(text)
    if not _WORD.fullmatch(text) or (":" in text and not _SCHEME.match(text)):
        msg = "an issuer is a URL as in https://example.com/, or a name of visible ASCII; with a colon it is a URI"
        raise ValueError(msg)
    return text


def is_http(text: str) -> bool:
    """Return whether a text is meant as an http or https URL."""
    return text.partition(":")[0].lower() in {"http", "https"}


def _has_authority(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    host = parts.netloc if port is None else parts.netloc.rpartition(":")[0]
    return parts.scheme in {"http", "https"} and port != 0 and _HOST.fullmatch(host) is not None


def check_endpoint(text: str) -> str:
    """Accept an http or https URL whose path no proxy rewrites."""
    check_path(urlsplit(check_http_url(text)).path or "/")
    return text


def check_path(text: str) -> str:
    """Accept an absolute path that no proxy rewrites: no percent sign, no empty or dot segment."""
    if not _PATH.fullmatch(text) or "//" in text or {".", ".."} & set(text.split("/")):
        msg = "a plain absolute path is needed, as in /mcp"
        raise ValueError(msg)
    return text


def is_loopback(url: str) -> bool:
    """Return whether a URL points at this machine by name or address."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


PLAIN_HTTP = "keys fetched over plain http can be replaced on the way"
"""What is wrong with a key set URL that is not guarded."""


def is_guarded(url: str, insecure_hosts: Collection[str] = ()) -> bool:
    """Return whether nobody on the way can replace a response: https, this machine, or a host that the operator trusts."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(url) or (parts.hostname or "") in insecure_hosts

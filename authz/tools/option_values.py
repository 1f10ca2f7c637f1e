"""Reads what a command line holds: JSON, headers, the name of a server. A mistake is a problem at its option."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from authz.config.problems import mistake
from authz.config.settings import Settings
from authz.core.servers import Server
from authz.core.wire.strict_json import StrictJSONError, loads
from authz.tools.requests import server_named

_HEADER = "--header"
_SERVER = "--server"
_MAX_INPUT = 16 * 1024 * 1024
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})


def server_of(settings: Settings, name: str) -> Server:
    """Return the server of this name, or the only one if the name is empty.

    Raises:
        ConfigError: no server has this name, or there are several and no name was given.
    """
    servers = {server.name: server for server in settings.directory.servers}
    found = server_named(servers, name)
    if found is None:
        message = "there is no such server" if name else "the file has several servers"
        raise mistake(_SERVER, message, f"one of: {', '.join(servers)}")
    return found


def read_bytes(file: str) -> bytes:
    """Read a file, `-` for stdin.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        if file == "-":
            return sys.stdin.buffer.read(_MAX_INPUT)
        with Path(file).open("rb") as stream:
            return stream.read(_MAX_INPUT)
    except OSError as error:
        raise mistake(file, f"cannot be read: {error.strerror}") from None


def json_object(flag: str, text: str) -> dict[str, Any]:
    """Read a JSON object as strictly as the service reads requests.

    Raises:
        ConfigError: the text is not one; nothing of it is repeated.
    """
    try:
        value = loads(text.encode("utf-8", "surrogateescape"))
    except StrictJSONError as error:
        raise mistake(flag, f"not strict JSON: {error}", "put the whole object in single quotes") from None
    if not isinstance(value, dict):
        raise mistake(flag, "a JSON object is needed")
    return value


def headers_of(given: Iterable[str]) -> dict[str, str]:
    """Read headers given as NAME=VALUE; names become lower case.

    Raises:
        ConfigError: one has another form, or is a credential.
    """
    headers: dict[str, str] = {}
    for entry in given:
        name, equals, value = entry.partition("=")
        name = name.strip().lower()
        if not equals or not name:
            raise mistake(_HEADER, "not of the form NAME=VALUE")
        if name in _CREDENTIALS:
            raise mistake(_HEADER, f"{name} is a credential, which no rule sees", "give --token")
        headers[name] = value
    return headers

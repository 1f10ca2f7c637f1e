"""The servers that are compared: where each comes from, how it is started, and what is known of it.

A server is installed once, into .cache, by the lock file of its language. What cannot be had here raises
`NotInstalledError`, which says what is missing.
"""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.clients.rows import java_command
from tests.servers.asked import LEGACY, MODERN
from tests.support.installed import ROOT, installed, run
from tests.support.node import find_node

_HERE = ROOT / "tests" / "servers"
_GO_MODULE = ROOT / "tests" / "clients" / "drivers" / "go"
_MINUTES = 30 * 60.0

Command = Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server.

    Attributes:
        what: what it is, with its version.
        command: installs it when that is not done; gives the command for a port, and variables for it.
        speaks: the versions of the protocol that are compared.
        path: of its endpoint.
        arguments: of tools whose schema does not say enough, or would take long.
        skipped: tools that are not called, and why.
        differs: patterns in what it says that differ from call to call on the same server, and why.
        unsteady: methods of what it sends in its own time, not compared, and why.
    """

    what: str
    command: Callable[[], Callable[[int], tuple[Command, Mapping[str, str]]]]
    speaks: Sequence[str] = (LEGACY,)
    path: str = "/mcp"
    arguments: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    differs: Mapping[str, str] = field(default_factory=dict)
    unsteady: Mapping[str, str] = field(default_factory=dict)


def _python() -> Callable[[int], tuple[Command, Mapping[str, str]]]:
    command = [sys.executable, "-m", "tests.everything"]
    return lambda port: ([*command, str(port)], {"PYTHONPATH": str(ROOT)})


def _typescript() -> Callable[[int], tuple[Command, Mapping[str, str]]]:
    node = find_node()
    files = [_HERE / "node" / name for name in ("package.json", "package-lock.json")]

    def install(place: Path) -> None:
        for file in files:
            shutil.copy(file, place)
        quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
        run(["npm", "ci", *quiet, "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=60000"], place)

    script = installed("server-everything", files, install)
    script /= "node_modules/@modelcontextprotocol/server-everything/dist/index.js"
    command = [str(node.binary), str(script), "streamableHttp"]
    return lambda port: (command, {"PORT": str(port)})


def _go() -> Callable[[int], tuple[Command, Mapping[str, str]]]:
    files = [_GO_MODULE / name for name in ("go.mod", "go.sum")]

    def build(place: Path) -> None:
        for file in files:
            shutil.copy(file, place)
        package = "github.com/modelcontextprotocol/go-sdk/examples/server/everything"
        run(["go", "build", "-mod=mod", "-o", "everything", package], place, _MINUTES)

    program = installed("server-go", files, build) / "everything"
    return lambda port: ([str(program), "-http", f"127.0.0.1:{port}"], {})


def _rust() -> Callable[[int], tuple[Command, Mapping[str, str]]]:
    source = _HERE / "rust"
    files = [source / "Cargo.toml", source / "src" / "main.rs"]

    def build(place: Path) -> None:
        shutil.copy(files[0], place)
        shutil.copytree(source / "src", place / "src")
        run(["cargo", "build", "--quiet"], place, _MINUTES)

    program = installed("server-rust", files, build) / "target" / "debug" / "everything"
    return lambda port: ([str(program), str(port)], {})


def _java() -> Callable[[int], tuple[Command, Mapping[str, str]]]:
    command = java_command(_HERE / "java" / "Server.java")
    return lambda port: ([*command, str(port)], {})


_RANDOM = "it sends at random moments until it is called again"
_TASK = "it needs a client that runs tasks"

SERVERS: Mapping[str, Server] = {
    "python": Server(
        what="tests/everything on mcp 2.3.0",
        command=_python,
        speaks=(LEGACY, MODERN),
        skipped={"test_reconnection": "how often a closed stream is resumed is the client's affair"},
    ),
    "typescript": Server(
        what="@modelcontextprotocol/server-everything 2026.8.31",
        command=_typescript,
        arguments={
            "trigger-long-running-operation": {"duration": 0.3, "steps": 3},
            "gzip-file-as-resource": {
                "name": "a.gz",
                "data": "data:text/plain,hello",
                "outputType": "resource",
            },
        },
        skipped={
            "toggle-simulated-logging": _RANDOM,
            "toggle-subscriber-updates": _RANDOM,
            "simulate-research-query": _TASK,
        },
        differs={r'"blob": "UmVzb3VyY2Ug[^"]*"': "its blobs have the time of day in them"},
        unsteady={
            "roots/list": "it asks some time after the handshake, and its tool asks if that was not answered",
            "notifications/tools/list_changed": "it sends them right after the handshake, to a stream that may not be open",
        },
    ),
    "go": Server(
        what="examples/server/everything of go-sdk v1.8.0",
        command=_go,
        differs={r"\?id=\d+|(?<=\"elicitationId\": \")\d+": "it counts its elicitations"},
    ),
    "rust": Server(what="tests/servers/rust on rmcp 3.11.0", command=_rust, speaks=(LEGACY, MODERN)),
    "java": Server(what="tests/servers/java on mcp 2.1.0", command=_java),
}

"""One load of one backend: which generator runs it, and what it found."""

import json
import math
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("wrk.lua")
_MARK = "\nresult "
_GRACE = 30.0
OPEN_CONNECTIONS = 64
"""Connections of a load at a given rate: so many requests may be under way before one has to wait for another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a generator found.

    Attributes:
        calls: requests that were answered.
        seconds: time they took together.
        p50_ms: median time of one, in milliseconds.
        p99_ms: the time that one in a hundred exceeds.
        p999_ms: the time that one in a thousand exceeds; it takes thousands of calls to mean anything.
        busy: share of the time in which the generator used a core; near 1 it measured itself.
        late_ms: by how much one send in a hundred was later than it was meant; 0 where no schedule was kept.
    """

    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    busy: float
    late_ms: float = 0.0


def generator() -> str:
    """Name the HTTP generator that is used: `wrk` where it is installed, else `own`."""
    return "wrk" if shutil.which("wrk") else "own"


def over_http(port: int, connections: int, seconds: float, file: Path, start: int) -> Load:
    """Load a listener on loopback.

    Args:
        port: its port.
        connections: each waits for an answer before it sends again.
        seconds: how long; wrk takes whole seconds only.
        file: the requests, see `workload.to_file`.
        start: number of the first request.

    Raises:
        RuntimeError: the generator failed; the text is its own.
    """
    if generator() == "wrk":
        return _wrk(port, connections, seconds, file, start)
    return _python("bench.httpload", ["--port", str(port)], connections, seconds, file, start)


def at_rate(port: int, rate: float, seconds: float, file: Path, start: int) -> Load:
    """Load a listener with so many requests a second, whether it keeps up or not; see `over_http`."""
    where = ["--port", str(port), "--rate", str(rate)]
    return _python("bench.openload", where, OPEN_CONNECTIONS, seconds, file, start)


def over_grpc(
    address: str, connections: int, seconds: float, file: Path, start: int, *, denied: bool
) -> Load:
    """Load a gRPC server with Checks; see `over_http`. `denied` says how they must be answered."""
    where = ["--address", address, *(["--denied"] if denied else [])]
    return _python("bench.grpcload", where, connections, seconds, file, start)


def _python(module: str, where: list[str], connections: int, seconds: float, file: Path, start: int) -> Load:
    flags = ["--connections", str(connections), "--seconds", str(seconds), "--file", str(file)]
    output = _run([sys.executable, "-m", module, *where, *flags, "--start", str(start)], seconds)
    return Load(**json.loads(output))


def _wrk(port: int, connections: int, seconds: float, file: Path, start: int) -> Load:
    whole = math.ceil(seconds)
    argv = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{whole}s", "--timeout", "5s", "-s", str(SCRIPT)]
    worked = _children_seconds()
    output = _run([*argv, f"http://127.0.0.1:{port}/mcp", "--", str(file), str(start)], whole)
    found = json.loads(output.rpartition(_MARK)[2])
    if found.pop("errors"):
        msg = "wrk lost connections or answers"
        raise RuntimeError(msg)
    return Load(**found, busy=(_children_seconds() - worked) / found["seconds"])


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(argv: list[str], seconds: float) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + _GRACE, check=False)
    if done.returncode:
        msg = f"{argv[0]} ended with status {done.returncode}: {done.stderr[-2000:]}"
        raise RuntimeError(msg)
    return done.stdout

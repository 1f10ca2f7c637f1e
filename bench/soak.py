"""A worker without gRPC: receives CheckRequests from its parent, and reports what it used when asked.

The service, its metrics and its audit log are the real ones; gRPC and HTTP are not there. The requests come from
another process, so that the memory that is reported is the service's.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from envoy.service.auth.v3 import external_auth_pb2

from authz.edge.envoy.ext_authz import Checker
from bench import proc
from bench.stages import NO_CALL, service_for, with_keys
from bench.workload import Mint

_pb: Any = external_auth_pb2
_MARK = b""
"""Asks for a mark."""
_YIELD = 256
_END_SECONDS = 20.0


class SoakWorker:
    """The worker, as a child process."""

    def __init__(self, mint: Mint, policy: Path) -> None:
        """Start it."""
        jwks = policy.with_suffix(".jwks")
        jwks.write_bytes(mint.jwks())
        self._pipe, theirs = Pipe()
        argv = [sys.executable, "-m", "bench.soak", str(theirs.fileno()), str(policy), str(jwks)]
        self._process = subprocess.Popen(argv, pass_fds=[theirs.fileno()])
        theirs.close()

    def send(self, requests: Iterable[bytes]) -> None:
        """Let it answer these."""
        for request in requests:
            self._pipe.send_bytes(request)

    def mark(self) -> dict[str, Any]:
        """Wait until it has answered everything; return its Checks, those allowed, its memory and its CPU seconds."""
        self._pipe.send_bytes(_MARK)
        mark: dict[str, Any] = self._pipe.recv()
        return mark

    def close(self) -> None:
        """End it, and kill it if freeing its memory takes long."""
        self._pipe.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


async def _answer(checker: Checker, parent: Connection) -> None:
    """Answer everything until the parent hangs up."""
    checks = allowed = 0
    while message := _received(parent):
        if message == [_MARK]:
            rss, cpu = proc.memory_kib()["VmRSS"], proc.cpu_seconds("self")
            parent.send({"checks": checks, "allowed": allowed, "rss_kib": rss, "cpu": cpu})
            continue
        reply = await checker.check(message[0], NO_CALL)
        checks += 1
        allowed += _pb.CheckResponse.FromString(reply).status.code == 0
        if checks % _YIELD == 0:
            await asyncio.sleep(0)


def _received(parent: Connection) -> list[bytes]:
    try:
        return [parent.recv_bytes()]
    except EOFError:
        return []


def main() -> None:
    """Serve one parent: arguments are the pipe's descriptor, a policy file and a key set."""
    pipe, policy, jwks = sys.argv[1:]
    with service_for(with_keys(Path(policy), Path(jwks).read_bytes())) as service:
        asyncio.run(_answer(service.checker(), Connection(int(pipe))))


if __name__ == "__main__":
    main()

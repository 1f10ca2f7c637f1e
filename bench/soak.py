"""A worker without gRPC: takes CheckRequests from its standard input, and tells what it used when asked.

The service, its metrics and its audit log are the real ones; gRPC and HTTP are not there. What sends the requests is
another process, so that the memory that is told is the service's.
"""

import argparse
import asyncio
import json
import resource
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

from envoy.service.auth.v3 import external_auth_pb2

from authz.config.load import load
from authz.edge.envoy.ext_authz import Checker
from authz.edge.service import Service
from authz.edge.telemetry.audit_log import AuditLog
from bench.stages import ALONE, with_keys

_pb: Any = external_auth_pb2
LENGTH = struct.Struct("<I")
"""Goes before each request; zero alone asks for a mark."""
_YIELD = 256


async def answer(checker: Checker, source: BinaryIO, sink: BinaryIO) -> None:
    """Answer everything until the end of input; each mark is a line of JSON."""
    checks = allowed = 0
    while head := source.read(LENGTH.size):
        (length,) = LENGTH.unpack(head)
        if not length:
            sink.write(_mark(checks, allowed))
            sink.flush()
            continue
        reply = await checker.check(source.read(length), ALONE)
        checks += 1
        allowed += _pb.CheckResponse.FromString(reply).status.code == 0
        if checks % _YIELD == 0:
            await asyncio.sleep(0)


def _mark(checks: int, allowed: int) -> bytes:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("ascii").splitlines())
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {
        "checks": checks,
        "allowed": allowed,
        "rss_kib": int(fields["VmRSS"].split()[0]),
        "cpu": used.ru_utime + used.ru_stime,
    }
    return json.dumps(told).encode() + b"\n"


def main() -> None:
    """Serve one parent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("policy")
    parser.add_argument("jwks", type=Path)
    given = parser.parse_args()
    settings = with_keys(
        load(given.policy, environment={"BENCH_JWKS": "https://issuer.example.com/"}), given.jwks.read_bytes()
    )
    with Path("/dev/null").open("wb") as nowhere:
        audit = AuditLog(nowhere)
        try:
            asyncio.run(answer(Service(settings, audit).checker(), sys.stdin.buffer, sys.stdout.buffer))
        finally:
            audit.close()


if __name__ == "__main__":
    main()

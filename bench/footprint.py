"""Memory and CPU of the service and of Envoy, for the resource requests of the manifests.

    .venv/bin/python -m bench.footprint

Issuer, MCP server, service and Envoy are the demo's, with Envoy at two workers, as the manifests have it. Measured:
resident memory when idle, after calls by many callers, and after long lists and long bodies; CPU a call, user and
system time of all threads. Linux only.
"""

import http.client
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from authz.demo.stack import Stack

CALLERS, CALLS, CONNECTIONS, LONG, BODY = 200, 8000, 16, 200, 900_000
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """One process, by its id."""

    pid: int

    def mebibytes(self, field: str = "VmRSS") -> float:
        """Resident memory: VmRSS now, VmHWM at its highest."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024

    def seconds(self) -> float:
        """CPU time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


def _body(method: str, params: dict[str, object]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


def _ask(port: int, tokens: list[str], bodies: list[bytes]) -> int:
    """Send each body over one connection, the tokens in turn; gives how many came too late to be decided."""
    late = 0
    connection = http.client.HTTPConnection("localhost", port, timeout=30)
    for index, body in enumerate(bodies):
        fields = {
            "authorization": f"Bearer {tokens[index % len(tokens)]}",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2025-11-25",
        }
        connection.request("POST", "/mcp", body, fields)
        answer = connection.getresponse()
        answer.read()
        late += answer.status == 503
    connection.close()
    return late


def _together(port: int, tokens: list[str], body: bytes, count: int, connections: int) -> int:
    share = [body] * (count // connections)
    with ThreadPoolExecutor(connections) as pool:
        return sum(pool.map(lambda at: _ask(port, tokens[at::connections], share), range(connections)))


def main() -> None:
    """Print the table."""
    with Stack(forms=("native",)) as stack:
        gateway, running = stack.gateways["native"], stack.supervisor._running  # noqa: SLF001 - its processes
        service, envoy = (Process(running[name].pid) for name in (gateway.service_name, gateway.envoy_name))
        tokens = [stack.token(sub=f"caller-{number}") for number in range(CALLERS)]
        port = gateway.ports.envoy
        denied = _body("tools/call", {"name": "system_status", "arguments": {}})
        long = _body("tools/call", {"name": "system_status", "arguments": {"text": "x" * BODY}})

        def stage(name: str, body: bytes, count: int, connections: int) -> None:
            before = [one.seconds() for one in (service, envoy)]
            late = _together(port, tokens, body, count, connections) if count else 0
            for what, one, then in zip(("service", "envoy"), (service, envoy), before, strict=True):
                each = (one.seconds() - then) / max(count, 1) * 1e6
                memory = f"{one.mebibytes():.0f} MiB, at most {one.mebibytes('VmHWM'):.0f}"
                print(f"{name:32} {what:8} {memory:24} {each:7.0f} µs a call  {late} too late")

        stage("idle", b"", 0, 0)
        stage(f"{CALLS} calls of {CALLERS} callers", denied, CALLS, CONNECTIONS)
        stage(f"{LONG} bodies of {BODY // 1000} kB", long, LONG, 4)


if __name__ == "__main__":
    main()

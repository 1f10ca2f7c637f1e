"""`python -m bench.footprint`: memory and CPU of the service and of Envoy, for the resource requests of the manifests.

Issuer, MCP server, service and Envoy are the demo's, with Envoy at two workers, as the manifests have it. Measured:
resident memory when idle, after calls by many callers, and after long bodies; CPU a call, user and system time of all
threads. Linux only.
"""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from authz.demo.stack import Stack
from bench import proc

CALLERS, CALLS, CONNECTIONS, LONG, BODY = 200, 8000, 16, 200, 900_000
_FIELDS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2025-11-25",
}


def _body(arguments: dict[str, str]) -> bytes:
    params = {"name": "system_status", "arguments": arguments}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()


def _ask(port: int, tokens: list[str], body: bytes, count: int) -> int:
    """Send a body over one connection, the tokens in turn; return how many came too late to be decided."""
    late = 0
    with closing(http.client.HTTPConnection("localhost", port, timeout=30)) as connection:
        for index in range(count):
            fields = {"authorization": f"Bearer {tokens[index % len(tokens)]}", **_FIELDS}
            connection.request("POST", "/mcp", body, fields)
            answer = connection.getresponse()
            answer.read()
            late += answer.status == 503
    return late


def _together(port: int, tokens: list[str], body: bytes, count: int, connections: int) -> int:
    with ThreadPoolExecutor(connections) as pool:
        shares = [
            pool.submit(_ask, port, tokens[n::connections], body, count // connections)
            for n in range(connections)
        ]
        return sum(share.result() for share in shares)


def main() -> None:
    """Print the table."""
    with Stack(forms=("native",)) as stack:
        gateway, running = stack.gateways["native"], stack.supervisor._running  # noqa: SLF001 - its processes
        pids = {"service": running[gateway.service_name].pid, "envoy": running[gateway.envoy_name].pid}
        tokens = [stack.token(sub=f"caller-{number}") for number in range(CALLERS)]
        for name, body, count, connections in (
            ("idle", b"", 0, 1),
            (f"{CALLS} calls of {CALLERS} callers", _body({}), CALLS, CONNECTIONS),
            (f"{LONG} bodies of {BODY // 1000} kB", _body({"text": "x" * BODY}), LONG, 4),
        ):
            before = {what: proc.cpu_seconds(pid) for what, pid in pids.items()}
            late = _together(gateway.ports.envoy, tokens, body, count, connections)
            for what, pid in pids.items():
                each = (proc.cpu_seconds(pid) - before[what]) / max(count, 1) * 1e6
                now, most = (kib / 1024 for kib in proc.memory_kib(pid).values())
                memory = f"{now:.0f} MiB, at most {most:.0f}"
                print(f"{name:32} {what:8} {memory:24} {each:7.0f} µs a call  {late} too late")


if __name__ == "__main__":
    main()

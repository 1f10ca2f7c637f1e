"""Where the clients are driven: a proxy, Envoy and the service, and an MCP server behind them."""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

from authz.demo.mcp_server import arrivals
from authz.demo.ports import free_port
from authz.demo.probes import port_ready
from authz.demo.processes import Child
from authz.demo.stack import Stack
from tests.clients.behind import ELSEWHERE, METADATA
from tests.support.installed import ROOT
from tests.support.running import another_gateway

_RULES = """
      - allow: {tools: [redirect, challenge, unknown_method, lose_session]}
      - allow: {tools: [archive]}
        scopes: [files:read]
        denial: result
"""
"""The first is for what the proxy in front and the server behind do to a call, which no rule decides."""


@dataclass(frozen=True)
class Place:
    """A running gateway for clients.

    Attributes:
        url: where a client connects.
        token: an administrator's without any scope, so `list_files` is a step away and `delete_file` denied.
        log: what arrived at the server.
    """

    url: str
    token: str
    log: Path

    def followed(self) -> list[str]:
        """Give the paths beside MCP's that were asked of the server, which only who follows it asks for."""
        beside = (ELSEWHERE, METADATA)
        return [arrival.path for arrival in arrivals(self.log) if arrival.path.startswith(beside)]


def start(stack: Stack) -> Place:
    """Start everything on a stack with the native gateway, which ends all of it."""
    front, server = free_port(), free_port()
    log = stack.supervisor.logs / f"behind-{server}.jsonl"
    gateway = another_gateway(stack, "clients", upstream=f"http://127.0.0.1:{server}/mcp", edit=_edit)
    url = f"http://localhost:{front}/mcp"
    gateway = dataclasses.replace(gateway, environment={**gateway.environment, "DEMO_RESOURCE": url})
    _python(stack, f"behind-{server}", server, "tests.clients.behind", str(log))
    gateway.start()
    _python(stack, f"front-{front}", front, "tests.clients.front", str(gateway.ports.envoy))
    return Place(url, stack.token(roles=["admin"]), log)


def _edit(policy: str) -> str:
    reachable = policy.replace("    rules:\n", "    lists: reachable\n    rules:\n")
    # So that who signs in has one scope and lacks the other.
    reachable = reachable.replace("    scopes: [files:read, files:delete]\n", "    scopes: [files:delete]\n")
    return reachable + _RULES.lstrip("\n")


def _python(stack: Stack, name: str, port: int, module: str, *arguments: str) -> None:
    stack.supervisor.start(
        Child(
            name=name,
            argv=[sys.executable, "-m", module, str(port), *arguments],
            env={"PYTHONPATH": str(ROOT)},
            ready=port_ready("127.0.0.1", port),
        )
    )

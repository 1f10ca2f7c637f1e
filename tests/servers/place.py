"""A server, and in front of it a recorder and, for each policy, a service with its Envoy."""

import dataclasses
import itertools
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from authz.demo.gateway import Gateway, Ports
from authz.demo.issuer.app import AUDIENCE
from authz.demo.ports import free_port
from authz.demo.probes import port_ready
from authz.demo.processes import Child
from authz.demo.stack import Stack
from tests.servers.servers import Server
from tests.support.installed import ROOT

_POLICY = Path(__file__).parent / "policy.yaml"
_STARTS = 60.0
_NUMBERS = itertools.count(1)

EVERYTHING: Mapping[str, Any] = {
    "allow": {kind: ["*"] for kind in ("tools", "prompts", "resources", "tasks")}
}


@dataclass(frozen=True)
class Place:
    """A running server.

    Attributes:
        stack: runs it all.
        name: of the server.
        direct: its own URL.
        recorded: URL that leads to it by way of the recorder.
        log: what the recorder wrote.
    """

    stack: Stack
    name: str
    direct: str
    recorded: str
    log: Path

    def arrived(self) -> list[dict[str, str]]:
        """Give what came through the recorder so far."""
        lines = self.log.read_text("utf-8").splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines]

    def guarded(self, *rules: Mapping[str, Any]) -> str:
        """Start a service and Envoy with these rules; gives the URL for clients."""
        name = f"{self.name}-{next(_NUMBERS)}"
        policy = self.stack.supervisor.logs / f"{name}-policy.yaml"
        tree = yaml.safe_load(_POLICY.read_text("utf-8"))
        tree["servers"]["everything"]["rules"] = list(rules)
        policy.write_text(yaml.safe_dump(tree), encoding="utf-8")
        ports = Ports(envoy=free_port(), admin=free_port(), http=free_port())
        gateway = Gateway(
            name=name,
            policy=policy,
            environment={
                "ISSUER": self.stack.issuer,
                "AUDIENCE": AUDIENCE,
                "RESOURCE": f"http://localhost:{ports.envoy}/mcp",
                "UPSTREAM": self.recorded,
            },
            upstream=self.recorded,
            ports=ports,
            supervisor=self.stack.supervisor,
        )
        gateway.start()
        return gateway.url


def start(stack: Stack, name: str, server: Server) -> Place:
    """Start a server and its recorder on a stack, which ends them."""
    port, recorder = free_port(), free_port()
    argv, variables = server.command()(port)
    child = Child(name=name, argv=argv, env=dict(variables), ready=port_ready("127.0.0.1", port))
    stack.supervisor.start(dataclasses.replace(child, deadline=_STARTS))
    log = stack.supervisor.logs / f"{name}-arrived.jsonl"
    stack.supervisor.start(
        Child(
            name=f"{name}-recorder",
            argv=[sys.executable, "-m", "tests.servers.recorder", str(recorder), str(port), str(log)],
            env={"PYTHONPATH": str(ROOT)},
            ready=port_ready("127.0.0.1", recorder),
        )
    )
    urls = [f"http://localhost:{at}{server.path}" for at in (port, recorder)]
    return Place(stack, name, *urls, log)

"""The gateway of the demo and the tests: the service on a Unix socket, and Envoy in front of an MCP server."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from authz.config.load import load
from authz.demo.binary import envoy_binary
from authz.demo.probes import http_ready, socket_ready
from authz.demo.processes import Child, Supervisor
from authz.render.bootstrap import bootstrap
from authz.render.plan import plan

HERE = Path(__file__).parent
NATIVE = HERE / "policy.yaml"
AGENTGATEWAY = HERE / "agentgateway-policy.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """TCP ports of one gateway on loopback."""

    envoy: int
    admin: int
    http: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """One service and one Envoy in front of an MCP server.

    Attributes:
        name: prefix of the processes' names, unique in its supervisor.
        policy: the policy file.
        environment: values for `${NAME}` in the policy file.
        upstream: URL of the MCP server.
        ports: the ports that it listens on.
        jwks: key set URL by issuer, for Kubernetes documents.
        supervisor: starts and ends the processes.
        grace: seconds for which the service still answers after SIGTERM.
        grpc_server: as the service's flag `--grpc-server`.
    """

    name: str
    policy: Path
    environment: Mapping[str, str]
    upstream: str
    ports: Ports
    supervisor: Supervisor
    jwks: Mapping[str, str] = dataclasses.field(default_factory=dict)
    grace: float = 0.0
    grpc_server: str = "auto"

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"http://localhost:{self.ports.envoy}/mcp"

    @property
    def service_name(self) -> str:
        """The name of the service's process."""
        return f"{self.name}-service"

    @property
    def envoy_name(self) -> str:
        """The name of Envoy's process."""
        return f"{self.name}-envoy"

    @property
    def http(self) -> str:
        """The base URL of the service's metrics and health."""
        return f"http://127.0.0.1:{self.ports.http}"

    @property
    def _socket(self) -> Path:
        return self.supervisor.logs / f"{self.name}.sock"

    def start(self) -> None:
        """Start the service and Envoy, and wait until they are ready.

        Raises:
            StartFailed: one of them did not come up.
        """
        self.supervisor.start(self.service())
        self.supervisor.start(self.envoy())

    def service(self) -> Child:
        """Return the command that starts the service."""
        keys = [argument for issuer, url in self.jwks.items() for argument in ("--jwks", f"{issuer}={url}")]
        addresses = ["--grpc", f"unix:{self._socket}", "--http", f"127.0.0.1:{self.ports.http}"]
        addresses += ["--grace", f"{self.grace:g}", "--grpc-server", self.grpc_server]
        socket_up, ready = socket_ready(self._socket), http_ready(f"{self.http}/readyz")
        return Child(
            name=self.service_name,
            argv=[sys.executable, "-m", "authz", "serve", "-c", self.policy, *addresses, *keys],
            env=self.environment,
            ready=lambda: socket_up() and ready(),
        )

    def envoy(self) -> Child:
        """Render Envoy's configuration, and return the command that starts Envoy."""
        settings = load(str(self.policy), environment=self.environment)
        settings = dataclasses.replace(
            settings,
            upstreams={server.name: self.upstream for server in settings.directory.servers},
        )
        chain = plan(
            settings,
            listen=f"127.0.0.1:{self.ports.envoy}",
            service=f"unix:{self._socket}",
            http=f"127.0.0.1:{self.ports.http}",
            admin=f"127.0.0.1:{self.ports.admin}",
        )
        file = self.supervisor.logs / f"{self.name}.yaml"
        file.write_text(bootstrap(chain), encoding="utf-8")
        return Child(
            name=self.envoy_name,
            argv=[
                envoy_binary(),
                "-c",
                file,
                "--use-dynamic-base-id",
                "--concurrency",
                "1",
                "--log-level",
                "warning",
            ],
            ready=http_ready(f"http://127.0.0.1:{self.ports.admin}/ready"),
        )

    def records(self) -> list[dict[str, Any]]:
        """Return the audit records written so far."""
        lines = self.supervisor.log(self.service_name).read_text(encoding="utf-8").split("\n")
        return [record for line in lines for record in _objects(line) if "decision_id" in record]


def _objects(line: str) -> list[dict[str, Any]]:
    """Return the JSON objects of a line; the log and the audit log share the file, so one line can hold both."""
    objects: list[dict[str, Any]] = []
    decode, at = json.JSONDecoder().raw_decode, 0
    try:
        while at < len(line):
            value, at = decode(line, at)
            objects += [value] if isinstance(value, dict) else []
    except ValueError:
        pass
    return objects

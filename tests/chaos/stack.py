"""The parts of a run: the issuer and the MCP servers in this process, the service with two workers, and Envoy."""

import contextlib
import dataclasses
import json
import os
import re
import secrets
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from authz.config.load import load
from authz.config.settings import Settings
from authz.core.identity.jwks import KeySet, read_key_set
from authz.demo.binary import envoy_binary
from authz.demo.issuer.app import TokenIssuer
from authz.demo.ports import free_port
from authz.demo.probes import http_ready, socket_ready
from authz.demo.processes import Child, Supervisor
from authz.render.bootstrap import bootstrap
from authz.render.plan import plan
from tests.chaos.audit_disk import AuditDisk
from tests.chaos.clock import Clock
from tests.chaos.policies import A

WORKERS = 2
_SERVICE, _ENVOY = "service", "envoy"
_APPEND = 'log=$1; shift; exec "$@" >>"$log"'
_DIGEST = re.compile(r'mcp_authz_policy_info\{[^}]*hash="([^"]+)"')


@dataclass(slots=True, kw_only=True)
class ChaosStack:
    """Starts what is in other processes; `supervisor` ends it.

    Attributes:
        supervisor: owns the processes and their folder.
        issuer: the issuer.
        upstream: port of the MCP servers.
        disk: takes the audit log.
        clock: sets the service's clock.
    """

    supervisor: Supervisor
    issuer: TokenIssuer
    upstream: int
    disk: AuditDisk
    clock: Clock
    port: int = dataclasses.field(default_factory=free_port)
    admin: int = dataclasses.field(default_factory=free_port)
    http: int = dataclasses.field(default_factory=free_port)

    @property
    def folder(self) -> Path:
        """Where the policy, the logs and the sockets are."""
        return self.supervisor.logs

    @property
    def policy(self) -> Path:
        """The policy file."""
        return self.folder / "policy.yaml"

    @property
    def sockets(self) -> list[Path]:
        """The workers' sockets."""
        return [self.folder / f"authz{suffix}.sock" for suffix in ("", "-1")]

    @property
    def environment(self) -> Mapping[str, str]:
        """Values for the policy's variables."""
        return {
            "ISSUER": self.issuer.url,
            "FRONT": f"http://localhost:{self.port}",
            "UPSTREAM": f"http://127.0.0.1:{self.upstream}",
        }

    def start(self) -> None:
        """Start the service and Envoy, and wait until they are ready."""
        (self.folder / "session.key").write_text(secrets.token_hex(32), encoding="ascii")
        self.write_policy(A)
        self.supervisor.start(self._service())
        self.supervisor.start(self._envoy())

    def write_policy(self, text: str) -> None:
        """Replace the policy file at once."""
        new = self.folder / "policy.new"
        new.write_text(text, encoding="utf-8")
        new.replace(self.policy)

    def settings(self, text: str) -> Settings:
        """Read a policy as the service does."""
        file = self.folder / "oracle.yaml"
        file.write_text(text, encoding="utf-8")
        return load(str(file), environment=self.environment)

    def keys(self) -> KeySet:
        """Return the keys that the issuer publishes."""
        return read_key_set(json.dumps(self.issuer.jwks()).encode())

    def hang_up(self) -> None:
        """Tell the service to read the policy now."""
        os.kill(self.master, signal.SIGHUP)

    @property
    def master(self) -> int:
        """The process id of the service's supervisor."""
        return self.supervisor._running[_SERVICE].pid

    def workers(self) -> list[int]:
        """Return the process id of each worker that served last, by its number."""
        found = {}
        for entry in self.service_log():
            if entry["event"] == "worker serves":
                found[entry["worker"]] = entry["pid"]
        return [pid for _, pid in sorted(found.items())]

    def processes(self) -> list[int]:
        """Return the process ids of the service's supervisor and of its workers, also of one that does not serve yet."""
        children = Path(f"/proc/{self.master}/task/{self.master}/children").read_text("ascii")
        return [self.master, *map(int, children.split())]

    def service_log(self) -> Iterator[dict[str, Any]]:
        """Yield the entries of the service's log."""
        log = self.supervisor.log(_SERVICE)
        for line in log.read_text("utf-8", "replace").splitlines() if log.exists() else ():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and "event" in entry:
                    yield entry

    async def metrics(self) -> str:
        """Return the service's metrics, "" if it does not give them."""
        with contextlib.suppress(httpx.HTTPError):
            async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
                return (await client.get(f"http://127.0.0.1:{self.http}/metrics")).text
        return ""

    async def digests(self) -> set[str]:
        """Return the policies that the workers have."""
        return set(_DIGEST.findall(await self.metrics()))

    async def total(self, name: str) -> float:
        """Return the sum of a counter over its labels."""
        lines = (line for line in (await self.metrics()).splitlines() if line.startswith(name))
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def kill_workers(self) -> None:
        """Leave no worker behind, also if one is stopped."""
        for pid in self.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _service(self) -> Child:
        serve = [sys.executable, "-m", "authz", "serve", "-c", self.policy]
        serve += ["--grpc", f"unix:{self.sockets[0]}", "--http", f"127.0.0.1:{self.http}", "--grace", "0"]
        ready, up = http_ready(f"http://127.0.0.1:{self.http}/readyz"), socket_ready(self.sockets[0])
        return Child(
            name=_SERVICE,
            argv=["/bin/sh", "-c", _APPEND, "sh", self.disk.log, *serve],
            env={**self.environment, **self.clock.environment},
            ready=lambda: up() and ready(),
            deadline=60.0,
        )

    def _envoy(self) -> Child:
        chain = plan(
            load(str(self.policy), environment=self.environment),
            listen=f"127.0.0.1:{self.port}",
            service=f"unix:{self.sockets[0]}",
            http=f"127.0.0.1:{self.http}",
            admin=f"127.0.0.1:{self.admin}",
        )
        file = self.folder / "envoy.yaml"
        file.write_text(bootstrap(chain), encoding="utf-8")
        flags = ["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]
        return Child(
            name=_ENVOY,
            argv=[envoy_binary(), "-c", file, *flags],
            ready=http_ready(f"http://127.0.0.1:{self.admin}/ready"),
            deadline=60.0,
        )

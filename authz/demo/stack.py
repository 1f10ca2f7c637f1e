"""All processes of the demo: the issuer, the MCP server, and two gateways, one for each form of the policy."""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from authz.demo.gateway import AGENTGATEWAY, NATIVE, Gateway, Ports
from authz.demo.issuer.app import AUDIENCE
from authz.demo.issuer.shapes import SHAPES
from authz.demo.mcp_server import Arrival, arrivals
from authz.demo.no_tls import NO_TLS
from authz.demo.ports import free_port, preferred_port
from authz.demo.probes import http_ready, port_ready
from authz.demo.processes import Child, Supervisor

_TIMEOUT = 10.0


@dataclass(slots=True)
class Stack:
    """Context manager that runs all processes and ends them on exit.

    Attributes:
        port: Envoy's port for the native policy; 0 for a free one.
        mcp_arguments: additional arguments of the MCP server.
        forms: the gateways to start: `native`, `agentgateway` or both.
        idp: the provider whose tokens the issuer imitates, of `authz.demo.issuer.shapes.SHAPES`.
        supervisor: starts and ends the processes.
        gateways: the gateways by form, once started.
        issuer: the URL of the issuer, once started.
        upstream: the URL of the MCP server, once started.
        server: the MCP server's process, once started.
    """

    port: int = 0
    mcp_arguments: tuple[str, ...] = ()
    forms: tuple[str, ...] = ("native", "agentgateway")
    idp: str = "auth0"
    supervisor: Supervisor = field(default_factory=Supervisor)
    gateways: dict[str, Gateway] = field(default_factory=dict)
    issuer: str = ""
    upstream: str = ""
    server: Child | None = field(default=None, repr=False)

    def restart_server(self, *arguments: str) -> None:
        """Start the MCP server again, with further arguments."""
        if self.server is not None:
            self.supervisor.stop(self.server.name)
            self.supervisor.start(replace(self.server, argv=[*self.server.argv, *arguments]))

    def __enter__(self) -> Self:
        self.supervisor.__enter__()
        try:
            self._start()
        except BaseException:  # an interrupt too must leave no process behind; it goes on
            self.supervisor.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.supervisor.__exit__(kind, error, trace)

    def _start(self) -> None:
        issuer_port = preferred_port(8090) if self.port else free_port()
        mcp_port = preferred_port(8080) if self.port else free_port()
        self.issuer, self.upstream = f"http://127.0.0.1:{issuer_port}/", f"http://127.0.0.1:{mcp_port}/mcp"
        module = [sys.executable, "-m"]
        self.supervisor.start(
            Child(
                name="issuer",
                argv=[*module, "authz.demo.issuer.app", "--port", str(issuer_port), "--idp", self.idp],
                ready=http_ready(f"{self.issuer}.well-known/jwks.json"),
            ),
        )
        log = ["--log", str(self.arrival_log)]
        self.server = Child(
            name="mcp-server",
            argv=[*module, "authz.demo.mcp_server", "--port", str(mcp_port), *log, *self.mcp_arguments],
            ready=port_ready("127.0.0.1", mcp_port),
        )
        self.supervisor.start(self.server)
        for form in self.forms:
            self.gateways[form] = self._gateway(form)
            self.gateways[form].start()

    def _gateway(self, form: str) -> Gateway:
        fixed = self.port if form == "native" else 0
        ports = Ports(
            envoy=fixed or free_port(),
            admin=preferred_port(fixed + 1) if fixed else free_port(),
            http=free_port(),
        )
        url = f"http://localhost:{ports.envoy}/mcp"
        environment = {
            "DEMO_GRPC": "127.0.0.1:9001",
            "DEMO_HTTP": "127.0.0.1:9002",
            "DEMO_ISSUER": self.issuer,
            "DEMO_AUDIENCE": AUDIENCE,
            "DEMO_RESOURCE": url,
            "DEMO_UPSTREAM": self.upstream,
            "AUTH0_DOMAIN": self.issuer.removeprefix("http://").rstrip("/"),
            "API_IDENTIFIER": AUDIENCE,
        }
        return Gateway(
            name=form,
            policy=self._policy(form),
            environment=environment,
            upstream=self.upstream,
            ports=ports,
            supervisor=self.supervisor,
            jwks={} if form == "native" else {self.identifier(form): f"{self.issuer}.well-known/jwks.json"},
        )

    def _policy(self, form: str) -> Path:
        """Copy a form's policy file, as the provider's tokens are read, to a place where a scenario can edit it."""
        original = NATIVE if form == "native" else AGENTGATEWAY
        text, auth0, shape = original.read_text(encoding="utf-8"), SHAPES["auth0"], SHAPES[self.idp]
        for usual, own in (
            (auth0.policy, shape.policy),
            (auth0.scopes, shape.scopes),
            (auth0.roles, shape.roles),
        ):
            text = text.replace(usual, own)
        copy = self.supervisor.logs / f"{form}-policy.yaml"
        copy.write_text(text, encoding="utf-8")
        return copy

    def identifier(self, form: str) -> str:
        """Return the issuer that a form's policy trusts; the agentgateway policy writes it with https."""
        return self.issuer if form == "native" else self.issuer.replace("http://", "https://", 1)

    @property
    def arrival_log(self) -> Path:
        """The file in which the MCP server records every request that reaches it."""
        return self.supervisor.logs / "arrivals.jsonl"

    def arrivals(self) -> list[Arrival]:
        """Return every request that reached the MCP server."""
        return arrivals(self.arrival_log)

    def token(self, form: str = "native", **fields: Any) -> str:
        """Return a token from the issuer; see `authz.demo.issuer.tokens.TokenFields`."""
        claims = {"iss": self.identifier(form), **fields.pop("claims", {})}
        return self._fetch_token("demo/token", {**fields, "claims": claims})

    def bad_token(self, kind: str) -> str:
        """Return a token that must be rejected; see `authz.demo.issuer.tokens.BAD_TOKENS`."""
        return self._fetch_token(f"demo/token/{kind}", {})

    def rotate(self) -> str:
        """Make the issuer sign with a new key, and return the key's id."""
        return str(self._post("demo/rotate").json()["kid"])

    def revoke(self, kid: str) -> None:
        """Make the issuer stop publishing an older key."""
        self._post(f"demo/revoke/{kid}")

    def outage(self, mode: str) -> None:
        """Make the issuer's documents fail in a mode of `authz.demo.issuer.faults.MODES`, or stop that with `off`."""
        self._post(f"demo/outage/{mode}")

    def _fetch_token(self, path: str, body: dict[str, Any]) -> str:
        return str(self._post(path, body).json()["access_token"])

    def _post(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        response = httpx.post(
            f"{self.issuer}{path}", json=body or {}, timeout=_TIMEOUT, trust_env=False, verify=NO_TLS
        )
        return response.raise_for_status()

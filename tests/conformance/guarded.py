"""The everything server, and the same behind Envoy and the service, with a proxy in front that adds a token."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from authz.demo.gateway import Gateway, Ports
from authz.demo.issuer.app import AUDIENCE
from authz.demo.ports import free_port
from authz.demo.probes import port_ready
from authz.demo.processes import Child
from authz.demo.stack import Stack
from tests.support.installed import ROOT

_POLICY = Path(__file__).parent / "policy.yaml"


@dataclass(frozen=True)
class Ways:
    """Two URLs of one MCP server.

    Attributes:
        direct: the server's own.
        guarded: the one that goes through proxy and Envoy.
        gateway: service and Envoy.
    """

    direct: str
    guarded: str
    gateway: Gateway


def start(stack: Stack, name: str = "everything", edit: Callable[[str], str] = str) -> Ways:
    """Start everything on a stack, which gives the issuer and ends all of it.

    Args:
        stack: a running stack.
        name: unique in the stack.
        edit: changes the text of the policy.
    """
    port, server = free_port(), free_port()
    upstream = f"http://localhost:{server}/mcp"
    _python(stack, f"{name}-server", server, "tests.everything", str(server))
    policy = stack.supervisor.logs / f"{name}-policy.yaml"
    policy.write_text(edit(_POLICY.read_text(encoding="utf-8")), encoding="utf-8")
    environment = {
        "ISSUER": stack.issuer,
        "AUDIENCE": AUDIENCE,
        "RESOURCE": f"http://localhost:{port}/mcp",
        "ORIGIN": f"http://localhost:{port}",
        "UPSTREAM": upstream,
    }
    gateway = Gateway(
        name=name,
        policy=policy,
        environment=environment,
        upstream=upstream,
        ports=Ports(envoy=free_port(), admin=free_port(), http=free_port()),
        supervisor=stack.supervisor,
    )
    gateway.start()
    envoy = str(gateway.ports.envoy)
    _python(stack, f"{name}-proxy", port, "tests.conformance.proxy", str(port), envoy, TOKEN=stack.token())
    return Ways(upstream, environment["RESOURCE"], gateway)


def _python(stack: Stack, name: str, port: int, module: str, *arguments: str, **variables: str) -> None:
    stack.supervisor.start(
        Child(
            name=name,
            argv=[sys.executable, "-m", module, *arguments],
            env={"PYTHONPATH": str(ROOT), **variables},
            ready=port_ready("127.0.0.1", port),
        )
    )

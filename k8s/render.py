"""Envoy's configuration in the manifests, from the policies beside it: `make k8s`, or with `--check` a comparison.

Every file named in `FILES` is written by this and edited by nobody. A test fails while one differs.
"""

import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from authz.config.load import load
from authz.render.bootstrap import bootstrap
from authz.render.plan import plan

HERE = Path(__file__).resolve().parent
SOCKET = "unix:/run/mcp-authz/authz.sock"
UPSTREAM = "http://mcp-server:8080/mcp"
"""The demo's MCP server, for policies that do not say where theirs is."""
_ANY = {"AUTH0_DOMAIN": "tenant.example", "API_IDENTIFIER": "api"}
"""Values for variables of policies, none of which gets into Envoy's configuration."""


def gateway(policy: str, environment: Mapping[str, str] = _ANY) -> str:
    """Envoy's bootstrap for a gateway whose service is beside it in the pod.

    Args:
        policy: file with the policy, relative to this folder.
        environment: values for its variables.
    """
    settings = load(str(HERE / policy), environment=environment)
    servers = settings.directory.servers
    upstreams = {server.name: UPSTREAM for server in servers} | dict(settings.upstreams)
    settings = dataclasses.replace(settings, upstreams=upstreams)
    return bootstrap(plan(settings, listen=":10000", service=SOCKET, http="127.0.0.1:9002"))


FILES: Mapping[str, Callable[[], str]] = {
    "base/envoy.yaml": lambda: gateway("base/policy.yaml"),
    "overlays/auth0/envoy.yaml": lambda: gateway("walkthrough/agentgateway-policy.yaml"),
}
"""File, relative to this folder, to what stands in it."""


def main() -> int:
    """Write the files that differ; with --check only name them, and fail if there are any."""
    stale = [name for name, text in FILES.items() if not _is(HERE / name, text())]
    for name in stale:
        sys.stdout.write(f"k8s/{name}\n")
        if "--check" not in sys.argv:
            (HERE / name).write_text(FILES[name](), encoding="utf-8")
    return 1 if stale and "--check" in sys.argv else 0


def _is(file: Path, text: str) -> bool:
    return file.exists() and file.read_text("utf-8") == text


if __name__ == "__main__":
    sys.exit(main())

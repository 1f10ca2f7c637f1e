"""Policy files for tests, and what becomes of them."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from authz.config.load import LoadOptions, load
from authz.config.problems import ConfigError
from authz.core.decision import Decision
from authz.core.identity.principal import Caller, Principal
from authz.core.mcp.item import Item, Kind
from authz.core.policy.context import EvaluationContext
from authz.core.reasons import Reason
from authz.core.request import HttpRequest
from tests.support import core

NATIVE = """\
issuers:
  main:
    issuer: https://issuer.example/
    audiences: [https://mcp.example/mcp]
servers:
  files:
    resource: https://mcp.example/mcp
    issuers: [main]
    rules:
      - allow: {tools: [echo]}
"""

POLICY = """\
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: guard, namespace: mcp}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gateway}]
  traffic:
    jwtAuthentication:
      providers:
        - issuer: https://issuer.example/
          audiences: [https://mcp.example/mcp]
          jwks: {remote: {url: https://issuer.example/jwks.json}}
  backend:
    mcp:
      authorization:
        action: Allow
        policy:
          matchExpressions:
            - mcp.tool.name == "echo"
"""


def settings(text, environment=None, **options):
    """Load a file with this content (text or bytes)."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "policy.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(str(file), environment=environment or {}, options=LoadOptions(**options))


def problems(text, environment=None, **options):
    """Give what prevents the use of a file, one line each, with `FILE` for its name."""
    with pytest.raises(ConfigError) as caught:
        settings(text, environment, **options)
    return lines(caught.value.problems)


def lines(found):
    """Write problems as a user sees them, with `FILE` for the file's name."""
    return [str(replace(problem, file="FILE") if "/" in problem.file else problem) for problem in found]


def warnings(text, **options):
    """Give what is doubtful in a file that can be used, one line each."""
    return lines(settings(text, **options).warnings)


def principal(scopes="", roles=(), **claims):
    """Give a caller with these scopes (separated by spaces), roles and further claims."""
    return Principal(
        issuer="https://issuer.example/",
        subject="auth0|alice",
        client="client-1",
        scopes=tuple(scopes.split()),
        roles=tuple(roles),
        claims={"sub": "auth0|alice", "scope": scopes, **claims},
        expires=2e9,
    )


def reason(policy_settings, who, item, *, arguments=None, headers=None, body=b""):
    """Give the only server's word about an item: a call with these arguments, its place in a list where there are none."""
    (server,) = policy_settings.directory.servers
    request = HttpRequest(
        method="POST", host="mcp.example", path=server.path, headers=headers or {}, body=body
    )
    context = EvaluationContext(Caller.of(who, server.name), request, "tools/call", arguments)
    return server.policy.judge(context, item).reason


def tool(name):
    """Give a tool by name."""
    return Item(Kind.TOOL, name)


def allows(policy_settings, who, name="echo", **circumstances):
    """Tell whether a tool may be called, or listed when no arguments are given."""
    return reason(policy_settings, who, tool(name), **circumstances) is Reason.ALLOWED


def decided(policy_settings, request, identify) -> Decision:
    """Return the decision about a request whose caller is what `identify` gives for server and header."""
    snapshot = core.snapshot(
        *policy_settings.directory.servers, identify=identify, max_body=policy_settings.max_body
    )
    return core.check(request, snapshot)

"""The demo's parts as tests drive them: one stack a process.

Rules of this module:

* That nothing arrived is shown by a barrier: after the refused request a good one is sent, and it must be the only
  one in the server's log. So nobody waits for something not to happen.
* Whatever waits, waits until a deadline and for a condition.
"""

import dataclasses
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from authz.demo.gateway import Gateway, Ports
from authz.demo.mcp_server import Arrival
from authz.demo.ports import free_port
from authz.demo.stack import Stack
from tests.support.tokens import A_DAY
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import ask, call

EVERYTHING = {"scope": "files:read files:delete", "roles": ["admin"]}
"""Fields of a token that may use all five tools."""
TOOLS = ("echo", "get_user_info", "list_files", "delete_file", "system_status")


@cache
def _start(config: pytest.Config) -> Stack:
    stack = Stack(forms=("native",))
    stack.__enter__()
    config.add_cleanup(partial(stack.__exit__, None, None, None))
    return stack


def shared_stack(config: pytest.Config, *more: str) -> Stack:
    """Give the stack of this process, with the native gateway and `more` forms of it.

    Started by the first test that asks, ended with the session.
    """
    stack = _start(config)
    for form in more:
        if form not in stack.gateways:
            gateway = stack._gateway(form)
            gateway.start()
            stack.gateways[form] = gateway
    return stack


_NAMES: Counter[tuple[Path, str]] = Counter()
"""How often a gateway of a name was described in a stack."""


def another_gateway(
    stack: Stack,
    name: str,
    *,
    upstream: str = "",
    edit: Callable[[str], str] | None = None,
    grpc_server: str = "auto",
) -> Gateway:
    """Describe one more gateway on a stack's parts, not started.

    Args:
        stack: gives issuer, MCP server and supervisor.
        name: what it is called; a number is added to a name that is taken, because pytest may set up a module's
            fixtures more than once.
        upstream: URL of another MCP server.
        edit: changes the text of the demo's policy.
        grpc_server: which gRPC server the service uses.
    """
    native = stack.gateways["native"]
    taken = _NAMES[stack.supervisor.logs, name]
    _NAMES[stack.supervisor.logs, name] += 1
    name = f"{name}-{taken + 1}" if taken else name
    ports = Ports(envoy=free_port(), admin=free_port(), http=free_port())
    policy = native.policy
    if edit is not None:
        policy = stack.supervisor.logs / f"{name}-policy.yaml"
        policy.write_text(edit(native.policy.read_text("utf-8")), encoding="utf-8")
    return dataclasses.replace(
        native,
        name=name,
        policy=policy,
        ports=ports,
        grpc_server=grpc_server,
        upstream=upstream or native.upstream,
        environment={**native.environment, "DEMO_RESOURCE": f"http://localhost:{ports.envoy}/mcp"},
    )


def arrived(stack: Stack, act: Callable[[], Any], port: int = 0) -> list[Arrival]:
    """Do something and give what of it reached the MCP server, which serves afterwards as before."""
    port = port or stack.gateways["native"].ports.envoy
    before = len(stack.arrivals())
    act()
    assert 200 == ask(port, stack.token(), call("get_user_info")).status
    *others, barrier = stack.arrivals()[before:]
    assert "get_user_info" == barrier.tool
    return others


def tokens_of(stack: Stack, callers: Iterable[dict[str, Any]]) -> list[str]:
    """Get a token for each of many callers, over one connection; `callers` gives the fields of each.

    They outlast the run, as tests keep them.
    """
    with httpx.Client(base_url=stack.issuer, trust_env=False, timeout=DEADLINE) as issuer:
        answers = [
            issuer.post("demo/token", json={"ttl": A_DAY, **fields}).raise_for_status() for fields in callers
        ]
    return [str(answer.json()["access_token"]) for answer in answers]


def recorded(stack: Stack, gateway: Gateway, act: Callable[[], Any]) -> list[dict[str, Any]]:
    """Do something and give the records of it: those between the records of two requests sent before and after."""
    ends = [f"barrier-{uuid.uuid4().hex}" for _ in range(2)]
    ask(gateway.ports.envoy, stack.token(sub=ends[0]), call())
    act()
    ask(gateway.ports.envoy, stack.token(sub=ends[1]), call())
    assert eventually(lambda: ends[1] in {record.get("sub") for record in gateway.records()})
    records = gateway.records()
    first, last = ([record.get("sub") for record in records].index(end) for end in ends)
    return records[first + 1 : last]


def metrics(gateway: Gateway) -> dict[str, float]:
    """Read a service's metrics: sample with labels, as the text format writes it, to value."""
    text = httpx.get(f"{gateway.http}/metrics", trust_env=False, timeout=DEADLINE).text
    samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


def socket_of(gateway: Gateway) -> Path:
    """Give the path of a gateway's gRPC socket."""
    return gateway._socket

"""The decision alone, in one thread without gRPC: stages, policies of growing size, lists of growing size."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from envoy.service.auth.v3 import external_auth_pb2

from authz.core.engine import Walk, check
from authz.core.item import Item, Kind
from authz.core.limits import Limits
from authz.core.listing import Trimmed, trim
from authz.core.occasion import Caller, Occasion
from authz.core.policy import Policy
from authz.core.principal import Principal
from authz.core.reasons import Reason
from authz.core.request import HttpRequest
from authz.core.rule import Effect, Rule, Selector
from authz.core.server import Directory, Server
from authz.edge.ext_authz import read_request
from bench import report
from bench.clock import microseconds
from bench.machine import machine
from bench.stages import breakdown, checker
from bench.workload import HOST, ISSUER, POPULATIONS, Mint, check_request, population

_pb: Any = external_auth_pb2
RULES = (10, 100, 1_000, 10_000)
TOOLS = (5, 50, 500, 5_000)
UNSEEN = 5_000
"""Names in turn, of which none is remembered until it returns: policies remember fewer."""
_SIZES = 7
"""Measurements that share the time: four populations, and three kinds of growing size."""
_PRINCIPAL = Principal(
    issuer=ISSUER, subject="user", client="client", scopes=("read",), roles=(), claims={}, expires=2**40
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What one size costs.

    Attributes:
        size: number of rules or tools.
        us: microseconds for one decision or one list.
    """

    size: int
    us: float


def run(seconds: float) -> None:
    """Measure everything in about so many seconds and print it."""
    report.header(machine())
    share = seconds / _SIZES
    _print_stages(share)
    heading = ("rules", "us", "times the smallest")
    report.table("One decision, rules with exact names", heading, _grown(by_rules(share, exact_rules)))
    report.table(
        "One decision, patterns, a name not seen before", heading, _grown(by_rules(share, pattern_rules))
    )
    points = list(by_tools(share))
    lines = [
        (*line, f"{point.us / point.size:.2f}") for point, line in zip(points, _grown(points), strict=True)
    ]
    report.table(
        "One list, every second tool hidden", ("tools", "us", "times the smallest", "us a tool"), lines
    )


def _grown(points: Iterator[Point] | list[Point]) -> list[tuple[str, ...]]:
    listed = list(points)
    return [(f"{p.size:,}", f"{p.us:,.1f}", f"{p.us / listed[0].us:.2f}") for p in listed]


def _print_stages(share: float) -> None:
    mint = Mint()
    with checker(mint) as service:
        found = {name: breakdown(service, population(name, mint), share) for name in POPULATIONS}
    parsed = parsing(share / 10, population("mixed", mint))
    names = [
        name
        for name in dict.fromkeys(n for part in found.values() for n in part)
        if name not in {"other", "whole"}
    ]
    ordered = [
        *sorted(names, key=lambda name: -max(part.get(name, 0.0) for part in found.values())),
        "other",
        "whole",
    ]
    lines = [[name, *(_cell(part, name) for part in found.values())] for name in ordered]
    report.table("One Check without gRPC, microseconds", ("stage", *found), lines)
    report.table(
        "Protobuf, microseconds", ("message", "us"), [(name, f"{us:.1f}") for name, us in parsed.items()]
    )


def _cell(part: Mapping[str, float], name: str) -> str:
    return f"{part[name]:.1f}" if name in part else "-"


def parsing(seconds: float, requests: list[bytes]) -> dict[str, float]:
    """Time the reading of a serialised CheckRequest and its translation, in microseconds."""
    parse = _pb.CheckRequest.FromString
    serialised = check_request(requests[0])
    parsed = parse(serialised)
    return {
        f"parse {len(serialised)} bytes": microseconds(lambda: parse(serialised), seconds),
        "read_request": microseconds(lambda: read_request(parsed), seconds),
    }


def exact_rules(count: int) -> tuple[Rule, ...]:
    """Make rules that each name one tool."""
    return tuple(_rule(number, f"tool-{number}") for number in range(count))


def pattern_rules(count: int) -> tuple[Rule, ...]:
    """Make rules that each have one pattern; only the last one fits `call-N-end`."""
    return tuple(_rule(n, f"call-*-{'end' if n == count - 1 else n}") for n in range(count))


def _rule(number: int, name: str) -> Rule:
    selector = Selector.of({Kind.TOOL: (name,)})
    return Rule(name=f"rule-{number}", effect=Effect.ALLOW, selector=selector, scopes=frozenset({"read"}))


def by_rules(seconds: float, make: Callable[[int], tuple[Rule, ...]]) -> Iterator[Point]:
    """Time one allowed tools/call under policies of growing size."""
    for size in RULES:
        walk, calls = _walk(Policy(make(size))), _calls(size, make is pattern_rules)
        if not check(next(calls), walk).allowed:
            msg = "the call that is timed must be allowed"
            raise RuntimeError(msg)
        yield Point(size=size, us=microseconds(partial(_next, calls, walk), seconds / len(RULES)))


def _next(calls: Iterator[HttpRequest], walk: Walk) -> None:
    check(next(calls), walk)


def _calls(size: int, unseen: bool) -> Iterator[HttpRequest]:
    """Give requests: for exact names the same hundred, for patterns more names than a policy remembers."""
    names = (
        [f"call-{number}-end" for number in range(UNSEEN)]
        if unseen
        else [f"tool-{number * size // 100}" for number in range(100)]
    )
    return itertools.cycle([_request(name) for name in names])


def _request(tool: str) -> HttpRequest:
    params = {"name": tool, "arguments": {"text": "hello"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    return HttpRequest(
        method="POST", host=HOST, path="/mcp", headers={"content-type": "application/json"}, body=body
    )


def _walk(policy: Policy) -> Walk:
    server = Server(name="bench", hosts=frozenset({HOST}), path="/mcp", resource="", trusts={}, policy=policy)
    caller = Caller.of(_PRINCIPAL, server.name)
    return Walk(
        directory=Directory((server,)),
        identify=lambda _server, _authorization: caller,
        late=lambda: False,
        max_body=1 << 20,
        limits=Limits(),
    )


def catalogue(count: int) -> bytes:
    """Make the answer to tools/list with so many tools of a usual size."""
    schema = {"type": "object", "properties": {"text": {"type": "string", "description": "what to say"}}}
    tools = [
        {
            "name": f"tool-{number}",
            "description": "Does one thing, and says so at some length. " * 4,
            "inputSchema": schema,
        }
        for number in range(count)
    ]
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}, separators=(",", ":")).encode()


def by_tools(seconds: float) -> Iterator[Point]:
    """Time the trimming of growing lists, of which every second tool is hidden."""
    for size in TOOLS:
        policy = Policy(exact_rules(size)[::2])
        occasion = Occasion(Caller.of(_PRINCIPAL, "bench"), _request("tool-0"), "tools/call", None)
        document = catalogue(size)

        def once(
            policy: Policy = policy, occasion: Occasion = occasion, document: bytes = document
        ) -> object:
            return trim(document, lambda item: _visible(policy, occasion, item), ttl_ms=None)

        trimmed = once()
        if not isinstance(trimmed, Trimmed) or trimmed.counts[0].trimmed != size // 2:
            msg = "the list that is timed must lose every second tool"
            raise RuntimeError(msg)
        yield Point(size=size, us=microseconds(once, seconds / len(TOOLS)))


def _visible(policy: Policy, occasion: Occasion, item: Item) -> bool:
    return policy.judge(occasion, item).reason is Reason.ALLOWED

"""The decision alone, in one thread without gRPC and mostly without the edge: stages, rules, patterns, lists."""

import itertools
import json
import random
import time
import timeit
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

from envoy.service.auth.v3 import external_auth_pb2

from authz.core.authentication import KnownCaller
from authz.core.engine import PolicySnapshot, check
from authz.core.identity.principal import Caller, Principal
from authz.core.identity.session import UnboundSessions
from authz.core.mcp.item import Item, Kind
from authz.core.policy.context import EvaluationContext
from authz.core.policy.policy import Policy
from authz.core.policy.rule import Effect, Rule, Selector
from authz.core.reasons import Reason
from authz.core.request import NEVER, HttpRequest, Limits
from authz.core.response.filter_result import Trimmed
from authz.core.response.list_filter import trim
from authz.core.servers import Directory, Server
from authz.edge.envoy.ext_authz import read_request
from bench.catalogue import SIZES, document, name_of
from bench.samples import growth
from bench.stages import breakdown, checker
from bench.workload import HOST, ISSUER, POPULATIONS, Mint, check_request, population

_pb: Any = external_auth_pb2
RULES = (10, 100, 1_000, 10_000)
CALLS = 1_000
"""Calls of one turn."""
TURNS = 15
_PRINCIPAL = Principal(
    issuer=ISSUER, subject="user", client="client", scopes=("read",), roles=(), claims={}, expires=2**40
)


def measure(seconds: float) -> dict[str, Any]:
    """Measure everything, the stages in about `seconds`; return the part for the JSON document."""
    return {
        **_stages(seconds),
        "rules": by_rules(exact_rules, RULES),
        "patterns": by_rules(pattern_rules, RULES),
        "lists": by_tools(SIZES),
    }


def _stages(seconds: float) -> dict[str, Any]:
    mint = Mint()
    share = seconds / (len(POPULATIONS) + 1)
    with checker(mint) as service:
        found = {name: dict(breakdown(service, population(name, mint), share)) for name in POPULATIONS}
    return {"stages": found, "parsing": parsing(population("mixed", mint)[0])}


def parsing(request: bytes) -> dict[str, float]:
    """Time the reading of a serialised CheckRequest and its translation, in microseconds."""
    serialised = check_request(request)
    parsed = _pb.CheckRequest.FromString(serialised)
    return {
        f"parse {len(serialised)} bytes": _microseconds(lambda: _pb.CheckRequest.FromString(serialised)),
        "read_request": _microseconds(lambda: read_request(parsed)),
    }


def _microseconds(call: Callable[[], object]) -> float:
    timer, count = timeit.Timer(call, timer=time.process_time), 10_000
    return median(timer.repeat(5, count)) / count * 1e6


def exact_rules(count: int) -> tuple[Rule, ...]:
    """Return rules that each name one tool."""
    return tuple(_rule(number, name_of(number)) for number in range(count))


def pattern_rules(count: int) -> tuple[Rule, ...]:
    """Return rules that each have one pattern; only the last one matches `call-N-end`."""
    return tuple(_rule(n, f"call-*-{'end' if n == count - 1 else n}") for n in range(count))


def _rule(number: int, name: str) -> Rule:
    selector = Selector.of({Kind.TOOL: (name,)})
    return Rule(name=f"rule-{number}", effect=Effect.ALLOW, selector=selector, scopes=frozenset({"read"}))


def by_rules(
    make: Callable[[int], tuple[Rule, ...]], sizes: tuple[int, ...], count: int = CALLS
) -> list[dict[str, Any]]:
    """Time an allowed tools/call under policies of growing size: `check`, for a caller who is known.

    Exact names are all called, in random order, and each was called before. Patterns are matched with names that were
    not called before, because the result for a name is cached.
    """
    passes = {}
    for size in sizes:
        snapshot, calls = snapshot_of(Policy(make(size))), calls_of(size, unseen=make is pattern_rules)
        if not check(next(calls), snapshot, 0.0, NEVER).allowed:
            msg = "the call that is timed must be allowed"
            raise RuntimeError(msg)
        if make is exact_rules:
            _turn(calls, snapshot, size)
        slow = make is pattern_rules and size > CALLS
        passes[size] = partial(_turn, calls, snapshot, max(1, count // 50 if slow else count))
    return growth(passes, TURNS)


def _turn(calls: Iterator[HttpRequest], snapshot: PolicySnapshot, count: int) -> float:
    requests = list(itertools.islice(calls, count))
    began = time.process_time()
    for request in requests:
        check(request, snapshot, 0.0, NEVER)
    return (time.process_time() - began) / count


def calls_of(size: int, *, unseen: bool) -> Iterator[HttpRequest]:
    """Return calls without end: of all `size` tools in random order, or of tools that were not called before."""
    if unseen:
        return (_request(f"call-{number}-end") for number in itertools.count())
    names = [name_of(number) for number in range(size)]
    chance = random.Random(size)
    return (_request(name) for _ in itertools.count() for name in chance.sample(names, size))


def _request(tool: str) -> HttpRequest:
    params = {"name": tool, "arguments": {"text": "hello"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    headers = {"content-type": "application/json"}
    return HttpRequest(method="POST", host=HOST, path="/mcp", headers=headers, body=body)


def snapshot_of(policy: Policy) -> PolicySnapshot:
    """Return what calls are decided with: one policy, and a caller who is known."""
    server = Server(
        name="bench", hosts=frozenset({HOST}), path="/mcp", resource="", issuers={}, policy=policy
    )
    caller = Caller.of(_PRINCIPAL, server.name)
    return PolicySnapshot(
        digest="bench",
        directory=Directory((server,)),
        authenticator=KnownCaller(caller),
        sessions=UnboundSessions(),
        max_body=1 << 20,
        limits=Limits(),
        check_seconds=1.0,
        stream_grace=0.0,
    )


def by_tools(sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """Time the trimming of growing lists, of which every second tool is hidden."""
    passes = {}
    for size in sizes:
        policy = Policy(exact_rules(size)[::2])
        context = EvaluationContext(Caller.of(_PRINCIPAL, "bench"), _request(name_of(0)), "tools/call", None)
        once = partial(_trimmed, policy, context, document(size))
        verdict = once()
        if not isinstance(verdict, Trimmed) or verdict.counts[0].trimmed != size // 2:
            msg = "the list that is timed must lose every second tool"
            raise RuntimeError(msg)
        passes[size] = partial(_timed, once)
    return growth(passes, TURNS)


def _trimmed(policy: Policy, context: EvaluationContext, list_: bytes) -> object:
    return trim(list_, lambda item: _visible(policy, context, item), ttl_ms=None)


def _timed(once: Callable[[], object]) -> float:
    began = time.process_time()
    once()
    return time.process_time() - began


def _visible(policy: Policy, context: EvaluationContext, item: Item) -> bool:
    return policy.judge(context, item).reason is Reason.ALLOWED

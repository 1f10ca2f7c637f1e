"""Memory of one worker: at rest, with many tokens seen, and over a million Checks.

Three runs, each with a process of its own, whose resident memory the kernel reports:

* `served`: `mcp-authz serve`, over gRPC, with the default limits: at rest, after each of `tokens` distinct tokens was
  used once, and beyond.
* `tokens`: a worker without gRPC (see `soak`) that may cache every token: what a token costs, and whether a Check takes
  longer among many of them.
* `soak`: a worker without gRPC, with the default limits, over a million Checks. gRPC is left out because it would take
  most of the time; what it may leave behind shows in `served`.

Callers, tools and arguments vary from call to call: one Check in ten is a caller's first, one in ten names a tool that
no rule knows. Tokens are signed with ES256 because signing them with RS256 would take a minute; what is cached of a
token does not depend on the algorithm.
"""

import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
from envoy.service.auth.v3 import external_auth_pb2

from bench.load import METHOD, send_checks
from bench.soak import SoakWorker
from bench.stack import POLICY, SERVICE, RunningStack, running
from bench.workload import FULL, Mint, check_request, http_request

_pb: Any = external_auth_pb2
CHECKS = 1_000_000
TOKENS = 100_000
SERVED = 100_000
COUNTS = (1, 100, 1_000, 10_000, 100_000)
"""Numbers of distinct tokens after which `tokens` takes a mark."""
MARKS = 10
"""How many marks a long run takes."""
_BODIES = 20_000
_REGULARS = 2_000
_AMONG = 10_000
_AT_ONCE = 16
_WORD = "abcdefghijklmnopqrstuvwxyz"


def policy_text(tokens: int | None = None) -> str:
    """Return the bench policy with default limits, or with room for `tokens` tokens, for both algorithms."""
    text = POLICY.read_text("utf-8").replace("limits: {tokens: 1000}\n", "")
    text = text.replace("    jwks_uri:", "    algorithms: [RS256, ES256]\n    jwks_uri:")
    return text if tokens is None else f"limits: {{tokens: {tokens}}}\n{text}"


class Traffic:
    """CheckRequests of new callers and of regular ones."""

    def __init__(self, mint: Mint) -> None:
        self._mint = mint
        self._chance = random.Random("traffic")
        self._callers = itertools.count()
        self._bodies = [_pb.CheckRequest.FromString(check_request(self._call(n))) for n in range(_BODIES)]
        self.seen: list[str] = []

    def _call(self, number: int) -> bytes:
        chance = self._chance
        tool = chance.choice(
            ("echo", "get_user_info", "list_files", "system_status", "delete_file", f"report_{number}")
        )
        if number % 10 == 0:
            tool = "".join(chance.choices(_WORD, k=chance.randrange(4, 40)))
        text = "".join(chance.choices(_WORD, k=chance.randrange(8, 400)))
        arguments = {"filename": f"/inbox/{number}.txt", "text": text, "limit": chance.randrange(1000)}
        return http_request(number, tool, arguments, "none")

    def first(self) -> bytes:
        """Return a request of a caller who was not seen before."""
        token = self._mint.token("memory", next(self._callers), FULL, "ES256")
        self.seen.append(token)
        return self._with(token)

    def again(self, among: int) -> bytes:
        """Return a request of one of the last `among` callers."""
        newest = len(self.seen)
        return self._with(self.seen[self._chance.randrange(max(0, newest - among), newest)])

    def mixed(self) -> bytes:
        """Return a request of a new caller once in ten times, otherwise of a regular one."""
        if not self.seen or self._chance.random() < 0.1:
            return self.first()
        return self.again(_REGULARS)

    def _with(self, token: str) -> bytes:
        message = self._chance.choice(self._bodies)
        message.attributes.request.http.headers["authorization"] = f"Bearer {token}"
        serialised: bytes = message.SerializeToString()
        return serialised


def measure(
    checks: int = CHECKS, tokens: int = TOKENS, served: int = SERVED, limit: float = 300.0
) -> dict[str, Any]:
    """Measure, and return the part as it goes into the JSON document.

    Args:
        checks: of `soak`.
        tokens: distinct ones of `served` and `tokens`.
        served: further Checks of `served`.
        limit: seconds after which each of the three runs ends, complete or not.
    """
    mint = Mint()
    with tempfile.TemporaryDirectory() as place:
        plain, roomy = Path(place) / "plain.yaml", Path(place) / "roomy.yaml"
        plain.write_text(policy_text(), "utf-8")
        roomy.write_text(policy_text(max(tokens, 16)), "utf-8")
        return {
            "served": _served(plain, tokens, served, limit),
            "tokens": list(_alone(mint, roomy, lambda worker: _by_tokens(worker, mint, tokens, limit))),
            "soak": list(_alone(mint, plain, lambda worker: _soaked(worker, mint, checks, limit))),
        }


def _alone(
    mint: Mint, policy: Path, run: Callable[[SoakWorker], Iterator[dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    worker = SoakWorker(mint, policy)
    try:
        yield from run(worker)
    finally:
        worker.close()


def _soaked(worker: SoakWorker, mint: Mint, checks: int, limit: float) -> Iterator[dict[str, Any]]:
    traffic, ends = Traffic(mint), time.monotonic() + limit
    yield worker.mark() | {"tokens": 0}
    for _ in range(MARKS):
        if time.monotonic() > ends:
            return
        worker.send(traffic.mixed() for _ in range(checks // MARKS))
        yield worker.mark() | {"tokens": len(traffic.seen)}


def _by_tokens(worker: SoakWorker, mint: Mint, most: int, limit: float) -> Iterator[dict[str, Any]]:
    traffic, ends = Traffic(mint), time.monotonic() + limit
    for count in [count for count in COUNTS if count <= most]:
        if time.monotonic() > ends:
            return
        worker.send(traffic.first() for _ in range(count - len(traffic.seen)))
        worker.send(traffic.again(count) for _ in range(min(count, 1_000)))
        before = worker.mark()
        worker.send(traffic.again(count) for _ in range(_AMONG))
        after = worker.mark()
        us = (after["cpu"] - before["cpu"]) / _AMONG * 1e6
        yield {"tokens": count, "rss_kib": after["rss_kib"], "us": us}


def _served(policy: Path, tokens: int, further: int, limit: float) -> list[dict[str, Any]]:
    with running({}, envoy=False, policy=policy, populations=()) as stack:
        traffic = Traffic(stack.mint)
        plan = [*[(traffic.first, tokens // MARKS)] * MARKS, *[(traffic.mixed, further // MARKS)] * MARKS]
        return asyncio.run(_over_grpc(stack, traffic, plan, limit))


async def _over_grpc(
    stack: RunningStack, traffic: Traffic, plan: list[tuple[Callable[[], bytes], int]], limit: float
) -> list[dict[str, Any]]:
    marks, ends = [_mark(stack, traffic, 0)], time.monotonic() + limit
    async with grpc.aio.insecure_channel(stack.backends[SERVICE].service) as channel:
        call = channel.unary_unary(METHOD)

        for make, count in plan:
            if time.monotonic() > ends:
                break
            await send_checks(call, (make() for _ in range(count)), _AT_ONCE)
            marks.append(_mark(stack, traffic, marks[-1]["checks"] + count))
    return marks


def _mark(stack: RunningStack, traffic: Traffic, checks: int) -> dict[str, Any]:
    return {"checks": checks, "tokens": len(traffic.seen), "rss_kib": stack.memory(SERVICE)["VmRSS"]}


def growth(marks: list[dict[str, Any]], first: int, last: int) -> float | None:
    """Return the memory after `last` Checks as a ratio to that after `first`; None if one of them was not reached."""
    by_checks = {mark["checks"]: mark["rss_kib"] for mark in marks}
    return by_checks[last] / by_checks[first] if {first, last} <= by_checks.keys() else None

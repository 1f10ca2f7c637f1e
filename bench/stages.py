"""One Check, taken apart: what each stage of it costs, without gRPC.

Each stage's function is replaced by one that times it and then calls it, where the code looks it up. Times are a
stage's own, without the stages inside it. The timer costs a fraction of a microsecond a stage, which shows in the
difference between the sum and the whole; the whole is measured without it.
"""

import asyncio
import contextlib
import dataclasses
import itertools
import os
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from authz.config.load import load
from authz.config.settings import IssuerKeys, Settings
from authz.core import engine
from authz.core.authentication import Authenticator
from authz.core.policy.policy import Policy
from authz.edge import snapshots
from authz.edge.envoy import ext_authz
from authz.edge.envoy.ext_authz import Checker
from authz.edge.service import Service
from authz.edge.telemetry.audit_log import AuditLog
from authz.edge.telemetry.metrics import Metrics
from bench.stack import POLICY
from bench.workload import ISSUER, Mint, check_request

STAGES: tuple[tuple[str, object, str], ...] = (
    ("read_request", ext_authz, "read_request"),
    ("engine", snapshots, "check"),
    ("transport", engine, "check_transport"),
    ("authenticate", Authenticator, "authenticate"),
    ("read_message", engine, "read_message"),
    ("judge", Policy, "judge"),
    ("denial", ext_authz, "render_denial"),
    ("allow", ext_authz, "allow"),
    ("deny", ext_authz, "deny"),
    ("audit", AuditLog, "write"),
    ("metrics", Metrics, "decided"),
    ("cache metric", Metrics, "remembered"),
)
"""What a stage is called, and where its function is looked up."""


@dataclass(slots=True)
class Timer:
    """Times by stage, in seconds, each without the stages inside it."""

    spent: dict[str, float] = field(default_factory=dict)
    _inner: list[float] = field(default_factory=lambda: [0.0])

    def wrap(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Give a function that does the same and is timed."""
        self.spent[stage] = 0.0
        clock, inner, spent = time.perf_counter, self._inner, self.spent

        def timed(*args: Any, **kwargs: Any) -> Any:
            inner.append(0.0)
            began = clock()
            try:
                return function(*args, **kwargs)
            finally:
                took = clock() - began
                spent[stage] += took - inner.pop()
                inner[-1] += took

        return timed

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Time every stage of `STAGES` meanwhile."""
        with contextlib.ExitStack() as stack:
            for stage, owner, name in STAGES:
                wrapped = self.wrap(stage, getattr(owner, name))
                stack.enter_context(mock.patch.object(owner, name, wrapped))
            yield


def settings_of(mint: Mint, policy: Path = POLICY) -> Settings:
    """Give the settings of a policy file, with the issuer's keys at hand."""
    environment = {
        "BENCH_JWKS": "https://issuer.example.com/jwks.json",
        "BENCH_UPSTREAM": "http://127.0.0.1:9/mcp",
    }
    return with_keys(load(str(policy), environment=environment), mint.jwks())


def with_keys(settings: Settings, jwks: bytes) -> Settings:
    """Give settings under which nothing is fetched."""
    return dataclasses.replace(settings, keys={ISSUER: IssuerKeys(issuer=ISSUER, inline=jwks)})


class Alone:
    """The call of a Check that needs nothing of the event loop: every key is at hand."""

    async def run_in_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Fail: this is not what is measured."""
        work.close()
        msg = "a key was not at hand"
        raise RuntimeError(msg)


ALONE = Alone()


@contextlib.contextmanager
def checker(mint: Mint, settings: Settings | None = None) -> Iterator[Checker]:
    """Give the service's own handler, deciding by `settings` or by the bench policy; its records go nowhere."""
    with Path(os.devnull).open("wb") as nowhere:
        audit = AuditLog(nowhere)
        try:
            yield Service(settings or settings_of(mint), audit).checker()
        finally:
            audit.close()


async def checks(checker: Checker, messages: Iterator[bytes], count: int) -> float:
    """Make `count` Checks one after the other; give the seconds they took."""
    began = time.perf_counter()
    for _ in range(count):
        await checker.check(next(messages), ALONE)
    return time.perf_counter() - began


def breakdown(checker: Checker, requests: list[bytes], seconds: float) -> Mapping[str, float]:
    """Time Checks of a population.

    Args:
        checker: who answers.
        requests: HTTP requests.
        seconds: about how long it may take.

    Returns:
        Microseconds a Check by stage, costliest first, then `other` (what no stage covers, timers included) and
        `whole` (a Check without timers).
    """
    messages = itertools.cycle([check_request(request) for request in requests])
    asyncio.run(checks(checker, messages, len(requests)))
    trial = asyncio.run(checks(checker, messages, 100)) / 100
    count = max(100, int(seconds / 2 / trial))
    whole = asyncio.run(checks(checker, messages, count)) / count
    timer = Timer()
    with timer.installed():
        timed = asyncio.run(checks(checker, messages, count))
    stages = {name: spent / count * 1e6 for name, spent in timer.spent.items() if spent}
    ordered = dict(sorted(stages.items(), key=lambda pair: -pair[1]))
    return {**ordered, "other": timed / count * 1e6 - sum(stages.values()), "whole": whole * 1e6}

"""The service without gRPC, and one Check taken apart: what each stage of it costs.

Each stage's function is replaced, where the code looks it up, by one that times it and then calls it. Times are a
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
from pathlib import Path
from typing import Any
from unittest import mock

from authz.config.load import load
from authz.config.settings import IssuerKeys, Settings
from authz.core import engine
from authz.core.authentication import Authenticator
from authz.core.policy.policy import Policy
from authz.edge.envoy import denied_response, ext_authz
from authz.edge.envoy.ext_authz import Checker
from authz.edge.service import Service
from authz.edge.telemetry.audit_log import AuditLog
from bench.stack import POLICY
from bench.workload import ISSUER, Mint, check_request

STAGES: tuple[tuple[str, object, str], ...] = (
    ("read_request", ext_authz, "read_request"),
    ("engine", ext_authz, "check"),
    ("transport", engine, "check_transport"),
    ("authenticate", Authenticator, "authenticate"),
    ("read_message", engine, "read_message"),
    ("judge", Policy, "judge"),
    ("denial", denied_response, "render_denial"),
    ("allow", ext_authz, "allow"),
    ("deny", denied_response, "deny"),
)
"""What a stage is called, and where its function is looked up."""


def stages_of(checker: Checker) -> tuple[tuple[str, object, str], ...]:
    """Return every stage of a Check, with those that this handler was given as functions."""
    authenticator = checker._snapshots.current.authenticator  # noqa: SLF001 - the bench looks inside on purpose
    own = (
        ("audit", checker, "_write"),
        ("metrics", checker, "_count_decision"),
        ("cache metric", authenticator, "_count"),
    )
    return (*STAGES, *own)


class StageClock:
    """Times by stage, in seconds, each without the stages inside it."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._inner = [0.0]

    def wrap(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same and is timed."""
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
    def installed(self, checker: Checker) -> Iterator[None]:
        """Time every stage of the handler's Checks inside the block."""
        with contextlib.ExitStack() as stack:
            for stage, owner, name in stages_of(checker):
                wrapped = self.wrap(stage, getattr(owner, name))
                stack.enter_context(mock.patch.object(owner, name, wrapped))
            yield


def settings_of(mint: Mint, policy: Path = POLICY) -> Settings:
    """Return the settings of a policy file, with the issuer's keys inline."""
    return with_keys(policy, mint.jwks())


def with_keys(policy: Path, jwks: bytes) -> Settings:
    """Return the settings of a policy file that fetches nothing: its issuer's keys are these."""
    url = "https://issuer.example.com/jwks.json"
    settings = load(str(policy), environment={"BENCH_JWKS": url, "BENCH_UPSTREAM": "http://127.0.0.1:9/mcp"})
    return dataclasses.replace(settings, keys={ISSUER: IssuerKeys(issuer=ISSUER, inline=jwks)})


class _NoCall:
    """The call of a Check for which no key has to be fetched."""

    async def run_in_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Fail: this is not what is measured."""
        work.close()
        msg = "a key had to be fetched"
        raise RuntimeError(msg)


NO_CALL = _NoCall()


@contextlib.contextmanager
def service_for(settings: Settings) -> Iterator[Service]:
    """Return the service, deciding by `settings`; its records go nowhere."""
    with Path(os.devnull).open("wb") as nowhere, contextlib.closing(AuditLog(nowhere)) as audit:
        yield Service(settings, audit)


@contextlib.contextmanager
def checker(mint: Mint, settings: Settings | None = None) -> Iterator[Checker]:
    """Return the service's own handler, deciding by `settings` or by the bench policy."""
    with service_for(settings or settings_of(mint)) as decider:
        yield decider.checker()


async def checks(checker: Checker, messages: Iterator[bytes], count: int) -> float:
    """Make `count` Checks one after the other; return the seconds they took."""
    began = time.perf_counter()
    for _ in range(count):
        await checker.check(next(messages), NO_CALL)
    return time.perf_counter() - began


def breakdown(checker: Checker, requests: list[bytes], seconds: float) -> Mapping[str, float]:
    """Time Checks of HTTP requests for about `seconds`.

    Returns:
        Microseconds a Check by stage, costliest first, then `other` (what no stage covers, timers included) and
        `whole` (a Check without timers).
    """
    messages = itertools.cycle([check_request(request) for request in requests])
    asyncio.run(checks(checker, messages, len(requests)))
    trial = asyncio.run(checks(checker, messages, 100)) / 100
    count = max(100, int(seconds / 2 / trial))
    whole = asyncio.run(checks(checker, messages, count)) / count
    clock = StageClock()
    with clock.installed(checker):
        timed = asyncio.run(checks(checker, messages, count))
    stages = {name: spent / count * 1e6 for name, spent in clock.spent.items() if spent}
    ordered = dict(sorted(stages.items(), key=lambda pair: -pair[1]))
    return {**ordered, "other": timed / count * 1e6 - sum(stages.values()), "whole": whole * 1e6}

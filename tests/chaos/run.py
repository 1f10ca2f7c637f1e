"""A run: the faults in turn, then several at once, until the time is up."""

import asyncio
import itertools
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager

from authz.demo.issuer.app import IssuerServer
from authz.demo.processes import Supervisor
from tests.chaos import policies
from tests.chaos.audit_disk import AuditDisk
from tests.chaos.clock import Clock
from tests.chaos.faults import APART, FAULTS
from tests.chaos.field import IN_FORCE, Field, confirm
from tests.chaos.ledger import Ledger
from tests.chaos.oracle import Oracle
from tests.chaos.questions import Wallet, numbers
from tests.chaos.report import Report
from tests.chaos.stack import ChaosStack
from tests.chaos.traffic import Traffic
from tests.chaos.upstream import Upstream

CALM = 2.5
"""Seconds without a fault after each, in which every answer must be right."""


async def run(faults: Iterator[Sequence[str]], *, seconds: float, seed: int) -> Report:
    """Run one set of faults after another, each for some seconds, and return the accounts."""
    with ExitStack() as parts:
        supervisor = parts.enter_context(Supervisor())
        disk = parts.enter_context(AuditDisk(supervisor.logs))
        issuer = parts.enter_context(IssuerServer())
        async with _field(supervisor, disk, issuer, seconds, seed) as field:
            began = time.monotonic()
            async with field.traffic.running():
                calm = field.ledger.open()
                calm.ended = calm.begun
                await asyncio.sleep(CALM)
                for names in faults:
                    await _chapter(field, names)
                await _finish(field)
            return Report.of(field.ledger, time.monotonic() - began, seed, disk.kind, field.stack.clock.kind)


@asynccontextmanager
async def _field(supervisor, disk, issuer, seconds: float, seed: int) -> AsyncIterator[Field]:
    rng = random.Random(seed)
    async with Upstream(rng=rng) as upstream:
        clock = Clock(supervisor.logs)
        stack = ChaosStack(
            supervisor=supervisor, issuer=issuer, upstream=upstream.port, disk=disk, clock=clock
        )
        try:
            stack.start()
            ledger = Ledger(Oracle(stack.settings(policies.A), stack.keys()))
            upstream.arrived = ledger.arrived
            wallet = Wallet(issuer)
            wallet.refill()
            traffic = Traffic(port=stack.port, ledger=ledger, wallet=wallet, numbers=numbers(), seed=seed)
            yield Field(
                stack=stack,
                upstream=upstream,
                ledger=ledger,
                traffic=traffic,
                wallet=wallet,
                rng=rng,
                seconds=seconds,
            )
        finally:
            stack.kill_workers()


async def _chapter(field: Field, names: Sequence[str]) -> None:
    chapter = field.ledger.open(*names)
    said = await asyncio.gather(*(FAULTS[name](field) for name in names))
    chapter.ended = time.monotonic()
    chapter.evidence = [f"{name}: {words}" for name, words in zip(names, said, strict=True)]
    await asyncio.sleep(CALM)
    grades, reasons = dict(chapter.grades), dict(chapter.reasons)
    sys.stderr.write(f"{'; '.join(chapter.evidence)}  {grades} {reasons} recovery {chapter.recovery:.2f} s\n")


async def _finish(field: Field) -> None:
    """Wait until the policy is in force everywhere, and let the last answers come."""
    try:
        await asyncio.wait_for(confirm(field), IN_FORCE)
    except TimeoutError:
        field.ledger.problems.append(f"the policy was not in force within {IN_FORCE:g} s of the last fault")
    await asyncio.sleep(CALM)


def schedule(minutes: float, seed: int) -> Iterator[Sequence[str]]:
    """Yield every fault in turn, then two or three at once, until the time is up."""
    rng = random.Random(f"{seed}:schedule")
    end = time.monotonic() + 60 * minutes
    for names in itertools.chain([[name] for name in FAULTS], _together(rng)):
        if time.monotonic() > end:
            return
        yield names


def _together(rng: random.Random) -> Iterator[Sequence[str]]:
    yield ["worker killed", "no descriptors"]
    yield ["worker killed", "policy reloaded"]
    yield ["worker killed", "JWKS out"]
    while True:
        names = rng.sample([*FAULTS], rng.choice((2, 2, 3)))
        if not any(apart.issubset(names) for apart in APART):
            yield names

"""What the faults act upon, and how the policy is changed under traffic."""

import asyncio
import random
import time
from dataclasses import dataclass

from tests.chaos import policies
from tests.chaos.ledger import Ledger
from tests.chaos.oracle import Oracle
from tests.chaos.questions import Wallet
from tests.chaos.stack import ChaosStack
from tests.chaos.traffic import Traffic
from tests.chaos.upstream import Upstream

IN_FORCE = 15.0
"""Seconds after which a policy that is not in force everywhere, with no fault about, is a finding."""
POLL = 0.1
"""Seconds between two looks at what has no event."""


@dataclass(slots=True, kw_only=True)
class Field:
    """What faults act upon."""

    stack: ChaosStack
    upstream: Upstream
    ledger: Ledger
    traffic: Traffic
    wallet: Wallet
    rng: random.Random
    seconds: float
    pending: asyncio.Task[None] | None = None
    present: str = policies.A

    @property
    def oracle(self) -> Oracle:
        """The right answers."""
        return self.ledger.oracle


async def change(field: Field, text: str) -> None:
    """Put a policy in force; until every worker has it, the one before may answer too."""
    if text != field.present:
        field.oracle.policies.begin(field.stack.settings(text), time.monotonic())
        field.present = text
    field.stack.write_policy(text)
    field.stack.hang_up()
    if field.pending is None or field.pending.done():
        field.pending = asyncio.create_task(confirm(field))


async def confirm(field: Field) -> None:
    """Wait until every worker has the newest policy; a stopped one has it only after it goes on."""
    while True:
        wanted = field.oracle.policies.newest.digest
        digests = await field.stack.digests()
        if digests == {wanted} and wanted == field.oracle.policies.newest.digest:
            field.oracle.policies.settle(time.monotonic())
            return
        await asyncio.sleep(POLL)

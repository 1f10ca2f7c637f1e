"""What a service remembers for its console, as plain data: it crosses the channel between worker and supervisor."""

from collections.abc import Sequence

import msgspec

Row = tuple[str, ...]
SHOWN = 100
"""Denials that are shown of all workers together."""


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """One denial, as the console shows it; the words are those of the audit record."""

    time: str
    decision_id: str
    reason: str
    rule: str = ""
    server: str = ""
    method: str = ""
    kind: str = ""
    name: str = ""
    sub: str = ""
    client: str = ""
    issuer: str = ""
    source: str = ""
    policy: str = ""
    detail: str = ""


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """An explained denial.

    Attributes:
        denial: the denial.
        text: what its reason says.
        now: what the policy in force says of it, a sentence.
        rules: what each rule about the item says, in the columns of `explain`.
        changes: what has to change for an allow, sentences.
        lists: kind, name, whether the caller sees it, reason and rule, for each item that a rule names.
        grants: scopes, roles and groups of the caller.
        notes: what could not be judged.
    """

    denial: Denial
    text: str
    now: str = ""
    rules: list[Row] = []
    changes: list[str] = []
    lists: list[Row] = []
    grants: list[Row] = []
    notes: list[str] = []


class WorkerMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker remembers, or a service.

    Attributes:
        denials: the last ones, the latest first.
        changed: server, list and name of each locked item that was last seen changed.
        why: the explanation that was asked for, None if the denial is not kept here.
    """

    denials: list[Denial] = []
    changed: list[Row] = []
    why: Why | None = None


def together(memories: Sequence[WorkerMemory]) -> WorkerMemory:
    """Return what several workers remember as one."""
    denials = [denial for memory in memories for denial in memory.denials]
    return WorkerMemory(
        denials=sorted(denials, key=lambda denial: denial.time, reverse=True)[:SHOWN],
        changed=sorted({row for memory in memories for row in memory.changed}),
        why=next((memory.why for memory in memories if memory.why is not None), None),
    )

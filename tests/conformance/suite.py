"""The official conformance suite, run against one URL, and what it found: scenario by scenario, check by check."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.node import Node

REQUIREMENTS = ("2025-11-25", "2026-07-28")
"""The requirement sets, by revision of the specification."""
_SUITE = "@modelcontextprotocol/conformance/dist/index.js"
_SECONDS = 180
_DIRECTORY = re.compile(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z")


@dataclass(frozen=True, order=True)
class Check:
    """One check of a scenario, and how it went; `message` is the suite's own word on a check that failed."""

    id: str
    name: str
    status: str
    message: str = ""


@dataclass(frozen=True)
class Found:
    """What the suite found.

    Attributes:
        status: its exit status, 0 when every scored scenario passed.
        scenarios: each scenario's checks, sorted.
        output: what it printed.
    """

    status: int
    scenarios: Mapping[str, tuple[Check, ...]]
    output: str

    def count(self, *statuses: str) -> int:
        """Count the checks of these statuses."""
        return sum(check.status in statuses for checks in self.scenarios.values() for check in checks)


@dataclass(frozen=True, order=True)
class Difference:
    """One check that went another way; None where there was no such check."""

    scenario: str
    direct: Check | None
    guarded: Check | None


def run_suite(node: Node, url: str, results: Path, *arguments: str) -> Found:
    """Run the suite.

    Args:
        node: runs it.
        url: the MCP endpoint.
        results: an empty or absent directory for what it writes.
        arguments: which scenarios, as options of the suite: `--requirements 2025-11-25`, or `--scenario ping`.
    """
    command = node.command(_SUITE, "server", "--url", url, "-o", str(results), *arguments)
    done = node.run(command, seconds=_SECONDS)
    found = {}
    for file in sorted(results.glob("*/checks.json")):
        name = _DIRECTORY.fullmatch(file.parent.name)
        assert name, f"the suite wrote {file.parent.name}, which is no scenario's directory"
        found[name[1]] = tuple(sorted(map(_check, json.loads(file.read_text(encoding="utf-8")))))
    return Found(done.returncode, found, done.stdout + done.stderr)


def _check(row: Mapping[str, Any]) -> Check:
    return Check(row["id"], row["name"], row["status"], row.get("errorMessage") or "")


def differences(direct: Found, guarded: Found) -> list[Difference]:
    """Compare two runs; equal checks of a scenario are told apart by their number only."""
    found = []
    for scenario in sorted({*direct.scenarios, *guarded.scenarios}):
        left, right = list(direct.scenarios.get(scenario, ())), list(guarded.scenarios.get(scenario, ()))
        for check in tuple(left):
            if check in right:
                left.remove(check)
                right.remove(check)
        found += _pairs(scenario, left, right)
    return found


def _pairs(scenario: str, left: list[Check], right: list[Check]) -> list[Difference]:
    pairs = []
    for check in left:
        twin = next((other for other in right if (other.id, other.name) == (check.id, check.name)), None)
        if twin is not None:
            right.remove(twin)
        pairs.append(Difference(scenario, check, twin))
    return [*pairs, *(Difference(scenario, None, other) for other in right)]


def table(found: list[Difference]) -> str:
    """Write differences for people, one a line."""
    rows = [("scenario", "check", "direct", "through Envoy")]
    rows += [(row.scenario, _name(row), _went(row.direct), _went(row.guarded)) for row in found]
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    )


def _name(row: Difference) -> str:
    return (row.direct or row.guarded or Check("", "", "")).id


def _went(check: Check | None) -> str:
    return "absent" if check is None else f"{check.status} {check.message}".strip()

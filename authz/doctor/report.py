"""A diagnosis for people, for programs, and the page of all findings."""

import re
import textwrap
from collections.abc import Iterator
from typing import Any

from authz.doctor.checks.ext_proc import WRAPPED
from authz.doctor.diagnosis import Diagnosis
from authz.doctor.field_checks import hosts
from authz.doctor.inventory import Inventory
from authz.doctor.model import Check, Finding, Put, Severity
from authz.doctor.node import Path
from authz.doctor.registry import ALL, TOPICS
from authz.doctor.source import Source
from authz.render.yaml_writer import emit
from authz.tools.terminal import plain


def written(path: Path) -> str:
    """Write a path: `static_resources.listeners[0].address`; a key that is no plain word stands in brackets."""
    text = ""
    for part in path:
        word = isinstance(part, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part)
        named = f".{part}" if text else str(part)
        text += named if word else f'["{part}"]' if isinstance(part, str) else f"[{part}]"
    return text or "(whole file)"


def cure(finding: Finding) -> str:
    """Give the lines to paste: those of this very place, where it takes only one setting."""
    edits = finding.hit.edits
    if len(edits) == 1 and isinstance(edits[0], Put) and isinstance(edits[0].path[-1], str):
        key = edits[0].path[-1]
        if key != "typed_config":
            return emit({key: edits[0].value})
    return finding.check.cure


def looked_at(survey: Inventory) -> list[str]:
    """Say which parts were looked at, one line each."""
    lines = []
    for chain in survey.chains:
        routes = sum(1 for host in hosts(chain) for _ in host.at("routes").items())
        guarded = "judged by ext_authz" if chain.authz else "without ext_authz"
        filters = f"{len(chain.filters)} filter(s), {guarded}" if chain.whole else "filters not seen"
        lines.append(f"{chain.name}: {routes} route(s), {filters}")
    return [*lines, f"{len(survey.clusters)} cluster(s)"]


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Give a diagnosis as plain values."""
    return {
        "file": diagnosis.source.file,
        "clean": diagnosis.clean,
        "looked_at": looked_at(diagnosis.survey),
        "findings": [_row(diagnosis.source, finding) for finding in diagnosis.findings],
    }


def _row(source: Source, finding: Finding) -> dict[str, Any]:
    check, hit = finding.check, finding.hit
    return {
        "severity": check.severity.value,
        "id": check.id,
        "line": source.line(hit.node.path),
        "path": written(hit.node.path),
        "message": check.what,
        "detail": hit.detail,
        "risk": check.risk,
        "cure": cure(finding),
        "fixable": bool(hit.edits),
    }


def as_text(diagnosis: Diagnosis) -> Iterator[str]:
    """Give a diagnosis as lines for a terminal."""
    for finding in diagnosis.findings:
        yield from _told(diagnosis.source, finding)
        yield ""
    name = plain(diagnosis.source.file)
    for line in looked_at(diagnosis.survey):
        yield f"{name}: looked at {plain(line)}"
    counts = {each: sum(f.check.severity is each for f in diagnosis.findings) for each in Severity}
    said = ", ".join(f"{count} {each}(s)" for each, count in counts.items() if count)
    yield f"{name}: {'clean' if diagnosis.clean else 'not clean'}{': ' if said else ''}{said}"


def _told(source: Source, finding: Finding) -> Iterator[str]:
    yield headline(source, finding)
    yield f"    at   {plain(written(finding.hit.node.path))}"
    pad = " " * 9
    yield from textwrap.wrap(f"    risk {finding.check.risk}", 110, subsequent_indent=pad)
    yield "    cure"
    yield from textwrap.indent(cure(finding).rstrip("\n"), "      ").splitlines()


def headline(source: Source, finding: Finding, *, placed: bool = True) -> str:
    """Give a finding in one line; without its line in the file where that is not known."""
    line = source.line(finding.hit.node.path) if placed else 0
    place = f"{source.file}:{line}" if line else source.file
    detail = f" ({finding.hit.detail})" if finding.hit.detail else ""
    return plain(f"{place}: {finding.check.severity}: {finding.check.id}: {finding.check.what}{detail}")


_HEAD = """\
# Findings of `mcp-authz doctor`

Written by `python -m authz.doctor.page`. An id keeps its meaning for ever.
An **error** lets requests or lists through, or breaks what the configuration is there for; a **warning** weakens a second
line of defence or costs availability; a **hint** is for information and never changes the exit status.
How to run it stands in [commands](commands.md#doctor).

| id | severity | what is wrong |
|---|---|---|
"""


def page() -> str:
    """Write the documentation's page of all findings."""
    rows = [f"| [`{check.id}`](#{check.id}) | {check.severity} | {check.what} |\n" for check in ALL]
    return _HEAD + "".join(rows) + "".join(_topics())


def _topics() -> Iterator[str]:
    for title, checks in TOPICS:
        yield f"\n## {title}\n"
        for check in checks:
            yield f"\n### {check.id}\n\n{check.severity.capitalize()}: {check.what}.\n{check.risk}\n\n"
            yield f"```yaml\n{_shortened(check)}```\n"


def _shortened(check: Check) -> str:
    """Give the lines of a cure; those of the whole rewriter stand once on the page."""
    once = check.id == "rewriter-missing"
    return (
        check.cure if once else check.cure.replace(WRAPPED, "# the lines of rewriter-missing, in its place\n")
    )

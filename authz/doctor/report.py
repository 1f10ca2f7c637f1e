"""A diagnosis as text for a terminal, and as JSON."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from authz.doctor.checks.file import REPEATED
from authz.doctor.diagnosis import Diagnosis
from authz.doctor.inventory import Inventory
from authz.doctor.model import Finding, Put, Severity
from authz.doctor.node import Path
from authz.doctor.routes import routes
from authz.doctor.source import Source
from authz.render.yaml_writer import emit
from authz.tools.terminal import plain


class Line(NamedTuple):
    """A line of a report, and how it goes on if it is broken: with this indent and prefix; never if it is to be pasted."""

    text: str
    indent: int = 4
    prefix: str = ""
    whole: bool = False


def dotted(path: Path) -> str:
    """Return a path as `static_resources.listeners[0].address`; a key that is not a plain word is in brackets."""
    text = ""
    for part in path:
        word = isinstance(part, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part)
        named = f".{part}" if text else str(part)
        text += named if word else f'["{part}"]' if isinstance(part, str) else f"[{part}]"
    return text or "(whole file)"


def cure(finding: Finding) -> str:
    """Return the lines to paste: those for this very place, if one setting is enough."""
    edits = finding.hit.edits
    if len(edits) == 1 and isinstance(edits[0], Put) and isinstance(edits[0].path[-1], str):
        key = edits[0].path[-1]
        # The whole filter says more; a key that is there twice is cured by taking one away.
        if key != "typed_config" and finding.check.id != REPEATED:
            return emit({key: edits[0].value})
    return finding.check.cure


def looked_at(inventory: Inventory) -> list[str]:
    """Return the parts that were examined, one line each."""
    lines = []
    for chain in inventory.chains:
        if chain.partial and not chain.filters:
            continue
        guarded = "with ext_authz" if chain.authz else "without ext_authz"
        seen = chain.whole or chain.partial
        filters = f"{len(chain.filters)} filter(s), {guarded}" if seen else "filters not seen"
        lines.append(f"{chain.name}: {sum(1 for _ in routes([chain]))} route(s), {filters}")
    return [*lines, f"{len(inventory.clusters)} cluster(s)"]


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis as plain values."""
    return {
        "file": diagnosis.source.file,
        "clean": diagnosis.clean,
        "looked_at": looked_at(diagnosis.inventory),
        "findings": [_row(diagnosis.source, finding) for finding in diagnosis.findings],
    }


def _row(source: Source, finding: Finding) -> dict[str, Any]:
    check, hit = finding.check, finding.hit
    return {
        "severity": check.severity.value,
        "id": check.id,
        "line": source.line(hit.node.path),
        "path": dotted(hit.node.path),
        "message": check.what,
        "detail": hit.detail,
        "risk": check.risk,
        "cure": cure(finding),
        "fixable": bool(hit.edits),
    }


def as_text(diagnosis: Diagnosis) -> Iterator[Line]:
    """Yield a diagnosis as lines for a terminal."""
    for finding in diagnosis.findings:
        yield from _finding(diagnosis.source, finding)
        yield Line("")
    name = plain(diagnosis.source.file)
    for line in looked_at(diagnosis.inventory):
        yield Line(f"{name}: looked at {plain(line)}")
    counts = {each: sum(f.check.severity is each for f in diagnosis.findings) for each in Severity}
    summary = ", ".join(f"{count} {each}(s)" for each, count in counts.items() if count)
    yield Line(f"{name}: {'clean' if diagnosis.clean else 'not clean'}{': ' if summary else ''}{summary}")


def _finding(source: Source, finding: Finding) -> Iterator[Line]:
    yield Line(headline(source, finding))
    yield Line(f"    at   {plain(dotted(finding.hit.node.path))}", 9)
    yield Line(f"    risk {finding.check.risk}", 9)
    yield Line("    cure")
    for line in cure(finding).rstrip("\n").splitlines():
        depth = len(line) - len(line.lstrip())
        yield Line(f"      {line}", 6 + depth, "# ", whole=not line.lstrip().startswith("#"))


def headline(source: Source, finding: Finding, *, placed: bool = True) -> str:
    """Return a finding in one line, with its line in the file unless that is unknown."""
    line = source.line(finding.hit.node.path) if placed else 0
    place = f"{source.file}:{line}" if line else source.file
    detail = f" ({finding.hit.detail})" if finding.hit.detail else ""
    return plain(f"{place}: {finding.check.severity}: {finding.check.id}: {finding.check.what}{detail}")

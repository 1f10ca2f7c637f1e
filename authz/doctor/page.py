"""Writes docs/doctor.md: `python -m authz.doctor.page > docs/doctor.md`."""

import sys
from collections.abc import Iterator

from authz.doctor.expected import paste
from authz.doctor.registry import ALL, TOPICS

_HEAD = """\
# Findings of `mcp-authz doctor`

Written by `python -m authz.doctor.page`. An id never changes its meaning.

An **error** lets requests or lists through, or breaks the authorization.
A **warning** weakens a second line of defence or costs availability.
A **hint** informs and never changes the exit status.
[Commands](commands.md#doctor) shows how to run the doctor.

| id | severity | what is wrong |
|---|---|---|
"""


def page() -> str:
    """Return the documentation's page of all findings."""
    rows = [f"| [`{check.id}`](#{check.id}) | {check.severity} | {check.what} |\n" for check in ALL]
    return _HEAD + "".join(rows) + "".join(_topics())


def _topics() -> Iterator[str]:
    rewriter = paste("rewriter_filter.http_filters")
    for title, checks in TOPICS.items():
        yield f"\n## {title}\n"
        for check in checks:
            yield f"\n### {check.id}\n\n{check.severity.capitalize()}: {check.what}.\n{check.risk}\n\n"
            once = check.id == "rewriter-missing"
            cure = check.cure if once else check.cure.replace(rewriter, "# the filter of rewriter-missing\n")
            yield f"```yaml\n{cure}```\n"


if __name__ == "__main__":
    sys.stdout.write(page())

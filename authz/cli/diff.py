"""`mcp-authz diff`: who gains and who loses what, between two policy files."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Annotated

import typer

from authz.cli.policy_file import read_settings
from authz.cli.replay import ClaimsFor
from authz.config.settings import Settings
from authz.tools.arguments import mistake
from authz.tools.audit_reader import read_records
from authz.tools.cases import Cases, check_servers, read_cases
from authz.tools.comparison import asked_by, compare, recorded
from authz.tools.comparison_view import show
from authz.tools.evaluate import Judge, Question
from authz.tools.personas import by_subject

_RECORDS = "--records"


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="Policy file.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Policy file.")],
    records: Annotated[
        str, typer.Option("--records", metavar="AUDIT.jsonl", help="Ask what was asked; - for stdin.")
    ] = "",
    cases: Annotated[
        str,
        typer.Option("--cases", metavar="CASES", help="Ask these; with --records only their personas count."),
    ] = "",
    claims_for: ClaimsFor = None,
    as_data: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show who gains and who loses what when NEW replaces OLD.

    With --cases, every case is put to both files, and for every persona each tool that one of them names in full: is
    it in the persona's list? With --records, what was recorded is asked again; records hold no claims, arguments or
    headers, so claims come from personas with that `sub` or from --claims-for, and what is not known is counted as
    undecidable, never guessed. Exit status: 0 same, 1 different, 2 for a bad file or when nothing could be compared.

    Example: mcp-authz diff policy.yaml next.yaml --cases cases.yaml
    """
    if not records and not cases:
        raise mistake(_RECORDS, "there is nothing to ask", "give --records or --cases")
    sides = read_settings(old, "", None), read_settings(new, "", None)
    now = time.time()
    judges = [Judge(side, now) for side in sides]
    given = read_cases(cases) if cases else Cases(personas={}, cases=())
    left_out: Counter[str] = Counter()
    if records:
        servers = {server.name: server for side in reversed(sides) for server in side.directory.servers}
        known = by_subject(given.personas, claims_for or ())
        questions: Iterable[Question] = (
            question for question, _ in recorded(read_records(records), servers, known, left_out)
        )
    else:
        _check_servers(given, sides)
        questions = asked_by(given, sides)
    pairs = ((question, None) for question in questions)
    raise typer.Exit(show(compare(pairs, left_out, judges[0].answer, judges[1].answer), as_data))


def _check_servers(cases: Cases, sides: Iterable[Settings]) -> None:
    """Refuse a case that leaves open which of several servers it is about, or names one that neither file has."""
    several = any(len(side.directory.servers) > 1 for side in sides)
    names = {server.name for side in sides for server in side.directory.servers}
    check_servers(cases.cases, sorted(names), several=several)

"""`mcp-authz diff`: who gains and who loses access when one policy file replaces another."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Annotated

import typer

from authz.cli.policy_file import read_settings
from authz.cli.replay import ClaimsFor
from authz.config.problems import mistake
from authz.config.settings import Settings
from authz.core.servers import Server
from authz.tools.audit_reader import read_records
from authz.tools.cases import Cases, check_servers, read_cases
from authz.tools.changed_rules import Touched
from authz.tools.comparison import compare, questions_of_cases, questions_of_records
from authz.tools.comparison_view import show
from authz.tools.evaluate import Evaluator, Question
from authz.tools.personas import by_subject

_RECORDS = "--records"


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The policy file in use.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The policy file that would replace it.")],
    records: Annotated[
        str,
        typer.Option(
            "--records",
            metavar="FILE",
            help="Compare the requests in these audit records; - reads stdin.",
        ),
    ] = "",
    cases: Annotated[
        str,
        typer.Option(
            "--cases",
            metavar="FILE",
            help="Compare these test cases; with --records, only use their personas.",
        ),
    ] = "",
    claims_for: ClaimsFor = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 if a rule changed that no question was about.")
    ] = False,
    as_data: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show who gains and who loses access when NEW replaces OLD.

    Both policies decide the cases in `tests:` of OLD and those of --cases, and which tools each persona sees listed (tools
    that either file names in full). With --records, both decide the recorded requests. Audit records hold no arguments or headers, and of
    the claims those that `audit.claims` names; if rules read others, claims come from personas with the same `sub` or from --claims-for. A request whose outcome depends on anything
    unknown is counted as undecidable, never guessed.
    A rule that changed and that no question was about is named: two files are not the same because nothing was asked.
    Exit status: 0 same, 1 different, 2 a file is unusable or nothing could be compared.

    Example: mcp-authz diff policy.yaml next.yaml --cases cases.yaml
    """
    given = _together(read_cases(old), read_cases(cases) if cases else None)
    if not records and not given.cases and not given.personas:
        cure = "give --records or --cases, or write tests: into OLD"
        raise mistake(_RECORDS, "there is nothing to compare", cure)
    sides = read_settings(old, "", None), read_settings(new, "", None)
    now = time.time()
    old_side, new_side = (Evaluator(side, now) for side in sides)
    touched = Touched(sides, now)
    left_out: Counter[str] = Counter()
    servers: dict[str, Server] = {}
    if records:
        servers = {server.name: server for side in reversed(sides) for server in side.directory.servers}
        known = by_subject(given.personas, claims_for or ())
        questions: Iterable[Question] = (
            question for question, _ in questions_of_records(read_records(records), servers, known, left_out)
        )
    else:
        _check_servers(given, sides)
        questions = questions_of_cases(given, sides)
    pairs = ((question, None) for question in _seen(questions, touched))
    found = compare(pairs, left_out, old_side.evaluate, new_side.evaluate)
    raise typer.Exit(show(found, as_data, servers, touched.untouched, strict=strict))


def _together(own: Cases, more: Cases | None) -> Cases:
    """Return the cases of the old file and those that were given; of two personas with one name the given one."""
    if more is None:
        return own
    return Cases(personas={**own.personas, **more.personas}, cases=(*own.cases, *more.cases))


def _seen(questions: Iterable[Question], touched: Touched) -> Iterable[Question]:
    for question in questions:
        touched.see(question)
        yield question


def _check_servers(cases: Cases, sides: Iterable[Settings]) -> None:
    """Refuse a case that names a server that neither file has, or names none of several."""
    several = any(len(side.directory.servers) > 1 for side in sides)
    names = {server.name for side in sides for server in side.directory.servers}
    check_servers(cases.cases, sorted(names), several=several)

"""`mcp-authz replay`: decide recorded requests again, by a policy file."""

import time
from collections import Counter
from typing import Annotated

import typer

from authz.cli.options import File
from authz.cli.policy_file import read_settings
from authz.tools.audit_reader import read_records
from authz.tools.cases import read_cases
from authz.tools.comparison import compare, questions_of_records
from authz.tools.comparison_view import show
from authz.tools.evaluate import Evaluator
from authz.tools.personas import by_subject

CasesOption = Annotated[
    str,
    typer.Option("--cases", metavar="FILE", help="Take the callers' claims from the personas in this file."),
]
ClaimsFor = Annotated[
    list[str] | None,
    typer.Option(
        "--claims-for", metavar="SUB=JSON", help="Claims of the caller with this `sub`; repeatable."
    ),
]


def replay(
    config: File,
    records: Annotated[
        str, typer.Argument(metavar="RECORDS", help="Audit records, one JSON object per line; - reads stdin.")
    ],
    cases: CasesOption = "",
    claims_for: ClaimsFor = None,
    as_data: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Decide recorded requests again under a policy file, and show what would change.

    Audit records hold no arguments or headers, and of the claims those that `audit.claims` names; if rules read others,
    claims come from personas with the same `sub` or from --claims-for. A request whose outcome depends on anything unknown is counted as undecidable, never guessed.
    Exit status: 0 same, 1 different, 2 a file is unusable or nothing could be compared.

    Example: mcp-authz replay -c policy.yaml --claims-for 'alice={"scope": "files:read"}' audit.jsonl
    """
    settings = read_settings(config, "", None)
    personas = read_cases(cases).personas if cases else {}
    left_out: Counter[str] = Counter()
    servers = {server.name: server for server in settings.directory.servers}
    known = by_subject(personas, claims_for or ())
    pairs = questions_of_records(read_records(records), servers, known, left_out)
    evaluate = Evaluator(settings, time.time()).evaluate
    raise typer.Exit(show(compare(pairs, left_out, evaluate, evaluate), as_data, servers))

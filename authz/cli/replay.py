"""`mcp-authz replay`: would this policy decide as was decided?"""

import time
from collections import Counter
from typing import Annotated

import typer

from authz.cli.options import File
from authz.cli.policy_file import read_settings
from authz.tools.audit_reader import read_records
from authz.tools.cases import read_cases
from authz.tools.comparison import compare, recorded
from authz.tools.comparison_view import show
from authz.tools.evaluate import Judge
from authz.tools.personas import by_subject

CasesOption = Annotated[
    str,
    typer.Option("--cases", metavar="CASES", help="File whose personas say what callers' tokens say."),
]
ClaimsFor = Annotated[
    list[str] | None,
    typer.Option("--claims-for", metavar="SUB=JSON", help="What the token of this `sub` says."),
]


def replay(
    config: File,
    records: Annotated[
        str, typer.Argument(metavar="AUDIT.jsonl", help="Audit records; - reads them from stdin.")
    ],
    cases: CasesOption = "",
    claims_for: ClaimsFor = None,
    as_data: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Decide recorded requests again, by a policy file, and show what differs.

    Records hold no claims: what a caller's token says comes from personas with that `sub`, or from --claims-for. Where
    that, arguments or headers would be needed and are not known, the record is counted as undecidable, never guessed.
    Exit status: 0 same, 1 different, 2 for a bad file or when nothing could be compared.

    Example: mcp-authz replay -c policy.yaml --claims-for 'alice={"scope": "files:read"}' audit.jsonl
    """
    settings = read_settings(config, "", None)
    personas = read_cases(cases).personas if cases else {}
    left_out: Counter[str] = Counter()
    servers = {server.name: server for server in settings.directory.servers}
    pairs = recorded(read_records(records), servers, by_subject(personas, claims_for or ()), left_out)
    judge = Judge(settings, time.time())
    raise typer.Exit(show(compare(pairs, left_out, judge.answer, judge.answer), as_data))

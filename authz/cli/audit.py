"""`mcp-authz audit`: ask a file of audit records who was denied what, and by which rule."""

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import typer

from authz.config.native.key_files import read_key_file
from authz.core.identity.hashed_subject import hashed_subject
from authz.tools.audit_query import AuditFilter, AuditGroup, as_json, group, since
from authz.tools.audit_reader import read_records
from authz.tools.terminal import say, table

_SINCE = "--since"
_KEY = "--subject-key"
_NONE = 1
_FEW = 3


def audit(  # noqa: PLR0913, PLR0917 - a command's options are its parameters
    records: Annotated[
        str, typer.Argument(metavar="RECORDS", help="Audit records, one JSON object per line; - reads stdin.")
    ],
    denied: Annotated[bool, typer.Option("--denied", help="Only denials.")] = False,
    sub: Annotated[str, typer.Option("--sub", metavar="SUBJECT", help="Only this caller.")] = "",
    subject_key: Annotated[
        str, typer.Option(_KEY, metavar="FILE", help="Key of audit.subject_key_file, to find a hashed --sub.")
    ] = "",
    client: Annotated[str, typer.Option("--client", metavar="CLIENT", help="Only this OAuth client.")] = "",
    tool: Annotated[str, typer.Option("--tool", metavar="NAME", help="Only this tool.")] = "",
    server: Annotated[str, typer.Option("--server", metavar="NAME", help="Only this server.")] = "",
    reason: Annotated[str, typer.Option("--reason", metavar="REASON", help="Only this reason.")] = "",
    rule: Annotated[str, typer.Option("--rule", metavar="NAME", help="Only this rule.")] = "",
    from_time: Annotated[
        str, typer.Option(_SINCE, metavar="SPAN", help="Only the last 90s, 30m, 1h or 2d; or since a time.")
    ] = "",
    as_data: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count audit records by rule and reason, with who asked for what.

    Exit status: 0, 1 if no record matches, 2 if the file is unusable.

    Example: mcp-authz audit audit.jsonl --denied --sub alice --since 1h
    """
    earliest = since(from_time, datetime.now(UTC), _SINCE) if from_time else ""
    wanted = AuditFilter(
        denied=denied,
        sub=hashed_subject(sub, read_key_file(_KEY, subject_key)) if subject_key else sub,
        client=client,
        tool=tool,
        server=server,
        reason=reason,
        rule=rule,
        since=earliest,
    )
    found = group(read_records(records), wanted)
    if as_data:
        typer.echo(json.dumps([as_json(each) for each in found]))
    else:
        table(("count", "reason", "rule", "server", "what", "who", "last"), map(_cells, found))
    if not found:
        say("no record matches", err=True)
        raise typer.Exit(_NONE)


def _cells(found: AuditGroup) -> tuple[str, ...]:
    return (
        str(found.count),
        found.reason,
        found.rule or "-",
        found.server or "-",
        _few(found.names),
        _few(found.callers),
        f"{found.last[:10]} {found.last[11:19]}Z",
    )


def _few(names: Counter[str]) -> str:
    shown = ", ".join(name for name, _ in names.most_common(_FEW))
    more = len(names) - _FEW
    return f"{shown}, {more} more" if more > 0 else shown

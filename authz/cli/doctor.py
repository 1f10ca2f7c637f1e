"""`mcp-authz doctor`: finds the security holes of an Envoy configuration."""

import json
from typing import Annotated

import typer

from authz.cli.options import AllowAnonymous, Jwks, Resource
from authz.cli.policy_file import read_settings
from authz.config.files import write_out
from authz.config.problems import ConfigError, mistake
from authz.config.settings import Settings
from authz.doctor.diagnosis import Diagnosis, diagnose
from authz.doctor.fix import fix as close
from authz.doctor.registry import ALL
from authz.doctor.report import as_json, as_text, headline
from authz.doctor.source import Source, read_file
from authz.tools.terminal import say

_IGNORE = "--ignore"
_ACCEPTED = "give a bootstrap, the file of an LDS, RDS or CDS, a config_dump, what --part filters wrote, or Kubernetes documents"


def doctor(  # noqa: PLR0913, PLR0917 - each is an option of the command
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Bootstrap, LDS/RDS file, config_dump, filters part or Kubernetes documents; YAML or JSON.",
        ),
    ],
    config: Annotated[
        str,
        typer.Option("-c", "--config", metavar="FILE", help="Policy file to compare limits and paths with."),
    ] = "",
    fix: Annotated[
        bool, typer.Option("--fix", help="Print a corrected file; list what is left on stderr.")
    ] = False,
    out: Annotated[
        str,
        typer.Option("-o", "--out", metavar="FILE", help="With --fix, write to this file instead of stdout."),
    ] = "",
    as_json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore",
            metavar="ID[:TEXT]",
            help="Leave out findings with this id or, with TEXT, those that mention it; repeatable.",
        ),
    ] = None,
    resource: Resource = "",
    jwks: Jwks = None,
    allow_anonymous: AllowAnonymous = False,
) -> None:
    """Find the security holes in an Envoy configuration.

    Each finding says what can happen, and shows the lines that close the hole.
    Exit status: 0 clean (hints do not count), 1 findings, 2 a file or option is unusable. With --fix, it is the status of
    the corrected file.

    Example: mcp-authz doctor envoy.yaml -c policy.yaml
    """
    try:
        ignored = _check_ignored(ignore or [])
        source = read_file(file)
        settings = read_settings(config, resource, jwks, allow_anonymous=allow_anonymous) if config else None
        diagnosis = _examine(source, settings, ignored)
        diagnosis = _fix(source, settings, ignored, out) if fix else diagnosis
    except ConfigError as error:
        for problem in error.problems:
            say(f"error: {problem}", err=True)
        raise typer.Exit(2) from None
    if not fix:
        _show(diagnosis, as_json_)
    if not diagnosis.clean:
        raise typer.Exit(1)


def _check_ignored(ignore: list[str]) -> list[str]:
    known = {check.id for check in ALL}
    for entry in ignore:
        if entry.partition(":")[0] not in known:
            raise mistake(_IGNORE, f"no finding has the id {entry.partition(':')[0]}")
    return ignore


def _examine(source: Source, settings: Settings | None, ignored: list[str]) -> Diagnosis:
    diagnosis = diagnose(source, settings, ignored)
    if not diagnosis.inventory.of_envoy:
        raise mistake(source.file, "not an Envoy configuration", _ACCEPTED)
    return diagnosis


def _show(diagnosis: Diagnosis, as_json_: bool) -> None:
    if as_json_:
        typer.echo(json.dumps(as_json(diagnosis), indent=2))
        return
    for line in as_text(diagnosis):
        say(line.text, indent=line.indent, prefix=line.prefix, whole=line.whole)


def _fix(source: Source, settings: Settings | None, ignored: list[str], out: str) -> Diagnosis:
    if "configs" in source.tree:
        message = "Envoy cannot load a config_dump, so it is not corrected"
        raise mistake(source.file, message, "correct the files that it was loaded from")
    if source.kubernetes:
        raise mistake(source.file, "Kubernetes documents are not corrected", "change them by hand")
    before = diagnose(source, settings, ignored).findings
    closed, diagnosis = close(source, settings, ignored)
    write_out(out, diagnosis.source.text)
    for finding in closed:
        say(f"closed {headline(source, finding, placed=finding in before)}", err=True, indent=7)
    for finding in diagnosis.findings:
        say(f"left   {headline(diagnosis.source, finding)}", err=True, indent=7)
    return diagnosis

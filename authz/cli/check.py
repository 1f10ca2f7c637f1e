"""`mcp-authz check`: is this file good?"""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from authz.cli.options import Jwks, Resource, read_settings
from authz.config.problems import ConfigError, Problem


def check(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Policy file: native, or Kubernetes documents.")
    ],
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 when there are warnings.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Findings as JSON.")] = False,
    resource: Resource = "",
    jwks: Jwks = None,
) -> None:
    """Parse and type-check a policy file. Exit status: 0 clean, 1 warnings with --strict, 2 errors.

    Example: mcp-authz check policy.yaml --strict
    """
    try:
        settings = read_settings(file, resource, jwks)
    except ConfigError as error:
        _report([("error", problem) for problem in error.problems], as_json)
        raise typer.Exit(2) from None
    _report([("warning", problem) for problem in settings.warnings], as_json)
    if not as_json and not settings.warnings:
        rules = sum(len(server.policy.rules) for server in settings.directory.servers)
        typer.echo(
            f"{file}: good: {len(settings.directory.servers)} server(s), {rules} rules, policy {settings.digest}"
        )
    if strict and settings.warnings:
        raise typer.Exit(1)


def _report(findings: list[tuple[str, Problem]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([{"severity": severity, **asdict(problem)} for severity, problem in findings]))
        return
    for severity, problem in findings:
        typer.echo(f"{severity}: {problem}", err=severity == "error")

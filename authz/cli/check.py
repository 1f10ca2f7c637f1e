"""`mcp-authz check`: parse, type-check and lint a policy file."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from authz.cli.options import AllowAnonymous, Jwks, Resource
from authz.cli.policy_file import read_settings
from authz.config.files import read_text
from authz.config.problems import ConfigError, Problem
from authz.config.settings import Settings
from authz.tools.case_runner import evaluated, run
from authz.tools.cases import read_cases
from authz.tools.terminal import say, table

if TYPE_CHECKING:
    from authz.oauth.online_check import IssuerFinding


def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Policy file: native, or of agentgateway.")],
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if there are warnings.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    resource: Resource = "",
    jwks: Jwks = None,
    allow_anonymous: AllowAnonymous = False,
    online: Annotated[
        bool, typer.Option("--online", help="Also ask the issuers: discovery, keys, audiences, clocks.")
    ] = False,
) -> None:
    """Parse, type-check and lint a policy file.

    If the file has `tests:`, two CEL implementations evaluate the conditions, and any difference is a warning. To see
    whether the tests pass, run `mcp-authz test`. With --online, the issuers are asked as the service asks them, and each
    line says what is wrong and what to do. Exit status: 0 clean, 1 warnings with --strict or an issuer that cannot be
    used, 2 errors in the file.

    Example: mcp-authz check policy.yaml --strict
    """
    try:
        settings = read_settings(file, resource, jwks, allow_anonymous=allow_anonymous)
        warnings = [*settings.warnings, *_second_opinions(file, settings)]
    except ConfigError as error:
        _report([("error", problem) for problem in error.problems], as_json)
        raise typer.Exit(2) from None
    found = _ask_issuers(settings) if online else []
    _report([("warning", problem) for problem in warnings], as_json, found)
    states = {str(finding.state) for finding in found}
    if not as_json and not warnings and "error" not in states:
        rules = sum(len(server.policy.rules) for server in settings.directory.servers)
        say(
            f"{file}: good: {len(settings.directory.servers)} server(s), {rules} rules, policy {settings.digest}"
        )
    if "error" in states or (strict and (warnings or "warning" in states)):
        raise typer.Exit(1)


def _ask_issuers(settings: Settings) -> "list[IssuerFinding]":
    from authz.oauth.online_check import check_online  # noqa: PLC0415 - needs an HTTP client, which a check without --online does not

    return check_online(settings)


def _show(found: "Sequence[IssuerFinding]") -> None:
    """Print a line for each check, and below it what to do."""
    rows: list[tuple[str, ...]] = []
    for finding in found:
        rows.append((finding.issuer, finding.about, finding.state, finding.says))
        if finding.cure:
            rows.append(("", "", "", f"-> {finding.cure}"))
    table(("issuer", "check", "", ""), rows)


_LOOSE = "write it so that the types are certain, or declare the rule's arguments"


def _second_opinions(file: str, settings: Settings) -> list[Problem]:
    """Evaluate the conditions of the file's own cases with both CEL implementations; report where they differ."""
    if "tests" not in read_text(file):  # parsing a large file a second time costs more than all of the lint
        return []
    cases = read_cases(file).cases
    if not cases:
        return []
    from authz.tools.cel_crosscheck import cross_check  # noqa: PLC0415 - `serve` must not have it

    checked = cross_check(evaluated(run(cases, settings, time.time())))
    by_name = {case.name: case for case in cases}
    return [by_name[found.case].problem(str(found), _LOOSE) for found in checked.disagreements]


def _report(
    findings: list[tuple[str, Problem]], as_json: bool, online: "Sequence[IssuerFinding]" = ()
) -> None:
    if as_json:
        problems = [{"severity": severity, **asdict(problem)} for severity, problem in findings]
        typer.echo(json.dumps(problems + [{"severity": each.state, **asdict(each)} for each in online]))
        return
    for severity, problem in findings:
        say(f"{severity}: {problem}", err=severity == "error")
    _show(online)

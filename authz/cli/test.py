"""`mcp-authz test`: run a policy's cases."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authz.cli.options import Jwks, Resource
from authz.cli.policy_file import read_settings
from authz.config.files import write_text
from authz.config.problems import mistake
from authz.tools.case_runner import CaseResult, evaluated, run
from authz.tools.cases import Case, read_cases
from authz.tools.coverage import RuleUse, coverage, percent
from authz.tools.junit import junit
from authz.tools.terminal import say, table

if TYPE_CHECKING:
    from authz.tools.cel_crosscheck import CrossCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    results: list[CaseResult]
    uses: list[RuleUse]
    opinions: "CrossCheck"

    @property
    def failed(self) -> list[CaseResult]:
        return [result for result in self.results if not result.passed]


def run_cases(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Policy file: native, or of agentgateway.")],
    cases: Annotated[
        str, typer.Argument(metavar="CASES", help="A separate file of test cases.", show_default=False)
    ] = "",
    min_coverage: Annotated[
        float,
        typer.Option(
            "--min-coverage",
            metavar="N",
            help="Fail if fewer than N % of the rules are covered.",
            min=0,
            max=100,
        ),
    ] = 0.0,
    junit_file: Annotated[
        str,
        typer.Option("--junit", metavar="FILE", help="Also write the results to this file, as JUnit XML."),
    ] = "",
    strict: Annotated[
        bool, typer.Option("--strict", help="Also fail if the two CEL implementations differ.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    resource: Resource = "",
    jwks: Jwks = None,
) -> None:
    """Run a policy's test cases: those under `tests:` in FILE, and those in CASES.

    Nothing is fetched or served. A second CEL implementation also evaluates each condition, and any difference is
    reported. Exit status: 0 pass, 1 fail, 2 a file or option is unusable.

    Example: mcp-authz test policy.yaml cases.yaml --min-coverage 100 --junit policy.xml
    """
    settings = read_settings(file, resource, jwks)
    results = run(_gather(file, cases), settings, time.time())
    from authz.tools.cel_crosscheck import cross_check  # noqa: PLC0415 - `serve` must not have it

    report = _Report(
        results=results, uses=coverage(settings, results), opinions=cross_check(evaluated(results))
    )
    if junit_file:
        write_text(junit_file, junit(results, file))
    if as_json:
        typer.echo(json.dumps(_as_json(report)))
    else:
        _show(report)
    covered = percent(report.uses)
    if covered < min_coverage:
        say(f"coverage {math.floor(covered)} % is below {min_coverage:g} %", err=True)
    if report.failed or covered < min_coverage or (strict and report.opinions.disagreements):
        raise typer.Exit(1)


def _gather(file: str, beside: str) -> list[Case]:
    found = [*read_cases(file).cases, *(read_cases(beside).cases if beside else ())]
    if not found:
        cure = "write tests: into the policy file, or give a file of cases"
        raise mistake(beside or file, "holds no cases", cure)
    return found


def _as_json(report: _Report) -> dict[str, Any]:
    return {
        "passed": len(report.results) - len(report.failed),
        "failed": len(report.failed),
        "cases": [_case(result) for result in report.results],
        "coverage": {"percent": percent(report.uses), "rules": list(map(asdict, report.uses))},
        "second_opinion": {
            "asked": report.opinions.asked,
            "disagreements": [
                {**asdict(found), "first": found.first.value, "second": found.second.value}
                for found in report.opinions.disagreements
            ],
            "unheard": report.opinions.unheard,
        },
    }


def _case(result: CaseResult) -> dict[str, Any]:
    case = result.case
    return {
        "name": case.name,
        "file": case.file,
        "line": case.line,
        "server": result.server.name,
        "passed": result.passed,
        "expected": result.expected,
        "seen": result.seen,
        "why": result.why,
    }


def _show(report: _Report) -> None:
    if report.failed:
        _show_failures(report.failed)
    count = len(report.results)
    covered = sum(use.covered for use in report.uses)
    say(f"{count - len(report.failed)} of {count} cases passed")
    say(f"{covered} of {len(report.uses)} rules decided a case ({math.floor(percent(report.uses))} %)")
    for use in report.uses:
        if not use.covered:
            closest = f", came closest {use.closest} times" if use.closest else ""
            say(f"  never decided: {use.server}: {use.rule} ({use.effect}{closest})")
    for found in report.opinions.disagreements:
        say(f"  second opinion differs: {found.case}: {found}")
    for text in report.opinions.unheard:
        say(f"  no second opinion: {text}")


def _show_failures(failed: Sequence[CaseResult]) -> None:
    say(f"{len(failed)} failed")
    rows = [(str(each.case.line), each.case.name, each.expected, each.seen, each.why) for each in failed]
    table(("line", "case", "expected", "seen", "why"), rows)

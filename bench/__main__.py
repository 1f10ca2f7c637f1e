"""`python -m bench`: what the service costs.

Without a part: all of them, about a quarter of an hour. `envoy` is behind Envoy, beside a bare gRPC handler, Envoy alone, Envoy's
own filters and further peers, in interleaved rounds; `half` the same at a fixed rate; `direct` leaves Envoy out; `core`
and `sizes` leave gRPC out; `lists` is about lists of tools; `memory` about memory. `report` shows the JSON of runs again.

Example: python -m bench envoy --rounds 3 --json envoy.json && python -m bench report envoy.json --svg plot.svg
"""

import argparse
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench import core, half, lists, load, memory, report, sizes, svg
from bench.machine import machine
from bench.rounds import Direct, Through, rounds, rows
from bench.stack import running
from bench.workload import IN_ENVOY, REFERENCE, VARIANTS, Variant

ALL, REPORT = "all", "report"
_SECONDS = 0.8


def _envoy(given: argparse.Namespace) -> dict[str, Any]:
    variants = chosen(given.variant, dict(given.peer), envoy=True)
    with running(dict(given.peer)) as stack:
        measure = Through(stack, given.seconds)
        samples = list(rounds(variants, given.connections, given.rounds, measure))
    return {"rows": list(map(asdict, rows(samples))), "samples": list(map(asdict, samples))}


def _direct(given: argparse.Namespace) -> dict[str, Any]:
    variants = chosen(given.variant, dict(given.peer), envoy=False)
    with running(dict(given.peer), envoy=False) as stack:
        measure = Direct(stack, given.seconds)
        samples = list(rounds(variants, given.connections, given.rounds, measure))
    return {"rows": list(map(asdict, rows(samples))), "samples": list(map(asdict, samples))}


def _half(given: argparse.Namespace) -> dict[str, Any]:
    with running({}, populations=("mixed",)) as stack:
        return half.measure(stack, given.seconds, given.rounds)


def _sizes(given: argparse.Namespace) -> dict[str, Any]:
    return sizes.measure(given.rounds)


def _core(given: argparse.Namespace) -> dict[str, Any]:
    return core.measure(given.seconds * 10)


def _lists(given: argparse.Namespace) -> dict[str, Any]:
    return lists.measure(given.seconds, given.rounds)


def _memory(given: argparse.Namespace) -> dict[str, Any]:
    return memory.measure(given.checks, given.tokens, given.served, given.limit)


PARTS: Mapping[str, Callable[[argparse.Namespace], dict[str, Any]]] = MappingProxyType(
    {
        "envoy": _envoy,
        "half": _half,
        "direct": _direct,
        "sizes": _sizes,
        "core": _core,
        "lists": _lists,
        "memory": _memory,
    }
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="?", choices=(ALL, *PARTS, REPORT), default=ALL)
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN.json", help="for report: files of --json")
    parser.add_argument(
        "--seconds", type=float, default=_SECONDS, help=f"of one sample (default {_SECONDS:g})"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="how often every variant is measured (default 5)"
    )
    parser.add_argument(
        "--connections", type=_numbers, default=[1, 16, 64], help="comma-separated (default 1,16,64)"
    )
    parser.add_argument("--variant", action="append", help=f"only this one and {REFERENCE}; may be repeated")
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        type=_peer,
        metavar="NAME=COMMAND",
        help="a further ext_authz server, started as COMMAND with {socket} as the path of its Unix socket",
    )
    _add_memory(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything, every sample too")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the part envoy")
    parser.add_argument(
        "--into", type=Path, metavar="FILE.md", help="for report: replace what is between the marks of FILE"
    )
    return parser


def _add_memory(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("memory")
    for name, default, text in (
        ("checks", memory.CHECKS, "Checks of the long run without gRPC"),
        ("tokens", memory.TOKENS, "distinct tokens"),
        ("served", memory.SERVED, "further Checks over gRPC"),
    ):
        group.add_argument(f"--{name}", type=int, default=default, help=f"{text} (default {default:,})")
    group.add_argument(
        "--limit", type=float, default=300.0, help="seconds after which each of the three runs ends"
    )


def _numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",")]
    if not all(0 < number <= 256 for number in numbers):
        msg = "connections must be from 1 to 256"
        raise argparse.ArgumentTypeError(msg)
    return numbers


def _peer(text: str) -> tuple[str, str]:
    name, _, command = text.partition("=")
    taken = {variant.name for variant in VARIANTS} | {variant.backend for variant in VARIANTS}
    if not name.isalnum() or not command or name in taken:
        msg = "expected NAME=COMMAND with a new name of letters and digits"
        raise argparse.ArgumentTypeError(msg)
    return name, command


def chosen(names: list[str] | None, peers: dict[str, str], *, envoy: bool) -> list[Variant]:
    """Give the variants to measure; the reference is always among them.

    Raises:
        SystemExit: a name is not known.
    """
    known = [*VARIANTS, *(Variant(name=name, backend=name, population="mixed") for name in peers)]
    missing = set(names or ()) - {variant.name for variant in known}
    if missing:
        choices = ", ".join(variant.name for variant in known)
        msg = f"no variant {', '.join(sorted(missing))}; there are: {choices}"
        raise SystemExit(msg)
    named = [variant for variant in known if names is None or variant.name in {*names, *peers, REFERENCE}]
    return [variant for variant in named if envoy or variant.backend not in IN_ENVOY]


def _conditions(given: argparse.Namespace) -> dict[str, str]:
    return {
        "run": f"{given.rounds} rounds of {given.seconds:g} s a sample, interleaved; medians",
        "generator": f"{load.generator()}; own for a fixed rate and for gRPC; its share of a core is the last column",
        "backends": "one process each, gRPC over a Unix socket; the service writes its audit log to a file",
        "envoy": "one worker, access log off, upstream is a direct response, for lists a server",
    }


def _measured(given: argparse.Namespace) -> dict[str, Any]:
    facts = machine() | _conditions(given)
    names = list(PARTS) if given.part == ALL else [given.part]
    parts = {name: PARTS[name](given) for name in names}
    facts["load after"] = f"{os.getloadavg()[0]:.2f}"
    return report.document(facts, parts)


def _read(given: argparse.Namespace) -> dict[str, Any]:
    if not given.runs:
        msg = "report needs at least one RUN.json; `python -m bench --json RUN.json` writes one"
        raise SystemExit(msg)
    run = report.merged(json.loads(file.read_text("utf-8")) for file in given.runs)
    if given.svg is not None and "envoy" not in run["parts"]:
        msg = "--svg draws the part envoy, which is in none of these files"
        raise SystemExit(msg)
    if given.into is not None:
        plot = os.path.relpath(given.svg, given.into.parent) if given.svg else ""
        text = report.insert(given.into.read_text("utf-8"), report.markdown(run, plot))
        given.into.write_text(text, encoding="utf-8")
    return run


def main() -> None:
    """Run what the command line asks for."""
    given = _parser().parse_args()
    run = _read(given) if given.part == REPORT else _measured(given)
    report.show(run)
    if given.json is not None:
        report.write_json(given.json, run)
    if given.svg is not None and "envoy" in run["parts"]:
        given.svg.write_text(svg.plot(run["parts"]["envoy"]["rows"], run["facts"]), encoding="utf-8")


if __name__ == "__main__":
    main()

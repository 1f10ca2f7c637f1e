"""`python -m bench`: what the service costs.

Without a part, all of them are measured, in about twenty minutes. `envoy` is behind Envoy, beside a bare gRPC handler,
Envoy alone, Envoy's own filters and further peers, in interleaved rounds; `half` the same at a fixed rate; `direct`
leaves Envoy out; `core` and `sizes` leave gRPC out; `sessions` is about what clients of the handshake versions send,
`lists` about lists of tools, `lock` about what a tool lock adds to lists and calls, `memory` about memory. `report`
shows the JSON of earlier runs.

Example: python -m bench envoy --rounds 3 --json envoy.json && python -m bench report envoy.json --svg plot.svg
"""

import argparse
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench import core, half_load, lists, lock, memory, report, sessions, sizes
from bench.load import require
from bench.rounds import Direct, Measure, Through, rounds, rows
from bench.stack import HANDLERS, RunningStack, running
from bench.workload import IN_ENVOY, REFERENCE, VARIANTS, Variant

ALL, REPORT = "all", "report"
Given = argparse.Namespace


def _side_by_side(given: Given, measure: Callable[[RunningStack, float], Measure], *, envoy: bool) -> Any:
    peers = dict(given.peer)
    variants = chosen(given.variant, peers, envoy=envoy)
    with running(peers, envoy=envoy) as stack:
        samples = list(rounds(variants, given.connections, given.rounds, measure(stack, given.seconds)))
    return {"rows": rows(samples), "samples": samples}


def _half(given: Given) -> dict[str, Any]:
    with running({}, populations=("mixed",)) as stack:
        return half_load.measure(stack, given.seconds, given.rounds)


PARTS: Mapping[str, Callable[[Given], dict[str, Any]]] = {
    "envoy": lambda given: _side_by_side(given, Through, envoy=True),
    "half": _half,
    "direct": lambda given: _side_by_side(given, Direct, envoy=False),
    "sizes": lambda given: sizes.measure(given.rounds),
    "core": lambda given: core.measure(given.seconds * 10),
    "sessions": lambda given: sessions.measure(given.seconds, given.connections, given.rounds),
    "lists": lambda given: lists.measure(given.seconds, given.rounds),
    "lock": lambda given: lock.measure(given.seconds, given.connections, given.rounds),
    "memory": lambda given: memory.measure(given.checks, given.tokens, given.served, given.limit),
}
_WITH_WRK = {ALL, "envoy", "half", "sessions", "lock"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("part", nargs="?", choices=(ALL, *PARTS, REPORT), default=ALL)
    add("runs", nargs="*", type=Path, metavar="RUN.json", help="for report: files of --json")
    add("--seconds", type=float, default=1.0, help="of one sample; wrk rounds up (default 1)")
    add("--rounds", type=int, default=5, help="how often every variant is measured (default 5)")
    add("--connections", type=_numbers, default=[1, 16, 64], help="comma-separated (default 1,16,64)")
    add("--variant", action="append", help=f"only this one and {REFERENCE}; may be repeated")
    add("--peer", action="append", default=[], type=_peer, metavar="NAME=COMMAND",
        help="a further ext_authz server, started as COMMAND with {socket} as the path of its Unix socket")  # fmt: skip
    add("--bare-python", action="append", dest="peer", type=_bare, metavar="NAME=PATH",
        help="the bare handler on another Python, with another grpcio; NAME begins with `bare`")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="write everything, every sample too")
    add("--svg", type=Path, metavar="FILE", help="draw the part envoy")
    add("--into", type=Path, metavar="FILE.md", help="for report: replace what is between the marks of FILE")
    add = parser.add_argument_group("memory").add_argument
    for name, default, text in (
        ("checks", memory.CHECKS, "Checks of the long run without gRPC"),
        ("tokens", memory.TOKENS, "distinct tokens"),
        ("served", memory.SERVED, "further Checks over gRPC"),
    ):
        add(f"--{name}", type=int, default=default, help=f"{text} (default {default:,})")
    add("--limit", type=float, default=300.0, help="seconds after which each of the three runs ends")
    return parser


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


def _bare(text: str) -> tuple[str, str]:
    name, path = _peer(text)
    if not name.startswith(REFERENCE):
        msg = f"expected NAME=PATH with a name that begins with {REFERENCE}"
        raise argparse.ArgumentTypeError(msg)
    return name, f"{path} -m {HANDLERS[REFERENCE]} unix:{{socket}}"


def chosen(names: list[str] | None, peers: Mapping[str, str], *, envoy: bool) -> list[Variant]:
    """Return the variants to measure; the reference and every peer are always among them.

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


def _measured(given: Given) -> dict[str, Any]:
    if given.part in _WITH_WRK:
        require("wrk")
    facts = report.machine() | {
        "run": f"{given.rounds} rounds of {given.seconds:g} s a sample, interleaved; medians",
        "generator": "wrk; own for a fixed rate and for gRPC; its share of a core is the last column",
        "backends": "one process each, gRPC over a Unix socket; the service writes its audit log to a file",
        "envoy": "one worker, access log off, upstream is a direct response, for lists and sessions a server",
    }
    parts = {name: PARTS[name](given) for name in (PARTS if given.part == ALL else [given.part])}
    return report.document(facts | {"load after": f"{os.getloadavg()[0]:.2f}"}, parts)


def _read(given: Given) -> dict[str, Any]:
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
        from bench.plot import write_plot  # noqa: PLC0415 - matplotlib takes a second to import

        write_plot(given.svg, run["parts"]["envoy"]["rows"], run["facts"])


if __name__ == "__main__":
    main()

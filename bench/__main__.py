"""`python -m bench`: what the service costs.

Without a subcommand: behind Envoy, beside a bare gRPC handler, Envoy alone and further peers, in interleaved rounds.
`direct` leaves Envoy out; `core` leaves gRPC out.
"""

import argparse
import os
from pathlib import Path

from bench import core, load, report
from bench.machine import machine
from bench.rounds import Direct, Row, Sample, Through, rounds, rows
from bench.stack import running
from bench.workload import REFERENCE, VARIANTS, Variant

_MODES = ("envoy", "direct", "core")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mode", nargs="?", choices=_MODES, default=_MODES[0])
    parser.add_argument(
        "--seconds", type=float, help="of one sample, default 0.8; of everything for core, default 20"
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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample")
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


def _chosen(names: list[str] | None, peers: dict[str, str], *, envoy: bool) -> list[Variant]:
    """Give the variants to measure; the reference is always among them."""
    known = [*VARIANTS, *(Variant(name=name, backend=name, population="mixed") for name in peers)]
    known = [variant for variant in known if envoy or variant.backend != "alone"]
    missing = set(names or ()) - {variant.name for variant in known}
    if missing:
        choices = ", ".join(variant.name for variant in known)
        msg = f"no variant {', '.join(sorted(missing))}; there are: {choices}"
        raise SystemExit(msg)
    return [variant for variant in known if names is None or variant.name in {*names, *peers, REFERENCE}]


def _measure(given: argparse.Namespace, variants: list[Variant], seconds: float) -> list[Sample]:
    envoy = given.mode == "envoy"
    with running(dict(given.peer), envoy=envoy) as stack:
        measure = Through(stack, seconds) if envoy else Direct(stack, seconds)
        return list(rounds(variants, given.connections, given.rounds, measure))


def _conditions(given: argparse.Namespace, seconds: float) -> dict[str, str]:
    own = "own, gRPC" if given.mode == "direct" else load.generator()
    return {
        "run": f"{given.rounds} rounds of {seconds:g} s a sample, interleaved; medians",
        "generator": f"{own}, one process; its share of a core is the last column",
        "backends": "one process each, gRPC over a Unix socket; the service writes its audit log to a file",
        "envoy": "one worker, access log off, upstream is a direct response",
    }


def main() -> None:
    """Run what the command line asks for."""
    given = _parser().parse_args()
    if given.mode == "core":
        core.run(given.seconds or 20.0)
        return
    seconds = given.seconds or 0.8
    variants = _chosen(given.variant, dict(given.peer), envoy=given.mode == "envoy")
    facts = machine() | _conditions(given, seconds)
    samples = _measure(given, variants, seconds)
    facts["load after"] = f"{os.getloadavg()[0]:.2f}"
    measured: list[Row] = rows(samples)
    report.header(facts)
    report.rates("Behind Envoy" if given.mode == "envoy" else "gRPC without Envoy", measured)
    if given.json is not None:
        report.write_json(given.json, facts, measured, samples)


if __name__ == "__main__":
    main()

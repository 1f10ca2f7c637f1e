"""Breaks everything around the service, and counts its answers: `python -m tests.chaos [--minutes N]`.

A real Envoy, two workers and three servers with different policies answer clients of both eras, while workers are killed
and stopped, the issuer fails, the policy changes, connections break, the audit log's disk is full, the clock is set and
file descriptors run out. Exit status 0 only if no answer was wrong, nothing forbidden reached a server, and every
fault was over within a second of its end.
"""

import argparse
import asyncio
import sys

from tests.chaos.run import run, schedule


def main() -> int:
    """Run and report; give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0, help="how long (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="makes the same questions and faults again")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long a fault lasts")
    parser.add_argument(
        "--fault", action="append", help="only this fault, together with others that are given"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args()
    faults = iter([options.fault]) if options.fault else schedule(options.minutes, options.seed)
    report = asyncio.run(run(faults, seconds=options.seconds, seed=options.seed))
    sys.stdout.write(report.json() + "\n" if options.json else report.table())
    return 0 if report.held else 1


if __name__ == "__main__":
    sys.exit(main())

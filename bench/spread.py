"""`python -m bench.spread`: what several workers serve together where this machine has too few cores to measure it.

A simulation of calls, not of processes: each worker has a core and does one call at a time. What it shows is how evenly
the load comes to them, which depends on who chooses:

* `socket`: each worker has a socket of its own. Every thread of Envoy chooses a worker for each call, the less busy of two
  that it draws (LEAST_REQUEST), by what it has sent there itself.
* `port`: all workers have one port. The kernel chooses a worker for each connection, at random, and a thread of Envoy has
  one connection, so all its calls go to one worker.

Clients send their next call when the last is answered. Calls take as long as `CALLS` says, drawn at random.
"""

import argparse
import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

from bench import report
from bench.samples import Fields
from bench.tables import Column, make_table

WORKERS = (1, 2, 4, 8)
CALLS = ((0.15, 94), (0.3, 5), (4.0, 1))
"""Milliseconds of CPU, and how many calls of a hundred take them: a cached token, a fresh one, a list of 1,000 tools."""
_CLIENTS, _COUNT, _ROUNDS = 32, 20_000, 9
_MS, _WEIGHTS = zip(*CALLS, strict=True)
_COLUMNS = (
    Column("workers", "workers"),
    Column("Envoy's threads", "threads"),
    Column("by", "by"),
    Column("of the ideal", "share", ".2f"),
    Column("low..high", "spread", "spread"),
    Column("p99 ms", "p99", ".1f"),
)


@dataclass
class _Workers:
    """Workers, and who sends them what."""

    count: int
    threads: int
    per_call: bool
    chance: random.Random
    free_at: list[float] = field(init=False)
    sent: list[list[int]] = field(init=False)
    bound: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.free_at = [0.0] * self.count
        self.sent = [[0] * self.count for _ in range(self.threads)]
        self.bound = [self.chance.randrange(self.count) for _ in range(self.threads)]

    def choose(self, thread: int) -> int:
        """Return the worker that gets a thread's next call."""
        if not self.per_call:
            return self.bound[thread]
        drawn = [self.chance.randrange(self.count) for _ in range(2)]
        return min(drawn, key=self.sent[thread].__getitem__)

    def answered_at(self, now: float, worker: int) -> float:
        """Give a worker a call, and return when it is answered."""
        (took,) = self.chance.choices(_MS, _WEIGHTS)
        self.free_at[worker] = max(now, self.free_at[worker]) + took
        return self.free_at[worker]


def simulate(workers: int, threads: int, *, per_call: bool, seed: int, calls: int = _COUNT) -> Fields:
    """Return the rate as a share of what the workers could do, and the 99th percentile of the calls' times."""
    state = _Workers(workers, threads, per_call, random.Random(seed))
    waiting = [(0.0, client, -1, 0.0) for client in range(_CLIENTS * workers)]
    heapq.heapify(waiting)
    times: list[float] = []
    now = 0.0
    while len(times) < calls:
        now, client, worker, began = heapq.heappop(waiting)
        thread = client % threads
        if worker >= 0:
            state.sent[thread][worker] -= 1
            times.append(now - began)
        worker = state.choose(thread)
        state.sent[thread][worker] += 1
        heapq.heappush(waiting, (state.answered_at(now, worker), client, worker, now))
    mean = sum(ms * weight for ms, weight in CALLS) / sum(_WEIGHTS)
    return {"share": len(times) / now * mean / workers, "p99": sorted(times)[int(0.99 * len(times))]}


def rows(rounds: int = _ROUNDS) -> Iterator[Fields]:
    """Simulate every number of workers, each with as many threads in Envoy and with four times as many."""
    for workers in WORKERS:
        for threads in (workers, 4 * workers):
            for by in ("socket", "port"):
                runs = [
                    simulate(workers, threads, per_call=by == "socket", seed=seed) for seed in range(rounds)
                ]
                shares = [run["share"] for run in runs]
                yield {
                    "workers": workers,
                    "threads": threads,
                    "by": by,
                    "share": median(shares),
                    "spread": (min(shares), max(shares)),
                    "p99": median(run["p99"] for run in runs),
                }


def main() -> None:
    """Simulate and print."""
    argparse.ArgumentParser(
        prog="python -m bench.spread",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    facts = {
        "clients": f"{_CLIENTS} for each worker",
        "calls": f"{_COUNT:,} a round, of which {', '.join(f'{weight} % take {ms} ms' for ms, weight in CALLS)}",
        "rounds": f"{_ROUNDS}; medians",
    }
    report.print_tables(facts, [make_table("What several workers serve together", _COLUMNS, rows())])


if __name__ == "__main__":
    main()

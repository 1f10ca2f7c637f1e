"""`python -m bench.workers`: what a second worker brings, in Checks a second, straight over gRPC.

The service runs with one worker and with more in turn, round by round, each worker on a Unix socket of its own. The
load comes from nghttp2's h2load, in C, which sends one ready-made Check over and over: a generator in Python would cost
as much as what it measures. That Check is answered from caches, so a call is as cheap as it can be, and the generator's
share as large as it can be. Rates are the service's own counts, and a sample counts only if every decision in it was
an allow and every request was answered. With `--pin` each worker has one core to itself, which shows what workers take
from each other; the generator runs where there is room.
"""

import argparse
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from authz.config.addresses import worker_addresses
from authz.demo.ports import free_port
from bench import proc, report
from bench.load import METHOD, children_seconds, require
from bench.samples import Fields, summarise
from bench.stack import POLICY, Processes, serve, service_metric, start_issuer
from bench.tables import Column, make_table
from bench.workload import Mint, check_request, population

CONNECTIONS, STREAMS = 16, 4
"""In all; every worker gets its share of the connections."""
_BEFORE_SECONDS, _AFTER_SECONDS = 2, 1
"""How long the load lasts around a sample; h2load takes whole seconds."""
_FIGURES = ("rate", "worker_us", "supervisor_us", "cores", "generator")
_COLUMNS = (
    Column("workers", "workers"),
    Column("Checks/s", "rate", ",.0f"),
    Column("rate / 1 worker", "rate_ratio", ".2f"),
    Column("low..high", "rate_spread", "spread"),
    Column("worker CPU µs", "worker_us", ".0f"),
    Column("supervisor CPU µs", "supervisor_us", ".1f"),
    Column("cores busy", "cores", ".2f"),
    Column("generator cores", "generator", ".2f"),
)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.workers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=int, default=3, help="of one sample (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="each measures both (default 3)")
    parser.add_argument("--workers", type=int, default=2, help="compared with one (default 2)")
    parser.add_argument("--pin", action="store_true", help="give each worker one core to itself")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    given = _arguments()
    require("h2load")
    facts = report.machine()
    rows = summarise(list(_samples(given)), ("workers",), {"workers": 1}, _FIGURES, ("rate",))
    facts |= {"load after": f"{os.getloadavg()[0]:.2f}", "pinned": "one core a worker" if given.pin else "no"}
    title = f"{given.workers} workers beside one, straight over gRPC"
    report.print_tables(facts, [make_table(title, _COLUMNS, rows)])


def _samples(given: argparse.Namespace) -> Iterator[Fields]:
    mint = Mint()
    with Processes(grace=10.0) as processes:
        body = processes.logs / "check.bin"
        message = check_request(population("mixed", mint)[0])
        body.write_bytes(b"\0" + len(message).to_bytes(4) + message)
        keys = start_issuer(processes, mint)
        for number in range(given.rounds):
            for workers in (1, given.workers):
                service = _Workers(processes, keys, workers)
                if given.pin:
                    service.pin()
                yield {"workers": workers, "round": number, **service.sample(body, given.seconds)}
                processes.stop(service.name)


class _Workers:
    """The service with a number of workers."""

    def __init__(self, processes: Processes, keys: str, workers: int) -> None:
        self.workers, self.name = workers, f"authz-{workers}"
        self._processes, self._http = processes, f"127.0.0.1:{free_port()}"
        self._sockets = worker_addresses(f"unix:{processes.logs}/{self.name}.sock", workers)
        flags = ("--workers", str(workers), "--grace", "0")
        keys_of = {"BENCH_JWKS": keys}
        processes.start(serve(self.name, self._sockets[0], self._http, POLICY, keys_of, *flags))

    def sample(self, body: Path, seconds: int) -> Fields:
        """Load every worker and measure in the middle of it."""
        whole = _BEFORE_SECONDS + seconds + _AFTER_SECONDS
        generators = self._generators(body, whole)
        time.sleep(_BEFORE_SECONDS)
        began, used, answered = time.perf_counter(), self._cpu(), self._allowed()
        time.sleep(seconds)
        took, now, more = time.perf_counter() - began, self._cpu(), self._allowed()
        worked = children_seconds()
        sent = sum(_requests(generator.communicate(timeout=60)[0]) for generator in generators)
        if self._allowed() < sent:
            msg = "the service counts fewer decisions than were answered"
            raise RuntimeError(msg)
        calls = more - answered
        supervisor, workers = (after - before for before, after in zip(used, now, strict=True))
        return {
            "rate": calls / took,
            "worker_us": workers / calls * 1e6,
            "supervisor_us": supervisor / calls * 1e6,
            "cores": (workers + supervisor) / took,
            "generator": (children_seconds() - worked) / whole,
        }

    def _generators(self, body: Path, seconds: int) -> list["subprocess.Popen[str]"]:
        each = CONNECTIONS // self.workers
        argv = ["h2load", "-c", str(each), "-m", str(STREAMS), "-D", str(seconds), "-d", str(body)]
        argv += ["-H", "content-type: application/grpc", "-H", "te: trailers", f"http://localhost{METHOD}"]
        return [
            subprocess.Popen([*argv, "--base-uri", socket], stdout=subprocess.PIPE, text=True)
            for socket in self._sockets
        ]

    def pin(self) -> None:
        """Give each worker one core; threads that begin later follow."""
        cores = sorted(os.sched_getaffinity(0))
        for core, pid in zip(cores, self._pids(), strict=False):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {core})

    def _pids(self) -> list[int]:
        """Return the process ids of the workers."""
        if self.workers == 1:
            return [self._processes.pid(self.name)]
        log = self._processes.log(self.name).read_text("utf-8")
        return [int(pid) for pid in re.findall(r'"pid": (\d+), "event": "worker serves"', log)][
            -self.workers :
        ]

    def _cpu(self) -> tuple[float, float]:
        """Return the CPU seconds of the supervisor, 0 if there is none, and of the workers together."""
        supervisor = proc.cpu_seconds(self._processes.pid(self.name)) if self.workers > 1 else 0.0
        return supervisor, sum(map(proc.cpu_seconds, self._pids()))

    def _allowed(self) -> int:
        """Return the number of allows; a denial among the decisions ends the run."""
        counts = service_metric(self._http, "mcp_authz_decisions_total", "decision")
        if counts.get("deny"):
            msg = f"{counts['deny']} Checks were denied"
            raise RuntimeError(msg)
        return counts.get("allow", 0)


def _requests(output: str) -> int:
    """Return how many requests were answered; one that failed ends the run."""
    found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", output)
    if found is None or int(found[2]) or int(found[3]):
        msg = f"h2load reports: {output.strip()[-400:]}"
        raise RuntimeError(msg)
    return int(found[1])


if __name__ == "__main__":
    main()

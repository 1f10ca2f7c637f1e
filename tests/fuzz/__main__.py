"""Garbage for every reader of foreign bytes, guided by coverage: `make fuzz`.

Each target runs in a process of its own, because libFuzzer never returns. The corpus and the inputs that were found
stay in .cache/fuzz, so a second run goes on from what the first reached. An input that breaks an invariant is kept as
.cache/fuzz/found/<target>-<digest>; `python -m tests.fuzz --again FILE` gives it to its target once more.

Where atheris has no build for the platform, the same mutations as in the ordinary suite run on, without guidance.
"""

import argparse
import hashlib
import itertools
import subprocess
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.seeds import MAX_BYTES, mutations
from tests.fuzz.target import Target

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "fuzz"
FOUND = CACHE / "found"
NAMES = ("json", "message", "uri", "list", "sse", "token", "check", "cel", "policy")
_LONGEST = 20
"""Seconds that one input may take."""


def targets() -> dict[str, Target]:
    """Import the targets, and with them the package."""
    return {**import_module("tests.fuzz.wire").TARGETS, **import_module("tests.fuzz.edges").TARGETS}


def guided(name: str, seconds: int) -> None:
    """Run one target under libFuzzer; ends the process."""
    import atheris  # noqa: PLC0415 - has no build for every platform

    with atheris.instrument_imports(include=["authz"]):
        target = targets()[name]
    corpus, seeds = CACHE / "corpus" / name, CACHE / "seeds" / name
    for folder in (corpus, seeds, FOUND):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (seeds / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={MAX_BYTES}",
        f"-timeout={_LONGEST}",
        f"-artifact_prefix={FOUND}/{name}-",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus), str(seeds)], target.check)
    atheris.Fuzz()


def unguided(name: str, seconds: int) -> None:
    """Run one target on mutations of its seeds."""
    target, end = targets()[name], time.monotonic() + seconds
    seeds, start = target.seeds(), time.time_ns()
    for count, data in enumerate(
        itertools.chain.from_iterable(mutations(seeds, 1000, start + n) for n in itertools.count())
    ):
        if time.monotonic() > end:
            say(f"{count} inputs")
            return
        try:
            target.check(data)
        except Exception:
            FOUND.mkdir(parents=True, exist_ok=True)
            (FOUND / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)
            raise


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the targets one after another; status 1 when an invariant was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=main.__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together")
    parser.add_argument("--target", choices=NAMES, action="append", help="all by default")
    parser.add_argument("--again", type=Path, metavar="FILE", help="one input that was found")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.again:
        targets()[options.again.name.partition("-")[0]].check(options.again.read_bytes())
        return 0
    names = options.target or NAMES
    if options.here:
        (guided if find_spec("atheris") else unguided)(names[0], options.seconds)
        return 0
    broken = [name for name in names if not _holds(name, max(1, options.seconds // len(names)))]
    say(f"broken: {', '.join(broken)}; see {FOUND}" if broken else "every invariant held")
    return min(len(broken), 1)


def _holds(name: str, seconds: int) -> bool:
    say(f"\n== {name}: {seconds} s")
    command = [sys.executable, "-m", "tests.fuzz", "--here", "--target", name, "--seconds", str(seconds)]
    return subprocess.run(command, cwd=ROOT, check=False, timeout=seconds * 3 + 300).returncode == 0


if __name__ == "__main__":
    sys.exit(main())

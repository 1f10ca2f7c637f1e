"""Mutants of the security modules, and what their tests say: `make mutants`.

For each module the tests must first pass as it is. Then each mutant runs against the same tests, and is killed when one
of them fails. What is known of a version of a module stays in .cache/mutants, so a second run goes on where the first was
stopped; when tests have changed, only the survivors are tried again. A survivor that no test can kill is named in equivalent.toml, with the reason.

Own code and no library: mutmut mutates neither decorated functions nor tables of a module, where most of this core's
rules are; cosmic-ray writes into the work tree and starts a Python for each mutant, four times the cost of its tests.
"""

import argparse
import ast
import hashlib
import json
import os
import random
import resource
import signal
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.mutants.mutations import Mutant, mutants
from tests.mutants.targets import SECURITY, answering
from tests.mutants.trial import begin, prepare

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "mutants"
EQUIVALENT = Path(__file__).with_name("equivalent.toml")


def digest(*paths: str) -> str:
    """Return what tells versions of some files apart."""
    return hashlib.sha256(b"".join((ROOT / path).read_bytes() for path in paths)).hexdigest()[:16]


@dataclass(slots=True)
class Module:
    """One module under trial: its tree, its mutants, and what became of them by name."""

    path: str
    tests: tuple[str, ...]
    version: str
    tree: ast.Module
    mutants: list[Mutant]
    file: Path
    fates: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def read(cls, path: str, *, again: bool) -> "Module":
        """Read a module and what is known of its mutants, unless all is to be tried again."""
        tests = answering(path, ROOT)
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        file = CACHE / f"{path.replace('/', '.')}.{digest(path)}.json"
        module = cls(path, tests, digest(*tests), tree, mutants(tree), file)
        if file.exists() and not again:
            known = json.loads(file.read_text("utf-8"))
            same = known["tests"] == module.version
            module.fates = {name: what for name, what in known["fates"].items() if same or what != "survived"}
        return module

    def keep(self) -> None:
        """Write down what is known."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        known = {"tests": self.version, "fates": self.fates}
        self.file.write_text(json.dumps(known, ensure_ascii=False, indent=1), "utf-8")


def passes(module: Module) -> bool:
    """Run the tests under the module as it is, and note what they cost."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    child = begin(ROOT, module.path, module.tree, module.tests, 300)
    _, status = os.waitpid(child, 0)
    module.seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    return status == 0


def fate(status: int) -> str:
    """Return what a trial's exit status says."""
    if os.WIFSIGNALED(status):
        return (
            "timeout" if os.WTERMSIG(status) in {signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL} else "killed"
        )
    code = os.waitstatus_to_exitcode(status)
    return "survived" if code == 0 else "killed"


def begin_mutant(module: Module, mutant: Mutant) -> int:
    """Begin the trial of a mutant; the fault is planted in the forked process's own copy of the tree."""
    child = os.fork()
    if child:
        return child
    mutant.plant()
    trial = begin(ROOT, module.path, module.tree, module.tests, module.seconds * 4 + 4)
    _, status = os.waitpid(trial, 0)
    os._exit({"survived": 0, "killed": 1, "timeout": 2}[fate(status)])


def run(module: Module, jobs: int) -> None:
    """Try every mutant whose fate is not known."""
    waiting = [mutant for mutant in module.mutants if mutant.name not in module.fates]
    random.Random(1).shuffle(waiting)
    running: dict[int, Mutant] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            running[begin_mutant(module, mutant)] = mutant
        child, status = os.wait()
        mutant = running.pop(child)
        module.fates[mutant.name] = ("survived", "killed", "timeout")[os.waitstatus_to_exitcode(status)]
        if len(running) == 0 or len(module.fates) % 10 == 0:
            module.keep()


def survivors(module: Module, equivalent: dict[str, str]) -> Iterator[Mutant]:
    """Return the mutants that no test noticed and that are not known to be the same program."""
    for mutant in module.mutants:
        if module.fates.get(mutant.name) == "survived" and mutant.name not in equivalent:
            yield mutant


def row(module: Module, equivalent: dict[str, str]) -> str:
    """Return a module's line of the table."""
    counts = Counter(module.fates.get(mutant.name, "untried") for mutant in module.mutants)
    same = sum(module.fates.get(name) == "survived" for name in equivalent)
    figures = (len(module.mutants), counts["killed"] + counts["timeout"], counts["survived"] - same, same)
    return f"| {module.path} | " + " | ".join(map(str, figures)) + " |"


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Try the modules that are asked for; status 1 when a mutant survives that is not named as equivalent."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=main.__doc__)
    parser.add_argument("modules", nargs="*", default=SECURITY, help="paths; all security modules by default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--again", action="store_true", help="forget what is known")
    options = parser.parse_args()
    known = tomllib.loads(EQUIVALENT.read_text("utf-8"))
    prepare()
    table, left = [], 0
    for path in options.modules:
        module = Module.read(path, again=options.again)
        if not passes(module):
            sys.exit(f"the tests of {path} fail without any fault: {' '.join(module.tests)}")
        run(module, options.jobs)
        equivalent = known.get(path, {})
        for mutant in survivors(module, equivalent):
            left += 1
            say(f"{path}:{mutant.line}: {mutant.name}")
        for name in equivalent.keys() - {mutant.name for mutant in module.mutants}:
            left += 1
            say(f"{EQUIVALENT.name}: {path}: no such mutant any more: {name}")
        table.append(row(module, equivalent))
    say("\n| module | mutants | killed | survived | equivalent |\n|---|---|---|---|---|")
    say("\n".join(table))
    return min(left, 1)


if __name__ == "__main__":
    sys.exit(main())

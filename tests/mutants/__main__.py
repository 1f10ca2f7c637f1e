"""Mutants of the security modules, and what their tests say: `make mutants`.

For each module the tests must first pass as it is. Then each mutant runs against the same tests, and is killed when one
of them fails. What is known of a version of a module stays in .cache/mutants, so a second run goes on where the first was
stopped; when tests have changed, only the survivors are tried again. A survivor that no test can kill is named in equivalent.toml, with the reason,
and is tried once for each version of its module.

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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.mutants.mutations import Mutant, mutants
from tests.mutants.swap import swapped
from tests.mutants.targets import SECURITY, answering
from tests.mutants.trial import begin, begin_collected, dotted, forked, prepare

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
    equivalent: dict[str, str]
    file: Path
    fates: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def read(cls, path: str, equivalent: dict[str, str], *, again: bool) -> "Module":
        """Read a module and what is known of its mutants, unless all is to be tried again."""
        tests = answering(path, ROOT)
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        file = CACHE / f"{path.replace('/', '.')}.{digest(path)}.json"
        module = cls(path, tests, digest(*tests), tree, mutants(tree), equivalent, file)
        if again:
            file.unlink(missing_ok=True)
        module.recall()
        return module

    def recall(self) -> None:
        """Take up what was written down."""
        if self.file.exists():
            known = json.loads(self.file.read_text("utf-8"))
            same = known["tests"] == self.version
            self.fates = {
                name: what
                for name, what in known["fates"].items()
                if same or what != "survived" or name in self.equivalent
            }

    def keep(self) -> None:
        """Write down what is known."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        known = {"tests": self.version, "fates": self.fates}
        whole = self.file.with_suffix(".new")
        whole.write_text(json.dumps(known, ensure_ascii=False, indent=1), "utf-8")
        whole.replace(self.file)


def passes(module: Module) -> bool:
    """Run the tests under the module as it is, and note what they cost."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    child = begin(ROOT, module.path, module.tree, module.tests, 300)
    _, status = os.waitpid(child, 0)
    module.seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    return status == 0


FATES = ("survived", "killed", "timeout")


def fate(status: int) -> str:
    """Return what a trial's exit status says."""
    if os.WIFSIGNALED(status):
        return (
            "timeout" if os.WTERMSIG(status) in {signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL} else "killed"
        )
    code = os.waitstatus_to_exitcode(status)
    return "survived" if code == 0 else "killed"


_UNTRIED = 3
"""Exit status of a trial that could not be made."""


def limit(module: Module) -> float:
    """Return how many CPU seconds a trial may take."""
    return module.seconds * 4 + 4


def begin_imported(module: Module, mutant: Mutant) -> int:
    """Begin a trial with an import of its own; the fault is planted in the forked process's copy of the tree.

    The module's own tests come first: what they kill costs no import of the others and of what those need.
    """

    def work() -> int:
        mutant.plant()
        what = "survived"
        for tests in filter(None, (module.tests[:1], module.tests[1:])):
            trial = begin(ROOT, module.path, module.tree, tests, limit(module))
            what = fate(os.waitpid(trial, 0)[1])
            if what != "survived":
                break
        return FATES.index(what)

    return forked(work)


def begin_swapped(module: Module, mutant: Mutant, tests: Callable[[float], int]) -> int:
    """Begin a trial of a fault inside a function, in a process that has collected the tests."""

    def work() -> int:
        if not swapped(dotted(module.path), ROOT / module.path, module.tree, mutant.plant):
            return _UNTRIED
        trial = forked(lambda: tests(limit(module)))
        what = fate(os.waitpid(trial, 0)[1])
        return _UNTRIED if what == "survived" else FATES.index(what)

    return forked(work)


def run(module: Module, jobs: int, begin_trial: Callable[[Mutant], int]) -> None:
    """Try every mutant whose fate is not known."""
    waiting = [mutant for mutant in module.mutants if mutant.name not in module.fates]
    random.Random(1).shuffle(waiting)
    running: dict[int, Mutant] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            running[begin_trial(mutant)] = mutant
        child, status = os.wait()
        mutant, code = running.pop(child), os.waitstatus_to_exitcode(status)
        if code in range(len(FATES)):
            module.fates[mutant.name] = FATES[code]
        if not running or len(module.fates) % 10 == 0:
            module.keep()


def run_all(module: Module, jobs: int) -> None:
    """Try the mutants the quick way, then those that are left with an import of their own."""

    def quickly(tests: Callable[[float], int]) -> None:
        run(module, jobs, lambda mutant: begin_swapped(module, mutant, tests))

    os.waitpid(begin_collected(ROOT, module.tests, quickly), 0)
    module.recall()
    run(module, jobs, lambda mutant: begin_imported(module, mutant))


def survivors(module: Module) -> Iterator[Mutant]:
    """Return the mutants that no test noticed and that are not known to be the same program."""
    for mutant in module.mutants:
        if module.fates.get(mutant.name) == "survived" and mutant.name not in module.equivalent:
            yield mutant


def row(module: Module) -> str:
    """Return a module's line of the table."""
    counts = Counter(module.fates.get(mutant.name, "untried") for mutant in module.mutants)
    same = sum(module.fates.get(name) == "survived" for name in module.equivalent)
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
        module = Module.read(path, known.get(path, {}), again=options.again)
        if not passes(module):
            sys.exit(f"the tests of {path} fail without any fault: {' '.join(module.tests)}")
        run_all(module, options.jobs)
        for mutant in survivors(module):
            left += 1
            say(f"{path}:{mutant.line}: {mutant.name}")
        for name in module.equivalent.keys() - {mutant.name for mutant in module.mutants}:
            left += 1
            say(f"{EQUIVALENT.name}: {path}: no such mutant any more: {name}")
        table.append(row(module))
    say("\n| module | mutants | killed | survived | equivalent |\n|---|---|---|---|---|")
    say("\n".join(table))
    return min(left, 1)


if __name__ == "__main__":
    sys.exit(main())

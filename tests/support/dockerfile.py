"""A Dockerfile's steps, carried out in a directory instead of an image.

Rules of this module:

* What is understood is what the project's Dockerfile has; anything else is an error and not skipped.
* A stage's files live under one root. Absolute paths of the steps below `_MOVED` are moved there; the base image is
  the interpreter that runs the tests, so its version may be another than the image's.
* COPY takes what `.dockerignore` lets through, and nothing else.
* What a lock file decides is had from the index once a checkout: the environment `_TOOLS`, by the step that makes it, and
  the wheels of the service, which pip then finds in a directory and checks against the lock file as it would any other.
"""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.installed import installed

_TOOLS = "/opt/tools"
_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
_MOVED = ("/opt", "/src", "/dist")
"""Directories that the steps make; everything else is the base image's."""


@dataclass(frozen=True)
class Step:
    """One instruction: its word in capitals, and the rest of it on one line."""

    word: str
    rest: str

    def words(self) -> list[str]:
        """The rest in exec form (a JSON list), else its words without flags."""
        if self.rest.startswith("["):
            return json.loads(self.rest)
        return [word for word in self.rest.split() if not word.startswith("--")]

    def flag(self, name: str) -> str:
        """The value of `--name=value`, empty without one."""
        found = re.search(rf"--{name}=(\S+)", self.rest)
        return found[1] if found else ""


@dataclass
class Stage:
    """A build stage: what it begins from, and its steps."""

    name: str
    base: str
    steps: list[Step] = field(default_factory=list)


def read(text: str) -> dict[str, Stage]:
    """Stages by name, in order; steps before the first FROM are not in any."""
    stages: dict[str, Stage] = {}
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = "\n".join(lines).replace("\\\n", " ")
    for line in filter(None, map(str.strip, joined.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages[name] = Stage(name, base)
        elif stages:
            stages[next(reversed(stages))].steps.append(Step(word, " ".join(rest.split())))
    return stages


def steps(stages: dict[str, Stage], name: str) -> list[Step]:
    """All steps of a stage, those of the stages it begins from first."""
    stage = stages.get(name)
    return [*steps(stages, stage.base), *stage.steps] if stage else []


def last(stages: dict[str, Stage], name: str, word: str) -> Step:
    """The step of a kind that counts: the last one."""
    return [step for step in steps(stages, name) if step.word == word][-1]


def _ignored(path: str, patterns: list[str]) -> bool:
    """Whether `.dockerignore` keeps a file out; the last pattern that matches the file or a parent decides."""
    ignored = False
    for pattern in patterns:
        bare = pattern.lstrip("!").rstrip("/").removeprefix("**/")
        parts = path.split("/")
        whole = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        candidates = parts if "**/" in pattern else whole
        if any(fnmatch.fnmatchcase(candidate, bare) for candidate in candidates):
            ignored = not pattern.startswith("!")
    return ignored


def context(root: Path) -> list[str]:
    """The files of a directory that a build would be sent, relative to it."""
    lines = (root / ".dockerignore").read_text("utf-8").splitlines()
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for path in listed.stdout.splitlines() if not _ignored(path, patterns)]


@dataclass
class Build:
    """Carries out stages under `root`; every stage sees the files of those before it."""

    source: Path
    root: Path
    done: list[str] = field(default_factory=list)
    cwd: Path = Path("/")
    arguments: dict[str, str] = field(default_factory=dict)
    from_wheels: dict[str, str] = field(default_factory=dict)

    def stage(self, stages: dict[str, Stage], name: str) -> None:
        """Carry out a stage, and first what it begins from."""
        if name not in stages or name in self.done:
            return
        self.stage(stages, stages[name].base)
        self.done.append(name)
        for step in stages[name].steps:
            _CARRY_OUT[step.word](self, step)

    def inside(self, path: str) -> Path:
        """Where a path of the image is."""
        return Path(self.moved(path))

    def moved(self, text: str) -> str:
        """A text with its absolute paths moved under the root."""
        return re.sub(rf"(?<![\w.-])({'|'.join(_MOVED)})(?=/|\s|$)", lambda m: f"{self.root}{m[1]}", text)

    def run(self, step: Step) -> None:
        """RUN, by a shell that stops at the first error."""
        if step.rest.startswith(f"python3 -m venv {_TOOLS} "):
            self._have_tools(step)
            self._have_wheels()
        else:
            self._shell(self.moved(step.rest))

    def _have_tools(self, step: Step) -> None:
        # It reads a grammar for three seconds at each start, to say of an IRI whether it is one.
        make = f"{step.rest} && {_TOOLS}/bin/pip uninstall --yes rfc3987-syntax"
        self._have(_TOOLS, "build.txt", lambda place: self._shell(make.replace(_TOOLS, place)))

    def _have_wheels(self) -> None:
        pip = f"{_TOOLS}/bin/pip download --only-binary :all: --require-hashes --no-deps"
        lock = "serve.txt"
        download = self.moved(f"{pip} -r requirements/{lock} --dest ")
        self._have("/dist/wheels", lock, lambda place: self._shell(download + place))
        self.from_wheels = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": self.moved("/dist/wheels")}

    def _have(self, path: str, lock: str, fill: Callable[[str], None]) -> None:
        """Let a path lead to what was installed for a lock file; `fill` is given a directory, quoted."""
        files = [self.source / "Dockerfile", self.source / "requirements" / lock]
        name = f"image-{Path(path).name}-{_PYTHON}"
        place = installed(name, files, lambda place: fill(shlex.quote(str(place))))
        inside = self.inside(path)
        inside.parent.mkdir(parents=True, exist_ok=True)
        inside.symlink_to(place, target_is_directory=True)

    def _shell(self, command: str) -> None:
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHON"))
        }
        environment["PATH"] = f"{Path(sys.executable).resolve().parent}:{environment['PATH']}"
        environment |= self.arguments | self.from_wheels
        environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_COMPILE": "1"}  # both only save time
        done = subprocess.run(
            ["sh", "-ec", command],
            cwd=self.cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            msg = f"{command}\n{done.stdout}\n{done.stderr}"
            raise StepError(msg)

    def copy(self, step: Step) -> None:
        """COPY, from the context."""
        assert not step.flag("from"), "stages share their files here"
        *sources, target = step.words()
        for source in sources:
            found = [
                path
                for path in context(self.source)
                if path == source or path.startswith(source.rstrip("/") + "/")
            ]
            assert found, f"nothing to copy: {source}"
            for path in found:
                inside = path.removeprefix(source) if source.endswith("/") else Path(path).name
                destination = self.cwd / target / inside
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.source / path, destination)

    def argument(self, step: Step) -> None:
        """ARG, with its default."""
        name, _, default = step.rest.partition("=")
        self.arguments[name] = default

    def workdir(self, step: Step) -> None:
        """WORKDIR."""
        self.cwd = self.inside(step.rest)
        self.cwd.mkdir(parents=True, exist_ok=True)


class StepError(Exception):
    """A RUN that ended with an error: the command and what it printed."""


_CARRY_OUT = {
    "ARG": Build.argument,
    "RUN": Build.run,
    "COPY": Build.copy,
    "WORKDIR": Build.workdir,
    "ENV": lambda build, step: None,
}

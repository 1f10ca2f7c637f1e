"""Node and the npm packages of tests/node, for tests that drive clients and tools written in JavaScript."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.support.installed import ROOT, NotInstalledError, installed, run
from tests.support.waiting import DEADLINE

_PACKAGES = ROOT / "tests" / "node"
_FILES = [_PACKAGES / "package.json", _PACKAGES / "package-lock.json"]
_OLDEST = (22, 19)
"""What the conformance suite and the newest Inspector need."""


@dataclass(frozen=True)
class Node:
    """An installed Node and its packages.

    Attributes:
        binary: the program.
        modules: the `node_modules` directory.
    """

    binary: Path
    modules: Path

    def command(self, script: str | Path, *arguments: str) -> list[str]:
        """Write the command that runs a script, a path below `modules` or an absolute one."""
        return [str(self.binary), str(self.modules / script), *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        """Give the variables for it: this Node first on the path, and no proxy in the way."""
        path = f"{self.binary.parent}{os.pathsep}{os.environ['PATH']}"
        return {**_without_proxies(), "PATH": path, **more}

    def run(
        self, command: Sequence[str], *, seconds: float, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of `command` to its end."""
        return run_to_end(command, seconds=seconds, env=self.environment(**(env or {})))


def run_to_end(
    command: Sequence[str | Path], *, seconds: float, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a program that takes no input, with these variables on top of the usual ones, without proxies."""
    return subprocess.run(
        command,
        env={**_without_proxies(), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def _without_proxies() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}


@cache
def find_node() -> Node:
    """Install the packages when they are not, and give a Node that is new enough.

    Raises:
        NotInstalledError: they cannot be had here.
    """
    modules = installed("node", _FILES, _install) / "node_modules"
    here = [*modules.glob("node-*/bin/node"), *map(Path, filter(None, [shutil.which("node")]))]
    for binary in here:
        if _version(binary) >= _OLDEST:
            return Node(binary, modules)
    msg = f"no Node of at least {_OLDEST[0]}.{_OLDEST[1]}"
    raise NotInstalledError(msg)


def node_or_skip() -> Node:
    """Give Node, or skip the test with the reason."""
    try:
        return find_node()
    except NotInstalledError as reason:
        pytest.skip(f"needs npm and its registry, for the packages of tests/node: {reason}")


def _install(place: Path) -> None:
    for file in _FILES:
        shutil.copy(file, place)
    quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
    # No package's own script runs, and a registry that is not there is soon given up.
    bounds = ["--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=60000"]
    run(["npm", "ci", *quiet, *bounds], place)


def _version(binary: Path) -> tuple[int, ...]:
    try:
        said = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=DEADLINE, check=False
        )
    except OSError:
        return ()
    return tuple(map(int, re.findall(r"\d+", said.stdout)))

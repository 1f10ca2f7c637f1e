"""Virtual environments beside the project's own, for Python packages that cannot or should not live in it."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.support.installed import ROOT, installed, run

_CLIENTS = ROOT / "tests" / "clients"


def interpreter(name: str) -> Path:
    """Give the interpreter of an environment with the packages of `tests/clients/NAME.txt`, made when it is not there.

    Raises:
        NotInstalledError: they cannot be had here.
    """
    requirements = _CLIENTS / f"{name}.txt"
    here = f"{name}-python{sys.version_info.major}.{sys.version_info.minor}"
    return installed(here, [requirements], partial(_install, requirements)) / "bin" / "python"


def environment(name: str) -> Callable[[], Path]:
    """Give a function that gives the interpreter, for a table."""
    return partial(interpreter, name)


def _install(requirements: Path, place: Path) -> None:
    run([sys.executable, "-m", "venv", "--without-pip", str(place)], place)
    # Our own pip, because a second one takes as long as the packages do; what is imported is compiled when it is.
    pip = [sys.executable, "-m", "pip", "--python", place / "bin" / "python", "install"]
    quiet = ["--quiet", "--disable-pip-version-check", "--retries=1", "--no-compile"]
    run([*pip, *quiet, "--require-hashes", "-r", requirements], place)

"""The Python SDK 1.x in a virtual environment of its own, because it cannot live beside 2.x."""

import sys
from functools import cache
from pathlib import Path

import pytest

from tests.support.installed import ROOT, NotInstalledError, installed, run

_REQUIREMENTS = ROOT / "tests" / "clients" / "mcp-1.txt"


@cache
def _find() -> Path:
    """Install it when it is not, and give its interpreter."""
    here = f"mcp-1-python{sys.version_info.major}.{sys.version_info.minor}"
    return installed(here, [_REQUIREMENTS], _install) / "bin" / "python"


def python_1_or_skip() -> Path:
    """Give the interpreter, or skip the test with the reason."""
    try:
        return _find()
    except NotInstalledError as reason:
        pytest.skip(f"needs a package index, for tests/clients/mcp-1.txt: {reason}")


def _install(place: Path) -> None:
    run([sys.executable, "-m", "venv", str(place)], place)
    quiet = ["--quiet", "--disable-pip-version-check", "--retries=1"]
    run([place / "bin" / "pip", "install", *quiet, "--require-hashes", "-r", _REQUIREMENTS], place)

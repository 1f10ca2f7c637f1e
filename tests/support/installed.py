"""What tests install for themselves from a registry: once a checkout and lock file, into an ignored folder.

Several workers of pytest may ask at once: one installs, the others wait for its lock. A failure is remembered for a
while, so that a machine without a registry waits for it once and not in every test.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
_CACHE = ROOT / ".cache"
_SECONDS = 300
_REMEMBERED_SECONDS = 600
_COMPLETE = "complete"


class NotInstalledError(RuntimeError):
    """Something cannot be had here; the text says why, in one line."""


def installed(name: str, files: Iterable[Path], install: Callable[[Path], None]) -> Path:
    """Give the directory that `install` filled.

    Args:
        name: what is installed, a file name.
        files: what decides about its content, the lock file among them.
        install: fills an empty directory, or raises `NotInstalledError`.

    Raises:
        NotInstalledError: it could not be installed.
    """
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]
    place, failure = _CACHE / f"{name}-{digest}", _CACHE / f"{name}-{digest}.failed"
    _CACHE.mkdir(exist_ok=True)
    with (_CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / _COMPLETE).exists():
            _refuse_again(failure)
            try:
                _fill(name, place, install)
            except NotInstalledError as error:
                failure.write_text(str(error), encoding="utf-8")
                raise
    return place


def _refuse_again(failure: Path) -> None:
    if failure.exists() and time.time() - failure.stat().st_mtime < _REMEMBERED_SECONDS:
        raise NotInstalledError(failure.read_text(encoding="utf-8"))


def _fill(name: str, place: Path, install: Callable[[Path], None]) -> None:
    for older in _CACHE.glob(f"{name}-*"):
        shutil.rmtree(older, ignore_errors=True)
    place.mkdir()
    sys.stderr.write(f"installing {name} into {_CACHE.name}, once …\n")
    install(place)
    (place / _COMPLETE).touch()


def run(command: Sequence[str | Path], directory: Path, seconds: float = _SECONDS) -> None:
    """Run an installer in a directory, for some minutes at most.

    Raises:
        NotInstalledError: it is not there, failed, or did not end.
    """
    what = Path(command[0]).name
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=seconds, check=False
        )
    except FileNotFoundError:
        msg = f"there is no {what}"
        raise NotInstalledError(msg) from None
    except subprocess.TimeoutExpired:
        msg = f"{what} did not end within {seconds:g} s"
        raise NotInstalledError(msg) from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        msg = f"{what} failed: {lines[0] if lines else done.returncode}"
        raise NotInstalledError(msg)

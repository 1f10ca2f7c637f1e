"""The files that belong to the repository: what git tracks, and not what happens to lie beside it."""

import subprocess
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
_KNOWN = ("authz", "bench", "docs", "envoy", "k8s", "protos", "requirements", "schema", "tests")
"""Where files are looked for in a tree without git, such as an unpacked archive."""
_MADE = frozenset({"__pycache__", "node_modules", "results"})


@cache
def _tracked() -> tuple[str, ...]:
    listing = ["git", "ls-files", "-z"]
    try:
        done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return tuple(_found())
    listed = tuple(name for name in sorted(done.stdout.split("\0")) if name and (ROOT / name).is_file())
    return listed or tuple(_found())  # nothing is tracked where an archive lies in another repository


def _found() -> list[str]:
    top = [path for path in ROOT.iterdir() if path.is_file()]
    below = [path for folder in _KNOWN for path in (ROOT / folder).rglob("*") if path.is_file()]
    kept = [path.relative_to(ROOT) for path in (*top, *below) if _MADE.isdisjoint(path.parts)]
    return sorted(path.as_posix() for path in kept)


def tracked(*patterns: str) -> list[Path]:
    """Return the repository's files of which one of the patterns is true, in order.

    Args:
        patterns: relative to the repository's root, as `PurePath.match` reads them, with a leading `folder/**/` for
            any depth: `docs/*.md`, `k8s/**/*.yaml`, `**/*.yaml`.
    """
    return [ROOT / name for name in _tracked() if any(_fits(PurePosixPath(name), each) for each in patterns)]


def _fits(name: PurePosixPath, pattern: str) -> bool:
    folder, deep, last = pattern.rpartition("**/")
    if deep:
        return name.as_posix().startswith(folder) and name.match(last)
    return len(name.parts) == pattern.count("/") + 1 and name.match(pattern)

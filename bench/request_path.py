"""`python -m bench.request_path`: how much code a reader of the request path has to know.

Two figures: how many modules of `authz` the handler of ext_authz imports, directly or through other modules of `authz`
(read from the source, imports inside functions and for typing included), and in how many files of `authz` an allowed
tools/call whose token is cached executes code (by a trace of one Check).
"""

import ast
import asyncio
import contextlib
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path
from types import FrameType
from typing import Any

from envoy.service.auth.v3 import external_auth_pb2

import authz
from bench.stages import NO_CALL, checker
from bench.workload import FULL, Mint, check_request, http_request

HANDLER = "authz.edge.envoy.ext_authz"
_ROOT = Path(authz.__file__).parent
_pb: Any = external_auth_pb2


def import_closure(module: str = HANDLER) -> set[str]:
    """Return the modules of `authz` that a module imports, directly or not, with itself and without bare packages."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = _file(name)
        if name not in found and file is not None:
            found.add(name)
            waiting.extend(_imported(name, file))
    return {name for name in found if not _is_empty(name)}


def _file(name: str) -> Path | None:
    """Return the source of a module of `authz`, or None if the name is something else."""
    first, *rest = name.split(".")
    if first != "authz":
        return None
    place = _ROOT.joinpath(*rest)
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


def _is_empty(name: str) -> bool:
    """Whether a module is a package that defines nothing, which a reader need not open."""
    file = _file(name)
    assert file is not None
    statements = ast.parse(file.read_text("utf-8")).body
    return file.name == "__init__.py" and not any(hasattr(each, "body") for each in statements)


def _imported(name: str, file: Path) -> Iterator[str]:
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            names = [source, *(f"{source}.{alias.name}" for alias in node.names)]
        else:
            continue
        for imported in names:
            yield from _with_packages(imported)


def _with_packages(name: str) -> list[str]:
    """Return a module and the packages that are imported with it."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def executed_files() -> set[str]:
    """Return the files of `authz` in which an allowed tools/call with a cached token executes code.

    Raises:
        RuntimeError: the call was denied.
    """
    mint = Mint()
    message = check_request(http_request(1, "echo", {"text": "hello"}, mint.token("path", 1, FULL)))
    with checker(mint) as service:
        for _ in range(2):  # the first verifies the token and fills the caches
            asyncio.run(service.check(message, NO_CALL))
        with _traced() as names:
            answer = asyncio.run(service.check(message, NO_CALL))
    if _pb.CheckResponse.FromString(answer).status.code:
        msg = "the call that is traced must be allowed"
        raise RuntimeError(msg)
    files = filter(None, map(_file, names))
    return {str(file.relative_to(_ROOT.parent)) for file in files}


@contextlib.contextmanager
def _traced() -> Iterator[set[str]]:
    """Collect the modules whose functions this thread calls.

    A frame's globals name its module; its file would miss what dataclasses generate from source in the module.
    """
    names: set[str] = set()

    def called(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            names.add(frame.f_globals.get("__name__", ""))

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        yield names
    finally:
        sys.setprofile(before)


def main() -> None:
    """Print both figures and what they count."""
    for title, names in (
        (f"modules that {HANDLER} imports", import_closure()),
        ("files that an allowed, cached tools/call runs through", executed_files()),
    ):
        print(f"{len(names)} {title}", *sorted(names), "", sep="\n  ")


if __name__ == "__main__":
    main()

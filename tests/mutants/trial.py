"""One mutant against the tests of its module, in a process of its own.

The process is forked from one that has imported the libraries and nothing of the package, so it costs little more than
the tests. The package's module is read from the mutated tree; no file is written. Time is limited in CPU seconds, so a
busy machine fails no trial; a much longer limit in wall time ends one that waits for something.
"""

import ast
import importlib
import importlib.abc
import importlib.machinery
import os
import resource
import signal
import sys
import traceback
import types
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import settings

_LIBRARIES = (
    "cel_expr_python", "celpy",  "envoy.service.auth.v3.external_auth_pb2",
    "envoy.service.ext_proc.v3.external_processor_pb2", "google.protobuf.struct_pb2", "grpc", "httpx", "hypothesis.strategies", "jwt", "msgspec",
    "pydantic", "structlog", "yaml",
)  # fmt: skip
_OPTIONS = (
    "-q",
    "-x",
    "--assert=plain",
    "--hypothesis-profile=mutants",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
)
_MEMORY = 4 * 1024**3


def prepare() -> None:
    """Import what every trial needs, and make generated inputs the same in each."""
    for name in _LIBRARIES:
        importlib.import_module(name)
    settings.register_profile("mutants", derandomize=True, database=None, deadline=None, max_examples=25)
    _keep_keys(4)


def _keep_keys(count: int) -> None:
    """Generate some keys of the usual size, which every trial then takes instead of its own: each costs a trial's time."""
    usual = {"public_exponent": 65537, "key_size": 2048}
    kept = [rsa.generate_private_key(**usual) for _ in range(count)]
    generate = rsa.generate_private_key

    def take(**asked: int) -> rsa.RSAPrivateKey:
        return kept.pop() if kept and asked == usual else generate(**asked)

    rsa.generate_private_key = take


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a tree instead of its file."""

    def __init__(self, name: str, file: Path, tree: ast.Module) -> None:
        self._name, self._file, self._tree = name, file, tree

    def find_spec(
        self, fullname: str, _path: object, _target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=str(self._file))

    def exec_module(self, module: types.ModuleType) -> None:
        module.__file__ = str(self._file)
        exec(compile(self._tree, str(self._file), "exec"), module.__dict__)


def begin(root: Path, module: str, tree: ast.Module, tests: Sequence[str], seconds: float) -> int:
    """Fork a process that runs the tests under the tree, and return its id; it ends 0 when all of them pass."""

    def work() -> int:
        _quiet(root)
        _confine(seconds)
        sys.meta_path.insert(0, _Mutated(dotted(module), root / module, tree))
        return int(pytest.main([*_OPTIONS, *tests], plugins=[_QuickFirst()]))

    return forked(work)


def begin_collected(root: Path, tests: Sequence[str], use: Callable[[Callable[[float], int]], None]) -> int:
    """Fork a process that collects the tests and calls `use` with a function that runs them, in at most so many seconds."""

    def work() -> int:
        _quiet(root)
        return int(pytest.main([*_OPTIONS, "--capture=no", *tests], plugins=[_Loop(use)]))

    return forked(work)


class _QuickFirst:
    """Runs the tests of fixed examples first: nearly every fault is noticed by one of them."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: hasattr(getattr(item, "obj", None), "hypothesis"))


class _Loop(_QuickFirst):
    """Hands the collected tests over instead of running them."""

    def __init__(self, use: Callable[[Callable[[float], int]], None]) -> None:
        self._use = use

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        def run(seconds: float) -> int:
            _confine(seconds)
            for item, following in zip(session.items, [*session.items[1:], None], strict=True):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if session.testsfailed:
                    return 1
            return 0

        self._use(run)
        return True


def dotted(module: str) -> str:
    """Return the name by which a file of the package is imported."""
    return module.removesuffix(".py").replace("/", ".")


def forked(work: Callable[[], int]) -> int:
    """Do some work in a process of its own, which ends with what it returns."""
    child = os.fork()
    if child:
        return child
    try:
        os._exit(work())
    except BaseException:  # noqa: BLE001 - a process that was forked must not go on as its parent
        traceback.print_exc()
        os._exit(99)


def _quiet(root: Path) -> None:
    os.chdir(root)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


def _confine(seconds: float) -> None:
    limit = int(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 2))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(limit * 20)

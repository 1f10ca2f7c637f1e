"""The request path stays short: how many modules a reader has to know, and how many an ordinary call runs through."""

import subprocess
import sys

import pytest

from bench.request_path import HANDLER, executed_files, import_closure

MAX_IMPORTED_MODULES = 35
MAX_EXECUTED_FILES = 17
"""The only place of the bounds."""


@pytest.fixture(scope="module")
def executed():
    return executed_files()


def test_the_handler_of_ext_authz_imports_few_modules():
    found = import_closure()
    assert len(found) <= MAX_IMPORTED_MODULES, sorted(found)


def test_an_allowed_call_with_a_cached_token_runs_through_few_files(executed):
    assert len(executed) <= MAX_EXECUTED_FILES, sorted(executed)


def test_what_is_executed_is_the_request_path(executed):
    assert {"authz/edge/envoy/ext_authz.py", "authz/core/engine.py"} <= executed


def test_the_closure_is_what_python_imports():
    script = f"import sys, {HANDLER}; print(*(name for name in sys.modules if name.startswith('authz.')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert {HANDLER} <= import_closure() <= imported | {"authz"}
    packages = {name.rpartition(".")[0] for name in imported}
    assert imported - packages <= import_closure()

"""Real MCP clients through Envoy and the service: each lists, calls, is denied, and goes on with its session.

The caller is an administrator without any scope: three tools of five are his. `delete_file` is denied for its
arguments, `list_files` for a scope that he lacks, which `denial: auto` answers with an HTTP 403 and a challenge in the
versions that know it, but not to Python SDK 1 in a session, which that would end.
"""

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.node import node_or_skip, run_to_end
from tests.support.python_1 import python_1_or_skip
from tests.support.running import shared_stack
from tests.support.tracked import tracked
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.envoy

HERE = Path(__file__).parent
HIS = ["echo", "get_user_info", "system_status"]
LEGACY, MODERN = "2025-11-25", "2026-07-28"


@pytest.fixture(scope="module")
def stack(pytestconfig):
    return shared_stack(pytestconfig)


@pytest.fixture(scope="module")
def url(stack):
    return stack.gateways["native"].url


@pytest.fixture(scope="module")
def administrator(stack):
    return stack.token(roles=["admin"])


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """A directory from which the scripts find the npm packages."""
    directory = tmp_path_factory.mktemp("scripts")
    for script in tracked("tests/clients/*.mjs"):
        shutil.copy(script, directory)
    (directory / "node_modules").symlink_to(node_or_skip().modules, target_is_directory=True)
    return directory


def told(command, token):
    """What a client told, which ended well."""
    done = _run(command, token)
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


def _run(command, token):
    return run_to_end(list(map(str, command)), seconds=DEADLINE, env={"TOKEN": token})


def expected(version, *denied):
    return {
        "version": version,
        "tools": HIS,
        "before": "before",
        "denied": [reason for _, reason in denied],
        "after": f"after {denied[-1][0]}",
    }


ARGUMENTS, SCOPE = ("delete_file", "args_not_allowed"), ("list_files", "missing_scope")


def _tools(*denied):
    return ",".join(tool for tool, _ in denied)


@pytest.mark.parametrize(
    ("mode", "version"),
    [("legacy", LEGACY), ("2026-07-28", MODERN), ("auto", MODERN)],
    ids=lambda value: value,
)
def test_python_sdk_2_goes_on_after_every_denial(url, administrator, mode, version):
    command = [sys.executable, HERE / "python_2.py", url, mode, _tools(ARGUMENTS, SCOPE)]

    assert expected(version, ARGUMENTS, SCOPE) == told(command, administrator)


def test_python_sdk_1_goes_on_after_every_denial(url, administrator):
    command = [python_1_or_skip(), HERE / "python_1.py", url, _tools(ARGUMENTS, SCOPE)]

    assert expected(LEGACY, ARGUMENTS, SCOPE) == told(command, administrator)


def test_typescript_sdk_1_goes_on_after_every_denial(url, administrator, scripts):
    command = node_or_skip().command(scripts / "typescript_1.mjs", url, _tools(ARGUMENTS, SCOPE))

    assert expected(LEGACY, ARGUMENTS, SCOPE) == told(command, administrator)


@pytest.mark.parametrize(("mode", "version"), [("legacy", LEGACY), ("auto", MODERN)], ids=lambda value: value)
def test_typescript_client_2_goes_on_after_every_denial(url, administrator, scripts, mode, version):
    command = node_or_skip().command(scripts / "typescript_2.mjs", url, mode, _tools(ARGUMENTS, SCOPE))

    assert expected(version, ARGUMENTS, SCOPE) == told(command, administrator)

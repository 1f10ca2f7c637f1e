"""The images, built by the Dockerfile and run as their manifests say, beside a real Envoy: `make image`.

Not part of the suite, because the build takes minutes: pytest collects this file only by its name. The service's
container has no network but loopback, where the demo's issuer, MCP server and Envoy are, as they would be in its pod.
"""

import asyncio
import dataclasses
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import httpx
import pytest

from authz.demo.gateway import Gateway
from authz.demo.scenarios.run import run_all
from authz.demo.stack import Stack
from tests.support.containers import Store, loopback_alone, needs
from tests.support.manifests import built, container, pods
from tests.support.waiting import DEADLINE

SERVICE, DEMO = "localhost/mcp-authz", "localhost/mcp-authz-demo"


@pytest.fixture(scope="session")
def store():
    needs()
    folder = Path(tempfile.mkdtemp(prefix="mcp-authz-images-", dir=os.environ.get("IMAGE_STORE") or None))
    try:
        yield Store(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def image(store):
    """The service's image."""
    store.build("service", "--tag", SERVICE)
    return SERVICE


def test_the_image_says_what_it_is_and_runs_as_nobody(store, image):
    [said] = json.loads(store.labels(image))

    labels = said["Config"]["Labels"]
    assert "0123456789abcdef" == labels["org.opencontainers.image.revision"]
    assert "65532:65532" == said["Config"]["User"]
    assert ["/opt/mcp-authz/bin/mcp-authz"] == said["Config"]["Entrypoint"]


def test_the_image_holds_its_bill_of_materials(store, image):
    bill = json.loads(store.read(image, "/opt/mcp-authz/sbom.cdx.json"))

    assert "CycloneDX" == bill["bomFormat"]
    assert {"envoy-mcp-authz", "grpcio", "protobuf"} <= {part["name"] for part in bill["components"]}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Contained(Gateway):
    """A gateway whose service is a container of the image, with the rights of its manifest."""

    store: Store

    def service(self):
        """The service's container: the demo's places, mounted at their own paths."""
        plain = Gateway.service(self)  # slots: there is no super()
        manifest = dict(pods(built("base")))["mcp-gateway"]["spec"]
        one = container(built("base"), "mcp-gateway", "mcp-authz")
        logs = self.supervisor.logs
        logs.chmod(0o777)
        argv = self.store.run(
            SERVICE,
            one,
            manifest,
            {str(logs): logs},
            *(str(word) for word in plain.argv[3:]),
            name=self.service_name,
        )
        values = [f"--env={name}={value}" for name, value in self.environment.items()]
        at = argv.index(SERVICE)
        return dataclasses.replace(plain, argv=[*argv[:at], *values, *argv[at:]])


class ContainedStack(Stack):
    """The demo, its services in containers."""

    def __init__(self, store, **more):
        super().__init__(**more)
        self.store = store

    def _gateway(self, form):
        plain = super()._gateway(form)
        given = {field.name: getattr(plain, field.name) for field in dataclasses.fields(plain)}
        return Contained(**given, store=self.store)


@pytest.fixture(scope="session")
def stack(store, image):
    """The demo with its services in containers, and nothing but loopback for all of it."""
    with loopback_alone(), ContainedStack(store) as running:
        yield running


NAME = "native-service"


def test_the_container_has_no_right_to_write_and_none_to_gain(store, stack):
    said = store.inside(NAME, "cat", "/proc/1/status").stdout
    rights = dict(re.findall(r"^(Uid|Gid|CapEff|CapBnd|NoNewPrivs|Seccomp):\s+(\S+)", said, re.MULTILINE))

    assert rights == {
        "Uid": "65532",
        "Gid": "65532",
        "CapEff": "0" * 16,
        "CapBnd": "0" * 16,
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }
    for place in ("/written", "/tmp/written", "/opt/mcp-authz/written", "/home/written"):
        done = store.inside(NAME, "touch", place)
        assert (1, True) == (done.returncode, "Read-only file system" in done.stderr), place


def test_the_container_is_held_to_the_memory_of_its_manifest(store, stack):
    read = "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes"

    assert "512Mi" == container(built("base"), "mcp-gateway", "mcp-authz")["resources"]["limits"]["memory"]
    assert 512 << 20 == int(store.inside(NAME, "sh", "-c", read).stdout)


def test_the_container_has_no_network_but_loopback(store, stack):
    lines = store.inside(NAME, "cat", "/proc/net/dev").stdout.splitlines()[2:]

    assert ["lo"] == [line.split(":")[0].strip() for line in lines]


def test_the_health_check_of_the_image_holds(store, stack):
    [said] = json.loads(store.labels(SERVICE))
    port = str(stack.gateways["native"].ports.http)
    words = [word.replace("9002", port) for word in said["Healthcheck"]["Test"][1:]]

    assert 0 == store.inside(NAME, *words).returncode


def test_the_whole_story_of_the_demo_holds_with_containers(stack):
    async def rows():
        return [row async for row in run_all(stack)]

    told = asyncio.run(rows())

    assert [] == [row for row in told if not row.held]
    assert 30 < len(told)


def test_what_the_container_used_at_most_leaves_half_of_its_memory(stack):
    url = f"{stack.gateways['native'].http}/metrics"
    said = httpx.get(url, timeout=DEADLINE, trust_env=False).text

    [memory] = re.findall(r"^process_resident_memory_bytes(?:\{.*\})? (\S+)$", said, re.MULTILINE)
    assert float(memory) < 256 << 20

"""The Kubernetes manifests as `kubectl kustomize` builds them, and what tests ask of the objects.

They are built from a copy with the two files that an operator makes: a session key, and the values of a tenant.
"""

import functools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.waiting import DEADLINE
from tests.support.yaml_text import read_all_yaml

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
BUILT = (
    "base",
    "service",
    "overlays/auth0",
    "overlays/collector",
    "overlays/envoy-gateway",
    "overlays/istio",
    "overlays/monitoring",
    "overlays/tls-envoy",
    "overlays/tls-gateway",
)
"""Everything that can be built; the last ones are the base with one component, made here."""
COMPONENTS = ("collector", "monitoring", "tls-envoy", "tls-gateway")
PODS = ("Deployment",)

Object = dict[str, Any]


@functools.cache
def copied() -> Path:
    """A copy of the manifests with the operator's own files; one a process."""
    place = Path(tempfile.mkdtemp(prefix="mcp-authz-k8s-")) / "k8s"
    ours = shutil.ignore_patterns("session.key", "auth0.env", "__pycache__")
    shutil.copytree(K8S, place, ignore=ours)
    key = "c2Vzc2lvbiBrZXkgb2YgdGhlIHRlc3RzLCBub3QgYSBzZWNyZXQ="
    (place / "policy/session.key").write_text(f"{key}\n", encoding="utf-8")
    shutil.copyfile(place / "overlays/auth0/auth0.env.example", place / "overlays/auth0/auth0.env")
    for name in COMPONENTS:
        (place / "overlays" / name).mkdir()
        text = yaml.safe_dump({"resources": ["../../base"], "components": [f"../../components/{name}"]})
        (place / "overlays" / name / "kustomization.yaml").write_text(text, encoding="utf-8")
    return place


def kustomize(folder: Path) -> subprocess.CompletedProcess[str]:
    """`kubectl kustomize` of a folder; skips where there is no kubectl."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("needs kubectl on the PATH: https://kubernetes.io/docs/tasks/tools/")
    return subprocess.run(
        [kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=DEADLINE, check=False
    )


@functools.cache
def built(name: str) -> tuple[Object, ...]:
    """The objects of a base or overlay."""
    done = kustomize(copied() / name)
    assert 0 == done.returncode, done.stderr
    return tuple(read_all_yaml(done.stdout))


def of_kind(objects: tuple[Object, ...], *kinds: str) -> list[Object]:
    """The objects of some kinds."""
    return [one for one in objects if one["kind"] in kinds]


def named(objects: tuple[Object, ...], kind: str, name: str) -> Object:
    """The one object of a kind whose name is this, or this and a hash."""
    found = [
        one
        for one in of_kind(objects, kind)
        if re.fullmatch(rf"{name}(-[a-z0-9]{{10}})?", one["metadata"]["name"])
    ]
    assert 1 == len(found), (kind, name)
    return found[0]


def pods(objects: tuple[Object, ...]) -> list[tuple[str, Object]]:
    """Names of workloads and their pod templates."""
    return [(one["metadata"]["name"], one["spec"]["template"]) for one in of_kind(objects, *PODS)]


def containers(spec: Object) -> list[Object]:
    """Every container of a pod, init containers too."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def container(objects: tuple[Object, ...], workload: str, name: str) -> Object:
    """One container of a workload."""
    template = dict(pods(objects))[workload]
    return next(one for one in containers(template["spec"]) if one["name"] == name)


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value below this one with its path."""
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from walk(item, f"{path}.{key}")

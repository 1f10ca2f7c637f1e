"""Schemas of custom resources, from Go's module cache, and objects held against them.

`k8s/crds.txt` names modules and files. Nothing is fetched here: where a module is not in the cache, tests skip.
Rules of the CRDs in CEL (`x-kubernetes-validations`) are not evaluated; the structural schema is, and stricter than a
cluster does it: an unknown field is an error here, where a cluster would silently drop it.
"""

import functools
import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.support.manifests import K8S, Object


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML 1.1 gives a lone "=" a type of its own; in a schema it is an operator."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: node.value)


def _cache() -> Path:
    gopath = Path(os.environ.get("GOPATH") or Path.home() / "go")
    return Path(os.environ.get("GOMODCACHE") or gopath / "pkg" / "mod")


def _listed() -> list[list[str]]:
    lines = (K8S / "crds.txt").read_text("utf-8").splitlines()
    return [line.split() for line in lines if not line.startswith("#")]


@functools.cache
def _missing() -> tuple[str, ...]:
    """The modules that are not there; another program may have brought some of them."""
    return tuple(
        module for module, version, _ in _listed() if not (_cache() / f"{module}@{version}").exists()
    )


@functools.cache
def _files() -> tuple[Path, ...]:
    found: list[Path] = []
    for module, version, pattern in _listed():
        found += sorted(_cache().glob(f"{module}@{version}/{pattern}"))
    return tuple(found)


@functools.cache
def schemas() -> dict[tuple[str, str], Object]:
    """Group/version and kind to the structural schema; empty where the modules are not in the cache."""
    known: dict[tuple[str, str], Object] = {}
    for file in _files():
        text = re.sub(r"^\{\{.*\}\}$", "", file.read_text("utf-8"), flags=re.MULTILINE)
        for crd in yaml.load_all(text, _Loader):
            if not crd or crd.get("kind") != "CustomResourceDefinition":
                continue
            group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
            for version in crd["spec"]["versions"]:
                known[f"{group}/{version['name']}", kind] = version["schema"]["openAPIV3Schema"]
    return known


def _strict(schema: Any) -> Any:
    """A structural schema as JSON Schema that refuses fields it does not name."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    strict = {
        key: _strict(value)
        for key, value in schema.items()
        if key not in ("properties", "nullable", "format")
    }
    if "properties" in schema:
        strict["properties"] = {key: _strict(value) for key, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            strict.setdefault("additionalProperties", False)
    return strict


def problems(one: Object) -> list[str]:
    """What a custom resource's schema finds; skips where the schema is not to be had."""
    key = (one["apiVersion"], one["kind"])
    if key not in schemas():
        if not _missing():
            return [f"no schema for {key}"]
        pytest.skip(
            f"not in Go's module cache: {', '.join(_missing())}; `make crds` gets them, with Go and a network"
        )
    schema = _strict(schemas()[key])
    of_all = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    schema["properties"] = {**schema["properties"], **of_all}
    found = jsonschema.Draft7Validator(schema).iter_errors(one)
    return [f"{error.json_path}: {error.message}" for error in found]


def proto_fields(message: str) -> set[str]:
    """Names, as JSON spells them, of a message's fields in Istio's mesh configuration; skips where it is not to be had."""
    files = list(_cache().glob("istio.io/api@*/mesh/v1alpha1/config.proto"))
    if not files:
        pytest.skip("not in Go's module cache: istio.io/api; `make crds` gets it, with Go and a network")
    body = re.search(rf"message {message} \{{(.*?)\n\s*\}}\n", files[-1].read_text("utf-8"), re.DOTALL)
    assert body
    snake = re.findall(r"^\s*[\w.]+ (\w+) = \d+", body[1], re.MULTILINE)
    return {re.sub(r"_(\w)", lambda found: found[1].upper(), name) for name in snake}

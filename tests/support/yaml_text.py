"""YAML text to trees and back, by libyaml: an Envoy's configuration is long, and PyYAML itself takes ten times as long."""

from collections.abc import Iterator
from typing import Any

import yaml

from authz.config.yaml_nodes import LOADER

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def write_yaml(tree: Any, **options: Any) -> str:
    """Write a tree with its keys in their order."""
    return yaml.dump(tree, Dumper=_DUMPER, sort_keys=False, **options)


def read_yaml(text: str) -> Any:
    """Read the one document of a text, with plain values alone."""
    return yaml.load(text, Loader=LOADER)


def read_all_yaml(text: str) -> Iterator[Any]:
    """Read the documents of a text."""
    return yaml.load_all(text, Loader=LOADER)

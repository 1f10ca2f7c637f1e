"""Trees as YAML text, by libyaml: the configurations of an Envoy are long, and PyYAML's own writer takes 50 ms for one."""

from typing import Any

import yaml

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def write_yaml(tree: Any, **options: Any) -> str:
    """Write a tree with its keys in their order."""
    return yaml.dump(tree, Dumper=_DUMPER, sort_keys=False, **options)

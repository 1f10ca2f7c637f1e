"""Data files of this package."""

from importlib.resources import files
from typing import Any

import yaml

from authz.config.yaml_nodes import LOADER


def load_data(name: str) -> dict[str, Any]:
    """Return the content of a YAML file next to this module."""
    text = files("authz.doctor").joinpath(name).read_text("utf-8")
    data: dict[str, Any] = yaml.load(text, Loader=LOADER)  # noqa: S506 - a safe loader
    return data

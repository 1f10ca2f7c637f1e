"""Reads a file into plain values, with their lines and comments.

Rules of this module:

* A file is read as Envoy 1.40 reads it: of two equal keys the last one counts, of several YAML documents the first.
  Both cases are recorded, because the author may believe otherwise.
* JSON is read as JSON. Reading it again as YAML gives the lines; if that fails, there are none.
* Kubernetes documents are all read, as the list `documents`.
* Every alias becomes a copy, so that an edit changes one place only.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from authz.config import files
from authz.config.problems import ConfigError, mistake
from authz.config.yaml_nodes import LOADER, compose, too_deep
from authz.doctor.node import Path

MAX_DEPTH = 120
"""Nesting of collections; Envoy's own JSON parser stops at 100."""
MAX_VALUES = 500_000
"""Values once aliases are expanded; a file that multiplies itself stops here."""
MAX_BYTES = 64 << 20

_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(_TAG + name for name in ("int", "float", "bool", "null"))


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was read.

    Attributes:
        file: its name as the user gave it.
        text: its content.
        tree: the first document, as plain values; keys are strings.
        lines: by path, the line from 1 at which a value's key or list element begins.
        json: whether it is JSON, and is written back as such.
        repeated: paths of keys that appear twice in one mapping.
        more: whether further documents follow, which Envoy does not read.
        kubernetes: whether these are Kubernetes documents; the tree has all of them.
    """

    file: str
    text: str = field(repr=False)
    tree: dict[str, Any] = field(repr=False)
    lines: dict[Path, int] = field(repr=False)
    json: bool = False
    repeated: tuple[Path, ...] = ()
    more: bool = False
    kubernetes: bool = False

    def line(self, path: Path) -> int:
        """Return the line of a value, or of the closest one around it; 0 if no line is known."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)


def read_file(name: str) -> Source:
    """Read a file.

    Raises:
        ConfigError: it cannot be read, is neither YAML nor JSON, or is not a mapping.
    """
    return read_text(files.read_text(name, MAX_BYTES).removeprefix("\ufeff"), name)


def read_text(text: str, file: str) -> Source:
    """Read a configuration from its text.

    Args:
        text: YAML or JSON.
        file: its name, for problems.

    Raises:
        ConfigError: the text is neither, or is not a mapping.
    """
    try:
        loaded = _json(text)
        source = _from_json(text, file, loaded) if loaded is not None else _from_yaml(text, file)
    except RecursionError:
        raise mistake(file, too_deep(MAX_DEPTH)) from None
    if not isinstance(source.tree, dict):
        raise mistake(file, "a mapping is needed at the top", "give a bootstrap, a listener or a config_dump")
    return source


def _json(text: str) -> Any:
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _from_json(text: str, file: str, loaded: Any) -> Source:
    _bound(loaded, file)
    kubernetes = isinstance(loaded, dict) and {"apiVersion", "kind"} <= loaded.keys()
    loaded = {"documents": [loaded]} if kubernetes else loaded
    try:
        placed = _from_yaml(text, file)
    except (ConfigError, RecursionError):
        return Source(file, text, loaded, {}, json=True, kubernetes=kubernetes)
    return Source(
        file, text, loaded, placed.lines, json=True, repeated=placed.repeated, kubernetes=kubernetes
    )


def _bound(loaded: Any, file: str) -> None:
    """Reject a value that is nested too deep, so that later code may recurse."""
    if _depth(loaded) > MAX_DEPTH:
        raise mistake(file, too_deep(MAX_DEPTH))


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _from_yaml(text: str, file: str) -> Source:
    nodes = compose(text, file, MAX_DEPTH)
    first = next(nodes, None)
    if first is None:
        raise mistake(file, "empty")
    builder = _SourceBuilder(file)
    if _is_kubernetes(first):
        found = [builder.value(each, ("documents", at)) for at, each in enumerate((first, *nodes))]
        return Source(
            file, text, {"documents": found}, builder.lines, repeated=tuple(builder.repeated), kubernetes=True
        )
    more = _more(nodes)
    tree = builder.value(first, ())
    return Source(file, text, tree, builder.lines, repeated=tuple(builder.repeated), more=more)


def _is_kubernetes(node: yaml.Node) -> bool:
    keys = (
        {key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)} if _is_map(node) else set()
    )
    return {"apiVersion", "kind"} <= keys


def _is_map(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode)


def _more(nodes: Iterator[Any]) -> bool:
    """Whether a document follows, valid or not: Envoy reads the first one and stops."""
    try:
        return next(nodes, None) is not None
    except ConfigError:
        return True


class _SourceBuilder:
    """Builds plain values from nodes and records their lines."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {}
        self.repeated: list[Path] = []
        self.scalars = yaml.SafeLoader("")

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if len(path) > MAX_DEPTH:
            raise mistake(self.file, too_deep(MAX_DEPTH), line=node.start_mark.line + 1)
        if len(self.lines) > MAX_VALUES:
            raise mistake(self.file, f"more than {MAX_VALUES} values", "use fewer aliases")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            here = (*path, key)
            if key in values:
                self.repeated.append(here)
            self.lines[here] = key_node.start_mark.line + 1
            values[key] = self.value(value_node, here)
        return values

    def _scalar(self, node: yaml.Node) -> Any:
        text = str(node.value)
        if node.tag not in _SCALARS or re.fullmatch(r"[-+]?\.(inf|nan)", text, re.IGNORECASE):
            return text
        try:
            return self.scalars.construct_object(node)
        except (yaml.YAMLError, ValueError, KeyError):
            return text


def comments(source: Source) -> dict[Path, str]:
    """Return the comments of a YAML file by the path of the value that they stand before or beside; JSON has none."""
    if source.json:
        return {}
    first: dict[int, Path] = {}
    for path, line in sorted(source.lines.items(), key=lambda item: len(item[0])):
        if path:
            first.setdefault(line, path)
    order = sorted(first)
    found: dict[Path, list[str]] = {}
    for line, beside, text in _comments(source.text):
        place = next((each for each in order if each >= line), 0)
        if beside:
            place = next((each for each in reversed(order) if each <= line), 0)
        if place:
            found.setdefault(first[place], []).append(text)
    return {path: "\n".join(lines) for path, lines in found.items()}


def _comments(text: str) -> Iterator[tuple[int, bool, str]]:
    """Yield the comments of a YAML text: line from 1, whether it stands beside a value, text.

    Only the gaps between tokens are searched, because a "#" inside a value does not start a comment.
    """
    if "#" not in text:
        return
    end = 0
    for token in yaml.scan(text, Loader=LOADER):
        start = token.start_mark
        yield from _in_gap(text, end, start.index)
        end = max(end, token.end_mark.index)
    yield from _in_gap(text, end, len(text))


def _in_gap(text: str, start: int, end: int) -> Iterator[tuple[int, bool, str]]:
    if "#" not in (gap := text[start:end]):
        return
    for found in re.finditer(r"#([^\n]*)", gap):
        at = start + found.start()
        line_start = text.rfind("\n", 0, at) + 1
        words = found[1].strip()
        if words:
            yield text.count("\n", 0, at) + 1, bool(text[line_start:at].strip()), words

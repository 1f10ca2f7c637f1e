"""YAML text -> plain values that remember where they stood.

Stricter than YAML: a key must be a string and may stand once in a mapping, `${NAME}` is replaced from the environment and an
unset name is a problem, tags beyond YAML's own scalars are refused. `$${` gives a literal `${`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from authz.config.problems import ConfigError, Problem

Path = tuple[str | int, ...]

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MAX_NODES = 200_000
"""Nodes a file may hold once aliases are followed; a file that multiplies itself stops here."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value begins: line and column from 1, and how far its text is indented behind that."""

    line: int
    column: int = 1
    block: bool = False


@dataclass(slots=True)
class Document:
    """One YAML document.

    Attributes:
        file: the file's name as the user gave it.
        value: the document as plain values.
        places: path of keys and indexes to where the value stands.
    """

    file: str
    value: Any
    places: dict[Path, Place] = field(repr=False)

    def place(self, path: Path) -> Place:
        """Give the place of a value, or of the closest value around it that has one."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(1))

    def problem(self, path: Path, message: str, cure: str = "", *, line_offset: int = 0) -> Problem:
        """Describe what is wrong with the value at `path`."""
        line = self.place(path).line + line_offset
        return Problem(file=self.file, line=line, key=dotted(path), message=message, cure=cure)


def dotted(path: Path) -> str:
    """Write a path as an operator would: `servers.demo.rules[2].when`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def read_documents(text: str, file: str, environment: Mapping[str, str]) -> list[Document]:
    """Read every document of a YAML stream; empty ones are left out.

    Args:
        text: the stream.
        file: its name, for problems.
        environment: values for `${NAME}`.

    Raises:
        ConfigError: the text is no YAML, repeats a key, or names an unset variable.
    """
    try:
        nodes = [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
    except yaml.YAMLError as error:
        raise ConfigError([_syntax(error, file)]) from None
    return [_Builder(file, environment).build(node) for node in nodes]


def _syntax(error: yaml.YAMLError, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    message = getattr(error, "problem", None) or "not YAML"
    return Problem(file=file, line=mark.line + 1 if mark else 0, message=f"not valid YAML: {message}")


class _Builder:
    """Builds one document; collects problems so that all are reported at once."""

    def __init__(self, file: str, environment: Mapping[str, str]) -> None:
        self.document = Document(file, None, {})
        self.environment = environment
        self.problems: list[Problem] = []
        self.scalars = yaml.SafeLoader("")
        self.nodes = 0

    def build(self, node: yaml.Node) -> Document:
        self.document.value = self._value(node, ())
        if self.problems:
            raise ConfigError(self.problems)
        return self.document

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self.nodes += 1
        if self.nodes > _MAX_NODES:
            message = f"more than {_MAX_NODES} values"
            raise ConfigError([Problem(file=self.document.file, message=message, cure="use fewer aliases")])
        block = isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"}
        self.document.places[path] = Place(node.start_mark.line + 1, node.start_mark.column + 1, block)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or not isinstance(key, str):
                self._report(key_node, path, "a key must be a string")
                continue
            if key in values:
                self._report(key_node, (*path, key), "this key stands twice", "keep one of the two")
            values[key] = self._value(value_node, (*path, key))
        return values

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        try:
            value = self.scalars.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self._report(node, path, f"no value of type {node.tag.removeprefix('tag:yaml.org,2002:')}")
            return None
        return self._substituted(value, node, path) if isinstance(value, str) else value

    def _substituted(self, text: str, node: yaml.Node, path: Path) -> str:
        def replace(found: re.Match[str]) -> str:
            name = found[1]
            if name is None:
                return "${"
            if name not in self.environment:
                cure = f"set it, for example: export {name}=…"
                self._report(node, path, f"the environment variable {name} is not set", cure)
                return ""
            return self.environment[name]

        return _VARIABLE.sub(replace, text)

    def _report(self, node: yaml.Node, path: Path, message: str, cure: str = "") -> None:
        line = node.start_mark.line + 1
        self.problems.append(
            Problem(file=self.document.file, line=line, key=dotted(path), message=message, cure=cure),
        )

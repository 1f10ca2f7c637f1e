"""YAML text -> plain values, with the place of each.

Stricter than YAML: a key is a string and occurs once in a mapping, values are those of JSON, and `${NAME}` in a string
is replaced from the environment, where NAME must be set. A timestamp stays the text that was written, as in Kubernetes.
`$${` means a literal `${`. A problem with a mapping or a list is placed at its key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from authz.config.leftovers import free_nodes
from authz.config.problems import ConfigError, Problem, mistake
from authz.config.yaml_nodes import compose, too_deep

Path = tuple[str | int, ...]

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MAX_NODES = 200_000
"""Most nodes in a file once aliases are followed, against a file whose aliases multiply it."""
_MAX_DEPTH = 64
"""Deepest nesting of collections, against a file whose aliases contain themselves."""
_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(_TAG + name for name in ("str", "int", "float", "bool", "null"))
_STRINGS = frozenset(_TAG + name for name in ("str", "timestamp"))
_MERGE = _TAG + "merge"
_COLLECTIONS = frozenset(_TAG + name for name in ("map", "seq"))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value begins: its line, from 1, and the style of a block of text (`|` or `>`, otherwise empty)."""

    line: int
    block: str = ""

    def offset(self, line: int) -> int:
        """Return how many lines below `self.line` a line of the text is; only `|` keeps line breaks."""
        return {"|": line, ">": 1}.get(self.block, 0)


@dataclass(slots=True)
class Document:
    """One YAML document.

    Attributes:
        file: the file's name as the user gave it.
        value: the document as plain values.
        places: path of keys and indexes to the place of the value.
    """

    file: str
    value: Any
    places: dict[Path, Place] = field(repr=False)

    def place(self, path: Path) -> Place:
        """Return the place of a value, or of the closest value around it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(1))

    def problem(self, path: Path, message: str, cure: str = "", *, line_offset: int = 0) -> Problem:
        """Describe what is wrong with the value at `path`."""
        line = self.place(path).line + line_offset
        return Problem(file=self.file, line=line, key=dotted(path), message=message, cure=cure)


def dotted(path: Path) -> str:
    """Return a path as an operator would write it: `servers.demo.rules[2].when`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def read_documents(
    text: str, file: str, environment: Mapping[str, str] | None, *, max_nodes: int = _MAX_NODES
) -> list[Document]:
    """Return the documents of a YAML stream that are not empty.

    Args:
        text: the stream.
        file: its name, for problems.
        environment: values for `${NAME}`; None leaves it as it stands.
        max_nodes: most values in one document.

    Raises:
        ConfigError: the text is not valid YAML, repeats a key, or names an unset variable.
    """
    documents = []
    for node in compose(text, file, _MAX_DEPTH):
        try:
            documents.append(_DocumentBuilder(file, environment, max_nodes).build(node))
        finally:
            free_nodes(node)
    return [document for document in documents if document.value is not None]


class _DocumentBuilder:
    """Builds one document; collects problems, so that all are reported at once."""

    def __init__(self, file: str, environment: Mapping[str, str] | None, max_nodes: int) -> None:
        self.document = Document(file, None, {})
        self.environment = environment
        self.max_nodes = max_nodes
        self.problems: list[Problem] = []
        self.scalars = yaml.SafeLoader("")
        self.nodes = 0

    def build(self, node: yaml.Node) -> Document:
        self.document.value = self._value(node, (), node.start_mark.line + 1)
        if self.problems:
            raise ConfigError(self.problems)
        return self.document

    def _value(self, node: yaml.Node, path: Path, key_line: int) -> Any:
        self._bound(node, path)
        if isinstance(node, yaml.ScalarNode):
            block = node.style if node.style in {"|", ">"} else ""
            self.document.places[path] = Place(node.start_mark.line + 1, block)
            return self._scalar(node, path)
        self.document.places[path] = Place(key_line)
        if node.tag not in _COLLECTIONS:
            self._report(node, path, f"a value of type {_type(node)} is not allowed")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        items = enumerate(node.value)
        return [self._value(item, (*path, index), item.start_mark.line + 1) for index, item in items]

    def _bound(self, node: yaml.Node, path: Path) -> None:
        self.nodes += 1
        if self.nodes > self.max_nodes:
            raise mistake(self.document.file, f"more than {self.max_nodes} values", "use fewer aliases")
        if len(path) > _MAX_DEPTH:
            raise mistake(self.document.file, too_deep(_MAX_DEPTH), line=node.start_mark.line + 1)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if key_node.tag == _MERGE:
                cure = "write the keys out, or repeat the whole value with an alias"
                self._report(key_node, path, "a merge key (<<) is not read", cure)
                continue
            if key_node.tag not in _STRINGS:
                self._report(key_node, path, "a key must be a string", "put it in quotes")
                continue
            if key in values:
                self._report(key_node, (*path, key), "this key occurs twice", "keep one of the two")
            values[key] = self._value(value_node, (*path, key), key_node.start_mark.line + 1)
        return values

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        if node.tag in _STRINGS:
            return self._substituted(str(node.value), node, path)
        try:
            if node.tag in _SCALARS:
                return self.scalars.construct_object(node)
        except (yaml.YAMLError, ValueError, KeyError):
            pass
        self._report(node, path, f"a value of type {_type(node)} is not allowed")
        return None

    def _substituted(self, text: str, node: yaml.Node, path: Path) -> str:
        environment = self.environment
        if environment is None:
            return text

        def replace(found: re.Match[str]) -> str:
            name = found[1]
            if name is None:
                return "${"
            if name not in environment:
                cure = f"set it, for example: export {name}=…"
                self._report(node, path, f"the environment variable {name} is not set", cure)
                return ""
            return environment[name]

        return _VARIABLE.sub(replace, text)

    def _report(self, node: yaml.Node, path: Path, message: str, cure: str = "") -> None:
        line = node.start_mark.line + 1
        self.problems.append(
            Problem(file=self.document.file, line=line, key=dotted(path), message=message, cure=cure),
        )


def _type(node: yaml.Node) -> str:
    return str(node.tag).removeprefix(_TAG)


def is_kubernetes(document: Document) -> bool:
    """Return whether a document is a Kubernetes object."""
    value = document.value
    return isinstance(value, dict) and "apiVersion" in value and "kind" in value


_STANDALONE = frozenset({"mcp", "binds", "gateways", "llm", "frontendPolicies"})
_NATIVE = frozenset({"issuers", "servers"})


def is_foreign(document: Document) -> bool:
    """Return whether a document is of agentgateway: a Kubernetes object, or a file of the standalone gateway."""
    value = document.value
    standalone = isinstance(value, dict) and bool(value.keys() & _STANDALONE) and not value.keys() & _NATIVE
    return is_kubernetes(document) or standalone

"""Changes single places of a YAML text and leaves every other byte as it is.

Rules of this module:

* What is added to a block collection is whole lines of their own. Nothing else moves.
* A flow collection (`{...}` or `[...]`) has no room for lines: the outermost one around a change is written again as a
  block, and its own lines stay as comments.
* Everything that is written stands between marks (`authz.merge.marks`).
* A collection that an alias uses in a second place is not changed, because that would change the other place, too.
"""

import copy
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from authz.config.problems import mistake
from authz.config.yaml_nodes import compose
from authz.doctor.source import MAX_DEPTH
from authz.merge.marks import END, marked
from authz.render.yaml_writer import Path, emit

_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Splice:
    """Lines that come before a line, in place of some lines.

    Attributes:
        at: the line, from 0.
        depth: how deep the collection is that they belong to; of two splices at one line, the deeper comes first.
        lines: what is written, marks included.
        gone: how many lines they replace.
    """

    at: int
    depth: int
    lines: tuple[str, ...]
    gone: int = 0


@dataclass(slots=True)
class YamlText:
    """A text with the changes to it.

    Attributes:
        text: as read.
        file: its name, for problems.
        tree: its content as plain values.
    """

    text: str
    file: str
    tree: dict[str, Any]
    _root: yaml.Node = field(init=False, repr=False)
    _lines: list[str] = field(init=False, repr=False)
    _shared: set[int] = field(init=False, repr=False, default_factory=set)
    _splices: list[Splice] = field(init=False, repr=False, default_factory=list)
    _flows: dict[Path, "FlowEdit"] = field(init=False, repr=False, default_factory=dict)
    _added: dict[Path, tuple[dict[str, Any], dict[Path, str]]] = field(
        init=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        """Compose the text."""
        self._root = next(compose(self.text, self.file, MAX_DEPTH))
        self._lines = self.text.removesuffix("\n").split("\n")
        seen: set[int] = set()
        waiting = [self._root]
        while waiting:
            node = waiting.pop()
            if id(node) in seen:
                self._shared.add(id(node))
                continue
            seen.add(id(node))
            waiting += [child for _, child in _children(node)]

    def insert(
        self, path: Path, index: int, items: Sequence[Any], said: Mapping[Path, str] | None = None
    ) -> None:
        """Insert elements into a list, before the element at an index; `said` are comments by paths below the list."""
        node = self._at(path)
        if not _is_block(node):
            self._in_flow(path).value[index:index] = copy.deepcopy(list(items))
            return
        pad = " " * node.start_mark.column
        lines = [
            line
            for number, item in enumerate(items)
            for line in _item(item, pad, _below(said or {}, (number,)))
        ]
        at = self._before(node, index) if index < len(node.value) else self._last(node.value[-1]) + 1
        self._splices.append(Splice(at, len(path), tuple(marked(lines, pad))))

    def put(self, path: Path, value: Any, said: Mapping[Path, str] | None = None) -> None:
        """Set the value at a path, and make the mappings that lead there; `said` are comments by paths below it."""
        *around, key = path
        parent = tuple(around)
        comments = {(key, *at): text for at, text in (said or {}).items()}
        if not self._is_mapping(parent):
            self.put(parent, {key: value}, comments)
            return
        node = self._at(parent)
        pair = next((pair for pair in node.value if pair[0].value == key), None)
        if not _is_block(node):
            self._in_flow(parent).value[key] = copy.deepcopy(value)
        elif pair is None:
            added, texts = self._added.setdefault(parent, ({}, {}))
            added[str(key)] = value
            texts.update(comments)
        else:
            pad = " " * node.start_mark.column
            lines = [pad + line for line in _block({str(key): value}, comments, len(pad))]
            self._replace(pair[0], self._last(pair[1], pair[0]), lines)

    def write(self) -> str:
        """Return the changed text."""
        for path, box in self._flows.items():
            self._write_flow(path, box.value)
        for path, (added, said) in self._added.items():
            node = self._at(path)
            pad = " " * node.start_mark.column
            lines = [pad + line for line in _block(added, said, len(pad))]
            at = self._last(node.value[-1][1], node.value[-1][0]) + 1
            self._splices.append(Splice(at, len(path), tuple(marked(lines, pad))))
        lines = list(self._lines)
        # From the last line up; at one line, what takes lines away goes before what only adds.
        for splice in sorted(self._splices, key=lambda each: (each.at, each.gone, -each.depth), reverse=True):
            lines[splice.at : splice.at + splice.gone] = splice.lines
        return "\n".join(lines) + "\n" if self._splices else self.text

    def _is_mapping(self, path: Path) -> bool:
        value: Any = self.tree
        for step in path:
            inside = isinstance(value, dict) and step in value
            inside = inside or (isinstance(value, list) and isinstance(step, int) and step < len(value))
            value = value[step] if inside else None
        return isinstance(value, dict) and bool(value)

    def _at(self, path: Path) -> yaml.Node:
        """Return the node at a path.

        Raises:
            ConfigError: it, or one around it, is used in a second place.
        """
        node = self._root
        for step in path:
            node = next(child for key, child in reversed(list(_children(node))) if key == step)
            if id(node) in self._shared:
                raise mistake(
                    self.file,
                    f"{step} is used in a second place by an alias",
                    "write it out in both places",
                    line=node.start_mark.line + 1,
                )
        return node

    def _in_flow(self, path: Path) -> "FlowEdit":
        """Return the value at a path inside the copy of the outermost flow collection around it."""
        top = next(path[:end] for end in range(len(path) + 1) if not _is_block(self._at(path[:end])))
        if top not in self._flows:
            value: Any = self.tree
            for step in top:
                value = value[step]
            self._flows[top] = FlowEdit(copy.deepcopy(value))
        value = self._flows[top].value
        for step in path[len(top) :]:
            value = value[step]
        return FlowEdit(value)

    def _write_flow(self, path: Path, value: Any) -> None:
        if not path:
            at, last = self._root.start_mark.line, self._last(self._root)
            whole = self._lines[at : last + 1]
            self._splices.append(Splice(at, 0, tuple(marked(_block(value, {}, 0), "", whole)), len(whole)))
            return
        *around, step = path
        parent = self._at(tuple(around))
        if isinstance(step, int):
            node = parent.value[step]
            pad = " " * parent.start_mark.column
            lines = _item(value, pad, {})
            at = self._dash(parent, step)
            gone = self._last(node) - at + 1
            self._splices.append(
                Splice(at, len(path), tuple(marked(lines, pad, self._lines[at : at + gone])), gone)
            )
        else:
            key, node = next(pair for pair in parent.value if pair[0].value == step)
            pad = " " * parent.start_mark.column
            lines = [pad + line for line in _block({step: value}, {}, len(pad))]
            self._replace(key, self._last(node, key), lines)

    def _replace(self, key: yaml.Node, last: int, lines: list[str]) -> None:
        """Replace the lines from a key to a last one; what stands before the key on its line, as a dash, stays."""
        at, column = key.start_mark.line, key.start_mark.column
        before = self._lines[at][:column]
        if before.strip():
            first = next(number for number, line in enumerate(lines) if not line.lstrip().startswith("#"))
            lines = [*lines[:first], before + lines[first][column:], *lines[first + 1 :]]
        gone = self._lines[at : last + 1]
        pad = " " * (len(before) - len(before.lstrip())) if before.strip() else " " * column
        self._splices.append(Splice(at, 0, tuple(marked(lines, pad, gone)), len(gone)))

    def _last(self, node: yaml.Node, key: yaml.Node | None = None) -> int:
        """Return the last line of a value, comments behind it left out."""
        if _is_block(node):
            child = node.value[-1]
            return self._last(child[1], child[0]) if isinstance(child, tuple) else self._last(child)
        line = node.end_mark.line
        if isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"}:
            line -= node.end_mark.column == 0
            while not self._lines[line].strip():
                line -= 1
        elif isinstance(node, yaml.ScalarNode) and not node.value and key is not None and not node.style:
            return int(key.end_mark.line)
        return int(line)

    def _dash(self, node: yaml.Node, index: int) -> int:
        """Return the line of an element's dash.

        Raises:
            ConfigError: something else stands before it, as in a list of lists.
        """
        line, column = node.value[index].start_mark.line, node.start_mark.column
        while self._lines[line][column : column + 1] != "-":
            line -= 1
        if self._lines[line][:column].strip():
            what = "a list begins on the line of what holds it"
            raise mistake(self.file, what, "begin it on a line of its own", line=line + 1)
        return int(line)

    def _before(self, node: yaml.Node, index: int) -> int:
        """Return the line of an element's dash, or of the comments right above it."""
        line, pad = self._dash(node, index), " " * node.start_mark.column
        while line and self._lines[line - 1].startswith(pad + "#") and self._lines[line - 1].strip() != END:
            line -= 1
        return line


@dataclass(slots=True)
class FlowEdit:
    """A value inside a flow collection that is written again."""

    value: Any


def _children(node: yaml.Node) -> Iterator[tuple[str | int, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from ((key.value, value) for key, value in node.value if isinstance(key, yaml.ScalarNode))
    elif isinstance(node, yaml.SequenceNode):
        yield from enumerate(node.value)


def _is_block(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and not node.flow_style and bool(node.value)


def _below(said: Mapping[Path, str], path: Path) -> dict[Path, str]:
    """Return the comments below a path, by the rest of their paths."""
    return {at[len(path) :]: text for at, text in said.items() if at[: len(path)] == path}


def _block(value: dict[str, Any], said: Mapping[Path, str], indent: int) -> list[str]:
    return emit(value, said, width=max(60, _WIDTH - indent)).splitlines()


def _item(item: Any, pad: str, said: Mapping[Path, str]) -> list[str]:
    """Return an element of a list as lines; the comments on it stand above its dash."""
    if not isinstance(item, dict) or not item:
        on_one_line = emit({"x": item}, width=sys.maxsize).removeprefix("x: ").rstrip("\n")
        return [f"{pad}- {on_one_line}"]
    above = emit({"x": 0}, {("x",): said.get((), "")}).splitlines()[:-1]
    lines = [f"{pad}{line}" for line in above]
    dashed = False
    for line in _block(item, {at: text for at, text in said.items() if at}, len(pad) + 2):
        comment = line.startswith("#")
        lines.append(f"{pad}{line}" if not dashed and comment else f"{pad}{'  ' if dashed else '- '}{line}")
        dashed = dashed or not comment
    return lines

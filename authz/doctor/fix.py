"""Closes what a machine can close, and rewrites the file.

Rules of this module:

* A file in which nothing changes stays as it is, byte for byte; so fixing a fixed file changes nothing.
* A changed file is rewritten: comments stay with the value that they stood before or beside, but the layout does
  not survive, and aliases are expanded. A round trip with ruamel.yaml would keep the layout, but it ties a comment to
  the value above it: where a setting is removed or filters are reordered, comments end up on the wrong ones.
* Edits are applied in rounds, each on a fresh reading. In one round no two findings touch the same part, because an
  edit may change where the paths of another one lead.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from authz.config.settings import Settings
from authz.doctor.diagnosis import Diagnosis, diagnose
from authz.doctor.model import Drop, Edit, Finding, Insert, Move, Put
from authz.doctor.node import Path, spelled
from authz.doctor.source import Source, comments, read_text
from authz.render.yaml_writer import emit

_ROUNDS = 60


def fix(
    source: Source, settings: Settings | None = None, ignored: Collection[str] = ()
) -> tuple[list[Finding], Diagnosis]:
    """Close what can be closed.

    Args:
        source: the file.
        settings: the policy's.
        ignored: as for `diagnose`; ignored findings are not changed.

    Returns:
        What was closed, and the diagnosis of the file afterwards; its source's text is the file to write.
    """
    closed: list[Finding] = []
    diagnosis = diagnose(source, settings, ignored)  # of Kubernetes documents nothing is closed
    for _ in range(_ROUNDS):
        chosen = _independent(diagnosis.findings)
        if not chosen:
            break
        text = _rewritten(diagnosis.source, [edit for finding in chosen for edit in finding.hit.edits])
        if text == diagnosis.source.text:
            break
        closed += chosen
        diagnosis = diagnose(read_text(text, source.file), settings, ignored)
    left = {(each.check.id, each.hit.node.path) for each in diagnosis.findings}
    return [each for each in closed if (each.check.id, each.hit.node.path) not in left], diagnosis


def _independent(findings: Collection[Finding]) -> list[Finding]:
    """Choose findings whose edits touch different parts."""
    chosen: list[Finding] = []
    touched: list[Path] = []
    for finding in findings:
        paths = [edit.path for edit in finding.hit.edits]
        if paths and not any(_overlap(one, other) for one in paths for other in touched):
            chosen.append(finding)
            touched += [_part(edit) for edit in finding.hit.edits]
    return chosen


def _part(edit: Edit) -> Path:
    """Return the part in which paths change their meaning: for a removed element of a list, the list."""
    return edit.path[:-1] if isinstance(edit, Drop) and isinstance(edit.path[-1], int) else edit.path


def _overlap(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _rewritten(source: Source, edits: list[Edit]) -> str:
    root = _boxed(source.tree, comments(source))
    for edit in edits:
        _apply(root, edit)
    kept: dict[Path, str] = {}
    tree = _unboxed(root, kept)
    if tree == source.tree and not source.repeated:
        return source.text
    if source.json:
        return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
    return emit(tree, kept)


@dataclass(slots=True)
class Box:
    """A value that carries its comment along; inside a mapping or a list, every value is a box."""

    value: Any
    comment: str = ""

    def holds(self, key: str | int) -> bool:
        """Whether this is a mapping for a name, or a list long enough for an index."""
        if isinstance(key, int):
            return isinstance(self.value, list) and key < len(self.value)
        return isinstance(self.value, dict)

    def child(self, key: str | int, missing: type) -> "Box":
        """Return the box at a key, created where a mapping has none; a loose one where none can be."""
        if not self.holds(key):
            return Box(None)
        if isinstance(key, str) and (key not in self.value or self.value[key].value is None):
            self.value[key] = Box(missing())
        child: Box = self.value[key]
        return child

    def put(self, key: str | int, value: Any) -> None:
        """Set the value at a key, and keep its comment."""
        if self.holds(key):
            known = isinstance(key, int) or key in self.value
            self.value[key] = Box(_boxed(value, {}).value, self.value[key].comment if known else "")

    def drop(self, key: str | int) -> None:
        """Remove a key or an element, if it is there."""
        if self.holds(key) and (isinstance(key, int) or key in self.value):
            del self.value[key]


def _boxed(value: Any, said: Mapping[Path, str], path: Path = ()) -> Box:
    if isinstance(value, dict):
        value = {key: _boxed(item, said, (*path, key)) for key, item in value.items()}
    elif isinstance(value, list):
        value = [_boxed(item, said, (*path, index)) for index, item in enumerate(value)]
    return Box(value, said.get(path, ""))


def _unboxed(box: Box, kept: dict[Path, str], path: Path = ()) -> Any:
    """Return the plain value, and enter the comments by their present paths."""
    if box.comment:
        kept[path] = box.comment
    if isinstance(box.value, dict):
        return {key: _unboxed(item, kept, (*path, key)) for key, item in box.value.items()}
    if isinstance(box.value, list):
        return [_unboxed(item, kept, (*path, index)) for index, item in enumerate(box.value)]
    return box.value


def _apply(root: Box, edit: Edit) -> None:
    """Carry out an edit; one that does not fit its place changes nothing."""
    *way, last = edit.path or ("",)
    around = root
    for step in way:
        around = around.child(step if isinstance(step, int) else spelled(around.value, step), dict)
    match edit:
        case Put(_, value):
            around.put(last, value)
        case Drop():
            around.drop(last)
        case Insert(_, index, value):
            listed = around.child(last, list).value
            if isinstance(listed, list):
                listed.insert(index, _boxed(value, {}))
        case Move(_, source, target):
            listed = around.child(last, list).value
            if isinstance(listed, list) and source < len(listed):
                listed.insert(target, listed.pop(source))

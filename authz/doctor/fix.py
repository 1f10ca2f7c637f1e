"""Closes what can be closed mechanically, and writes the file anew.

Rules of this module:

* A file in which nothing is changed stays as it is, byte for byte; so fixing a fixed file changes nothing.
* A changed file is written anew: its comments stay with what they stood before or beside, its layout does not, and
  aliases are written out.
* Edits are applied in rounds, each on a fresh reading. In one round no two findings touch the same part, because the
  second one's paths may no longer lead where they did.
"""

import copy
import json
from collections.abc import Callable, Collection
from typing import Any

from authz.config.settings import Settings
from authz.doctor.diagnosis import Diagnosis, diagnose
from authz.doctor.model import Drop, Edit, Finding, Insert, Move, Put
from authz.doctor.node import Path, spelled
from authz.doctor.source import Source, comments, read_text
from authz.render.yaml_writer import emit

_ROUNDS = 60
_Comments = dict[Path, str]


def fix(
    source: Source, settings: Settings | None = None, ignored: Collection[str] = ()
) -> tuple[list[Finding], Diagnosis]:
    """Close what can be closed.

    Args:
        source: the file.
        settings: the policy's.
        ignored: as for `diagnose`; what is ignored is not changed.

    Returns:
        What was closed, and the diagnosis of the file afterwards; its source's text is the file to write.
    """
    closed: list[Finding] = []
    diagnosis = diagnose(source, settings, ignored)
    for _ in range(_ROUNDS):
        chosen = _apart(diagnosis.findings)
        text = _rewritten(diagnosis.source, [edit for finding in chosen for edit in finding.hit.edits])
        if not chosen or text == diagnosis.source.text:
            break
        closed += chosen
        diagnosis = diagnose(read_text(text, source.file), settings, ignored)
    left = {(each.check.id, each.hit.node.path) for each in diagnosis.findings}
    return [each for each in closed if (each.check.id, each.hit.node.path) not in left], diagnosis


def _apart(findings: Collection[Finding]) -> list[Finding]:
    """Choose findings whose edits touch different parts."""
    chosen: list[Finding] = []
    touched: list[Path] = []
    for finding in findings:
        paths = [edit.path for edit in finding.hit.edits]
        if paths and not any(_meet(one, other) for one in paths for other in touched):
            chosen.append(finding)
            touched += [_part(edit) for edit in finding.hit.edits]
    return chosen


def _part(edit: Edit) -> Path:
    """Give the part in which paths change their meaning: of a list's element that goes, the list."""
    return edit.path[:-1] if isinstance(edit, Drop) and isinstance(edit.path[-1], int) else edit.path


def _meet(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _rewritten(source: Source, edits: list[Edit]) -> str:
    tree, said = copy.deepcopy(source.tree), comments(source)
    for edit in edits:
        said = _apply(tree, said, edit)
    if tree == source.tree and not source.repeated:
        return source.text
    if source.json:
        return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
    return emit(tree, said)


def _apply(tree: Any, said: _Comments, edit: Edit) -> _Comments:
    """Carry out an edit, and give the comments where they stand then; what does not fit its place is left out."""
    match edit:
        case Put(path, value):
            return _put(_container(tree, path), said, path, value)
        case Drop(path):
            return _drop(_container(tree, path), said, path)
        case Insert(path, index, value):
            listed = _list(tree, path)
            index = min(index, len(listed))
            listed.insert(index, copy.deepcopy(value))
            return _renumbered(said, path, lambda at: at + (at >= index))
        case Move(path, source, target):
            listed = _list(tree, path)
            order = list(range(len(listed)))
            if source < len(order):
                order.insert(target, order.pop(source))
            listed[:] = [listed[at] for at in order]
            return _renumbered(said, path, order.index)


def _put(container: Any, said: _Comments, path: Path, value: Any) -> _Comments:
    if not _holds(container, path[-1]):
        return said
    container[path[-1]] = copy.deepcopy(value)
    return {at: text for at, text in said.items() if len(at) <= len(path) or at[: len(path)] != path}


def _drop(container: Any, said: _Comments, path: Path) -> _Comments:
    gone, key = len(path), path[-1]
    if not _holds(container, key):
        return said
    said = {at: text for at, text in said.items() if at[:gone] != path}
    if isinstance(key, int):
        container.pop(key)
        return _renumbered(said, path[:-1], lambda at: at - (at > key))
    container.pop(key, None)
    return said


def _renumbered(said: _Comments, path: Path, new: Callable[[int], int]) -> _Comments:
    """Let the comments below a list follow their elements."""
    end = len(path)

    def moved(at: Path) -> Path:
        index = at[end] if len(at) > end and at[:end] == path else None
        return (*path, new(index), *at[end + 1 :]) if isinstance(index, int) else at

    return {moved(at): text for at, text in said.items()}


def _holds(container: Any, key: str | int) -> bool:
    """Whether a container is of the kind that has such keys, and long enough."""
    if isinstance(key, int):
        return isinstance(container, list) and key < len(container)
    return isinstance(container, dict)


def _container(tree: Any, path: Path) -> Any:
    """Give what holds a path's last step, with the mappings that were missing; None where something else stands."""
    for step in path[:-1]:
        key = step if isinstance(step, int) else spelled(tree, step)
        if not _holds(tree, key):
            return None
        if isinstance(key, str) and tree.get(key) is None:
            tree[key] = {}
        tree = tree[key]
    return tree


def _list(tree: Any, path: Path) -> list[Any]:
    """Give the list at a path, made where there is none; one that belongs to nothing where it cannot be."""
    container, key = _container(tree, path), path[-1] if path else ""
    if not path or not _holds(container, key):
        return []
    if isinstance(key, str) and container.get(key) is None:
        container[key] = []
    listed = container[key]
    return listed if isinstance(listed, list) else []

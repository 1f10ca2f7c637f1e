"""What changed between a lock file and what the server offers now, in words, and line by line."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from authz.config.lock_file import LockedItem
from authz.core.mcp.item import ListName

_SCHEMAS = ("inputSchema", "outputSchema")
_MAX_LINES = 400


class DifferenceKind(StrEnum):
    """How an item differs from the lock."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One item that differs.

    Attributes:
        change: how.
        section: the list in which it stands.
        name: its name.
        era: the one era in which it differs, empty for both.
        words: what differs, one sentence each.
        lines: the definition as a unified diff.
    """

    change: DifferenceKind
    section: ListName
    name: str
    era: str = ""
    words: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


def compare(locked: Iterable[LockedItem], offered: Iterable[LockedItem]) -> list[Difference]:
    """Return every item that is not offered as it is locked, in the order of the lists and names."""
    old, new = _by_name(locked), _by_name(offered)
    order = sorted(old.keys() | new.keys(), key=lambda key: (list(ListName).index(key[0]), key[1]))
    return [difference for key in order for difference in _differences(old.get(key, []), new.get(key, []))]


def _by_name(items: Iterable[LockedItem]) -> dict[tuple[ListName, str], list[LockedItem]]:
    grouped: dict[tuple[ListName, str], list[LockedItem]] = {}
    for item in items:
        grouped.setdefault((item.section, item.name), []).append(item)
    return grouped


def _differences(old: Sequence[LockedItem], new: Sequence[LockedItem]) -> Iterator[Difference]:
    known = {item.digest for item in old}
    if not new:
        yield Difference(change=DifferenceKind.REMOVED, section=old[0].section, name=old[0].name)
    for item in new:
        if not old:
            yield _difference(DifferenceKind.ADDED, {}, item)
        elif item.digest not in known:
            before = next((each for each in old if each.era == item.era), old[0])
            yield _difference(DifferenceKind.CHANGED, before.definition, item)


def _difference(change: DifferenceKind, before: Mapping[str, Any], item: LockedItem) -> Difference:
    lines = difflib.unified_diff(_pretty(before), _pretty(item.definition), "locked", "offered", lineterm="")
    return Difference(
        change=change,
        section=item.section,
        name=item.name,
        era=item.era,
        words=tuple(_words(before, item.definition)) if before else (),
        lines=tuple(lines)[:_MAX_LINES],
    )


def _pretty(definition: Mapping[str, Any]) -> list[str]:
    """Return a definition as lines of which a change touches few: a text with line breaks has one a line."""
    lines: list[str] = []
    for name in sorted(definition):
        value = definition[name]
        if isinstance(value, str):
            lines += [f"{name}: {line}" for line in value.split("\n")]
        else:
            lines += f"{name}: {json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)}".split("\n")
    return lines


def _words(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) == new.get(name):
            continue
        if name in _SCHEMAS and isinstance(old.get(name), dict) and isinstance(new.get(name), dict):
            yield from _schema_words(name, old[name], new[name])
        elif name == "annotations" and isinstance(new.get(name), dict):
            yield from _member_words("annotation", old.get(name) or {}, new[name])
        else:
            yield f"{name} {_verb(name in old, name in new)}"


def _schema_words(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = (_object(schema.get("properties")) for schema in (old, new))
    needed = [set(map(str, schema.get("required") or [])) for schema in (old, new)]
    what = "parameter" if name == "inputSchema" else "result member"
    yield from _member_words(what, before, after)
    for parameter in sorted((needed[0] ^ needed[1]) & before.keys() & after.keys()):
        yield f"{what} {parameter} {'is now required' if parameter in needed[1] else 'is no longer required'}"
    rest = [key for key in old.keys() | new.keys() if key not in ("properties", "required")]
    yield from (f"{name}.{key} changed" for key in sorted(rest) if old.get(key) != new.get(key))


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _member_words(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield f"{what} {name} {_verb(name in old, name in new)}"


def _verb(before: bool, after: bool) -> str:
    return "changed" if before and after else "added" if after else "removed"

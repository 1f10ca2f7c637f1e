"""Writes plain values as YAML text with comments.

Rules of this module:

* The same input gives the same bytes: keys keep their order, and nothing depends on a clock or on hashing.
* A collection without comments inside is written on one line when it fits; everything else is a block.
* A string is written bare only if it consists of harmless characters and YAML reads it back as that string.
  All other strings are quoted and escaped.

Not handled: keys of more than 1,000 characters once escaped, which YAML does not read as keys (YAML 1.1 section 7.4).
"""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

Tree = dict[str, "Tree"] | list["Tree"] | str | int | float | bool | None
"""A plain value: what `json.loads` can return, without infinities and NaN."""
Path = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BARE = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./:-]*")


def _quoted(text: str) -> str:
    """Quote like JSON, except beyond 16 bits: JSON splits such a character in two, and YAML reads each half alone."""
    return '"' + "".join(f"\\U{ord(c):08x}" if c > "\uffff" else json.dumps(c)[1:-1] for c in text) + '"'


@lru_cache(8192)
def _string(text: str) -> str:
    """Write a string; remembered, because a configuration repeats few keys and values many times."""
    if _BARE.fullmatch(text) and yaml.load(text, Loader=_LOADER) == text:  # noqa: S506 - a safe loader
        return text
    return _quoted(text)


def _flow(value: Tree) -> Iterator[str]:
    """Yield the pieces of a value's text on one line."""
    if isinstance(value, dict):
        yield "{"
        for index, (key, item) in enumerate(value.items()):
            yield f"{', ' if index else ''}{_string(key)}: "
            yield from _flow(item)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for index, item in enumerate(value):
            yield ", " if index else ""
            yield from _flow(item)
        yield "]"
    else:
        yield _string(value) if isinstance(value, str) else json.dumps(value)


def _line(value: Tree, room: int) -> str | None:
    """Return a value's text on one line, None if it is longer than `room`; of a longer one only so much is written."""
    pieces = []
    for piece in _flow(value):
        room -= len(piece)
        if room < 0:
            return None
        pieces.append(piece)
    return "".join(pieces)


@dataclass(frozen=True, slots=True)
class _YamlWriter:
    comments: Mapping[Path, str]
    commented: frozenset[Path]
    width: int

    def _comment(self, path: Path, pad: str) -> Iterator[str]:
        start = f"{pad}# "
        for line in self.comments.get(path, "").splitlines():
            yield from textwrap.wrap(
                line, self.width, initial_indent=start, subsequent_indent=start, break_on_hyphens=False
            )

    def _on_one_line(self, value: Tree, path: Path, used: int) -> str | None:
        if not value or not isinstance(value, dict | list):
            return "".join(_flow(value))
        return None if path in self.commented else _line(value, self.width - used)

    def mapping(self, value: dict[str, Tree], path: Path, pad: str) -> Iterator[str]:
        for key, item in value.items():
            here = (*path, key)
            yield from self._comment(here, pad)
            head = f"{pad}{_string(key)}:"
            line = self._on_one_line(item, here, len(head) + 1)
            if line is not None:
                yield f"{head} {line}"
            else:
                yield head
                yield from self.block(item, here, pad if isinstance(item, list) else pad + "  ")

    def sequence(self, value: list[Tree], path: Path, pad: str) -> Iterator[str]:
        for index, item in enumerate(value):
            here = (*path, index)
            yield from self._comment(here, pad)
            line = self._on_one_line(item, here, len(pad) + 2)
            if line is not None:
                yield f"{pad}- {line}"
            else:
                yield from _dashed(self.block(item, here, pad + "  "), pad)

    def block(self, value: Tree, path: Path, pad: str) -> Iterator[str]:
        if isinstance(value, dict):
            yield from self.mapping(value, path, pad)
        elif isinstance(value, list):
            yield from self.sequence(value, path, pad)


def _dashed(lines: Iterator[str], pad: str) -> Iterator[str]:
    """Put the dash on the first line that is not a comment; comments before it move to the dash's column."""
    for line in lines:
        text = line[len(pad) + 2 :]
        if not text.startswith("#"):
            yield f"{pad}- {text}"
            break
        yield pad + text
    yield from lines


def emit(value: dict[str, Tree], comments: Mapping[Path, str] | None = None, *, width: int = 110) -> str:
    """Write a mapping as YAML.

    Args:
        value: the mapping; reading the text back gives an equal one.
        comments: the text to write before the value at a path; its lines are wrapped.
        width: the column at which lines are broken where they can be.

    Returns:
        The text, ending with a newline.
    """
    comments = comments or {}
    commented = frozenset(path[:end] for path in comments for end in range(len(path)))
    writer = _YamlWriter(comments, commented, width)
    return "\n".join(writer.mapping(value, (), "")) + "\n" if value else "{}\n"

"""Typed Envoy messages to plain values in Envoy's own spelling, with the notes that belong to them.

Rules of this module:

* Names are the proto's (lower-snake), enums are names, durations are "0.5s", an `Any` is its content after "@type".
* A field at its default is left out, unless the notes name it: what security rests on is written down
  even where Envoy would do the same unasked.
* A note is said once, where its subject first appears.

Notes are keyed `Type.field` for a field, and `Type#name` for a list's element whose `name` field has that value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any as Anything

from betterproto2 import Enum, Message
from envoy_data_plane.google.protobuf import Any, Struct

from authz.render.yaml_writer import Path, Tree


def any_of(message: Message) -> Any:
    """The message, packed the way Envoy's `typed_config` fields want it."""
    return Any.pack(message)


@dataclass(frozen=True, slots=True)
class _Walk:
    notes: Mapping[str, str]
    comments: dict[Path, str] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)

    def say(self, key: str, path: Path) -> None:
        if self.notes.get(key) and key not in self.said:
            self.said.add(key)
            self.comments[path] = self.notes[key]

    def value(self, value: Anything, path: Path) -> Tree:
        for kind, convert in _CONVERT:
            if isinstance(value, kind):
                return convert(self, value, path)
        plain: Tree = value
        return plain

    def message(self, message: Anything, path: Path) -> dict[str, Tree]:
        kind = type(message).__name__
        names = sorted((f.name for f in fields(message)), key=lambda name: name != "name")
        blank = type(message)()
        tree: dict[str, Tree] = {}
        for name in names:
            value, key = getattr(message, name), f"{kind}.{name}"
            if not _written(value, getattr(blank, name), named=key in self.notes):
                continue
            spelled = name.rstrip("_")
            self.say(key, (*path, spelled))
            tree[spelled] = self.value(value, (*path, spelled))
        return tree

    def packed(self, value: Any, path: Path) -> Tree:
        content = value.unpack()
        if content is None:
            msg = "an Any without a type has no place in a configuration"
            raise ValueError(msg)
        return {"@type": value.type_url, **self.message(content, path)}

    def items(self, value: list[Anything], path: Path) -> Tree:
        for index, item in enumerate(value):
            self.say(f"{type(item).__name__}#{getattr(item, 'name', '')}", (*path, index))
        return [self.value(item, (*path, index)) for index, item in enumerate(value)]

    def members(self, value: dict[str, Anything], path: Path) -> Tree:
        return {key: self.value(item, (*path, key)) for key, item in value.items()}


def _written(value: Anything, default: Anything, *, named: bool) -> bool:
    """Whether a field is written: absent ones never, defaults only when a note names them.

    An optional field's default is None, so a zero or an empty message that was set there differs from it.
    """
    return value is not None and (named or value != default)


def seconds(value: timedelta) -> str:
    """A duration as Envoy's documentation writes it, "0.5s"."""
    return f"{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"


def _enum(_: _Walk, value: Enum, __: Path) -> Tree:
    return value.proto_name or value.name


def _struct(walk: _Walk, value: Struct, path: Path) -> Tree:
    return walk.members(value.to_dict(), path)


def _number(_: _Walk, value: float, __: Path) -> Tree:
    """A whole number without its ".0": a Struct knows only doubles, and JSON-RPC codes are integers."""
    return int(value) if value.is_integer() else value


_CONVERT: tuple[tuple[type, Callable[[_Walk, Anything, Path], Tree]], ...] = (
    (Any, _Walk.packed),
    (Struct, _struct),
    (Message, _Walk.message),
    (timedelta, lambda _, value, __: seconds(value)),
    (Enum, _enum),
    (float, _number),
    (list, _Walk.items),
    (dict, _Walk.members),
)
"""First match wins, so the well-known types stand before `Message`."""


def plain(
    value: Mapping[str, Anything] | Message, notes: Mapping[str, str]
) -> tuple[dict[str, Tree], dict[Path, str]]:
    """Turn messages into plain values.

    Args:
        value: a message, or a mapping of names to messages, lists and scalars.
        notes: what to say about fields and elements, see the module's docstring; an empty text says nothing
            and still has the field written.

    Returns:
        The plain mapping, and the comments by path for `yamltext.emit`.
    """
    walk = _Walk(notes)
    tree = (
        walk.message(value, ())
        if isinstance(value, Message)
        else {k: walk.value(v, (k,)) for k, v in value.items()}
    )
    return tree, walk.comments

"""Turns typed Envoy messages into plain values in Envoy's own spelling, and collects the comments on them.

Rules of this module:

* Names are the proto's (lower-snake), enums are names, durations are "0.5s", an `Any` is its content after "@type".
* A field at its default is left out, unless the comments name it: a setting that security depends on is written
  even if it is Envoy's default.
* A comment appears once, where its subject first appears.

Comments are keyed `Type.field` for a field, and `Type#name` for an element of a list whose `name` is that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any as Anything

from betterproto2 import Enum, Message
from envoy_data_plane.google.protobuf import Any, Struct

from authz.render.yaml_writer import Path, Tree


def any_of(message: Message) -> Any:
    """Return the message packed for a `typed_config` field."""
    return Any.pack(message)


@dataclass(frozen=True, slots=True)
class _Serializer:
    texts: Mapping[str, str]
    comments: dict[Path, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def comment(self, key: str, path: Path) -> None:
        if self.texts.get(key) and key not in self.used:
            self.used.add(key)
            self.comments[path] = self.texts[key]

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
            if not _written(value, getattr(blank, name), named=key in self.texts):
                continue
            spelled = name.rstrip("_")
            self.comment(key, (*path, spelled))
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
            self.comment(f"{type(item).__name__}#{getattr(item, 'name', '')}", (*path, index))
        return [self.value(item, (*path, index)) for index, item in enumerate(value)]

    def members(self, value: dict[str, Anything], path: Path) -> Tree:
        return {key: self.value(item, (*path, key)) for key, item in value.items()}


def _written(value: Anything, default: Anything, *, named: bool) -> bool:
    """Whether a field is written: absent ones never, defaults only if a comment names them.

    An optional field's default is None, so an explicit zero or empty message differs from it.
    """
    return value is not None and (named or value != default)


def seconds(value: timedelta) -> str:
    """Return a duration as Envoy's documentation writes it, "0.5s"."""
    return f"{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"


def _enum(_: _Serializer, value: Enum, __: Path) -> Tree:
    return value.proto_name or value.name


def _struct(serializer: _Serializer, value: Struct, path: Path) -> Tree:
    return serializer.members(value.to_dict(), path)


def _number(_: _Serializer, value: float, __: Path) -> Tree:
    """Return a whole number as an integer: a Struct has only doubles, and JSON-RPC codes are integers."""
    return int(value) if value.is_integer() else value


_CONVERT: tuple[tuple[type, Callable[[_Serializer, Anything, Path], Tree]], ...] = (
    (Any, _Serializer.packed),
    (Struct, _struct),
    (Message, _Serializer.message),
    (timedelta, lambda _, value, __: seconds(value)),
    (Enum, _enum),
    (float, _number),
    (list, _Serializer.items),
    (dict, _Serializer.members),
)
"""The first match wins, so the well-known types come before `Message`."""


def plain(
    value: Mapping[str, Anything] | Message, texts: Mapping[str, str]
) -> tuple[dict[str, Tree], dict[Path, str]]:
    """Turn messages into plain values.

    Args:
        value: a message, or a mapping of names to messages, lists and scalars.
        texts: the comments on fields and elements, see the module's docstring; an empty text has the field
            written without a comment.

    Returns:
        The plain mapping, and the comments by path for `yaml_writer.emit`.
    """
    serializer = _Serializer(texts)
    tree = (
        serializer.message(value, ())
        if isinstance(value, Message)
        else {k: serializer.value(v, (k,)) for k, v in value.items()}
    )
    return tree, serializer.comments

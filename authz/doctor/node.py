"""One value of a configuration, with the path that leads to it; reading below it never fails.

Rules of this module, each as Envoy 1.40 reads a file:

* A field may be written in lower_snake or lowerCamel case. Keys of maps are taken as written.
* A boolean may be a string: "true", "yes", "on" and "y" in any case.
* An enum may be its name in any case, or its number.
* A value that is absent, or not of the expected type, is None; the check decides what that means.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Path = tuple[str | int, ...]
"""Keys and indexes that lead to a value."""

_DURATION = re.compile(r"(-?[0-9]{1,12})(\.[0-9]{1,9})?s")
_STRUCT = ".TypedStruct"
_SHOWN = 60
"""Characters of the longest value that a report shows."""
_YES = frozenset({"true", "yes", "on", "y"})


@lru_cache(4096)
def camel(name: str) -> str:
    """Return a field's name as JSON spells it: `max_request_bytes` becomes `maxRequestBytes`."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


@lru_cache(4096)
def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])[A-Z]", lambda found: f"_{found[0]}", name).lower()


def spelled(value: object, name: str) -> str:
    """Return the spelling of a field that a mapping uses; the proto's spelling if it uses neither."""
    return camel(name) if isinstance(value, dict) and name not in value and camel(name) in value else name


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place; `value` is None if it is absent."""

    value: Any
    path: Path = ()

    def at(self, *names: str | int) -> "Node":
        """Return a field, a map's key or an element below this one; an absent one has a path, too."""
        node = self
        for name in names:
            node = node._child(name)
        return node

    def _child(self, name: str | int) -> "Node":
        if isinstance(name, int):
            inside = isinstance(self.value, list) and 0 <= name < len(self.value)
            return Node(self.value[name] if inside else None, (*self.path, name))
        key = spelled(self.value, name)
        return Node(self.value.get(key) if isinstance(self.value, dict) else None, (*self.path, key))

    def items(self) -> Iterator["Node"]:
        """Return the elements of a list; none if this is not a list."""
        values = self.value if isinstance(self.value, list) else ()
        return (Node(value, (*self.path, index)) for index, value in enumerate(values))

    def members(self) -> Iterator[tuple[str, "Node"]]:
        """Return keys and values of a mapping; none if this is not a mapping."""
        values = self.value if isinstance(self.value, dict) else {}
        return ((key, Node(value, (*self.path, key))) for key, value in values.items())

    def walk(self) -> Iterator["Node"]:
        """Yield this value and every value below it, outer ones first."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            value, path = node.value, node.path
            if isinstance(value, dict):
                waiting += [Node(child, (*path, key)) for key, child in reversed(value.items())]
            elif isinstance(value, list):
                waiting += [Node(value[index], (*path, index)) for index in reversed(range(len(value)))]

    @property
    def key(self) -> str:
        """The last step of the path in lower_snake; empty for an element of a list."""
        last = self.path[-1] if self.path else 0
        return _snake(last) if isinstance(last, str) else ""

    @property
    def present(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    def shown(self) -> str:
        """Return what a report says about the value; empty if it is too long to show."""
        if not self.present:
            return "is absent"
        text = str(self.value).lower() if isinstance(self.value, bool) else str(self.value)
        return f"is {text}" if not isinstance(self.value, dict | list) and len(text) <= _SHOWN else ""

    @property
    def text(self) -> str:
        """The string; empty if this is not a string."""
        return self.value if isinstance(self.value, str) else ""

    @property
    def flag(self) -> bool:
        """The boolean; False if this is not a boolean."""
        return self.value is True or self.text.lower() in _YES

    @property
    def number(self) -> float | None:
        """The number, which may be a string of digits; None if this is not a number."""
        if isinstance(self.value, int | float) and not isinstance(self.value, bool):
            return self.value
        return float(self.text) if re.fullmatch(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", self.text) else None

    @property
    def seconds(self) -> float | None:
        """The duration in seconds, from "1.5s" or {seconds, nanos}; None if this is not a duration."""
        if isinstance(self.value, dict):
            return (self.at("seconds").number or 0) + (self.at("nanos").number or 0) / 1e9
        return float(self.text[:-1]) if _DURATION.fullmatch(self.text) else None

    def enum(self, *names: str) -> str:
        """Return an enum's name in capitals; `names` are those of the numbers from 0, the first is the default."""
        number = 0 if self.value is None else self.number
        if number is None:
            return self.text.upper()
        return names[int(number)] if number in range(len(names)) else str(number)

    @property
    def type(self) -> str:
        """The full name of the message in an Any (`@type`), or in an xDS TypedStruct; empty if it names none."""
        own = self.at("@type").text.rpartition("/")[2]
        return self.at("type_url").text.rpartition("/")[2] if own.endswith(_STRUCT) else own

    def unpacked(self) -> "Node":
        """Return the content of an Any: itself, or the `value` of an xDS TypedStruct."""
        return self.at("value") if self.at("@type").text.endswith(_STRUCT) else self

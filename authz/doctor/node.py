"""One value of a configuration, with the path that leads to it; reading below it never fails.

Rules of this module, each as Envoy 1.40 reads a file:

* A field may be written in lower_snake or lowerCamel case. Keys of maps are taken as they are written.
* A boolean may be a text: "true", "yes", "on" and "y" in any case.
* An enum may be its name in any case, or its number.
* What is absent, or is not of the wanted type, is None; a check decides what that means.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""Keys and indexes that lead to a value."""

_DURATION = re.compile(r"(-?[0-9]{1,12})(\.[0-9]{1,9})?s")
_STRUCT = ".TypedStruct"
_YES = frozenset({"true", "yes", "on", "y"})


def camel(name: str) -> str:
    """Write a field's name as JSON does: `max_request_bytes` becomes `maxRequestBytes`."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def spelled(value: object, name: str) -> str:
    """Give the spelling of a field that a mapping uses; the proto's where it uses none."""
    return camel(name) if isinstance(value, dict) and name not in value and camel(name) in value else name


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands; `value` is None for what is absent."""

    value: Any
    path: Path = ()

    def at(self, *names: str | int) -> "Node":
        """Go to a field, a map's key or an element below this one; what is absent has a path too."""
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
        """Give the elements of a list; none of anything else."""
        values = self.value if isinstance(self.value, list) else ()
        return (Node(value, (*self.path, index)) for index, value in enumerate(values))

    def members(self) -> Iterator[tuple[str, "Node"]]:
        """Give keys and values of a mapping; none of anything else."""
        values = self.value if isinstance(self.value, dict) else {}
        return ((key, Node(value, (*self.path, key))) for key, value in values.items())

    def walk(self) -> Iterator["Node"]:
        """Give this value and every value below it, outer ones first."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            inner = [child for _, child in node.members()] or list(node.items())
            waiting += reversed(inner)

    @property
    def key(self) -> str:
        """The last step of the path in lower_snake; empty for an element of a list."""
        last = self.path[-1] if self.path else 0
        return (
            re.sub(r"(?<=[a-z0-9])[A-Z]", lambda found: f"_{found[0]}", last).lower()
            if isinstance(last, str)
            else ""
        )

    @property
    def present(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    @property
    def text(self) -> str:
        """A text; empty for anything else."""
        return self.value if isinstance(self.value, str) else ""

    @property
    def flag(self) -> bool:
        """A boolean; False for anything else."""
        return self.value is True or self.text.lower() in _YES

    @property
    def number(self) -> float | None:
        """A number; digits in a text count."""
        if isinstance(self.value, int | float) and not isinstance(self.value, bool):
            return self.value
        return float(self.text) if re.fullmatch(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", self.text) else None

    @property
    def seconds(self) -> float | None:
        """A duration in seconds: "1.5s" or {seconds, nanos}."""
        if isinstance(self.value, dict):
            return (self.at("seconds").number or 0) + (self.at("nanos").number or 0) / 1e9
        return float(self.text[:-1]) if _DURATION.fullmatch(self.text) else None

    def enum(self, *names: str) -> str:
        """Give an enum's name in capitals; `names` are those of the numbers from 0, the first is the default."""
        number = 0 if self.value is None else self.number
        if number is None:
            return self.text.upper()
        return names[int(number)] if number in range(len(names)) else str(number)

    @property
    def type(self) -> str:
        """The full name of the message in an Any (`@type`), or in an xDS TypedStruct; empty where none is named."""
        own = self.at("@type").text.rpartition("/")[2]
        return self.at("type_url").text.rpartition("/")[2] if own.endswith(_STRUCT) else own

    def unpacked(self) -> "Node":
        """Give the content of an Any: itself, or the `value` of an xDS TypedStruct."""
        return self.at("value") if self.at("@type").text.endswith(_STRUCT) else self

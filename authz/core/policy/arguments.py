"""Declared types of a call's arguments, checked before any expression sees them.

A rule that declares `filename: string` never meets a number there: an expression that compares, measures or searches
an argument then means what it says, whatever a caller sends.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from authz.core.wire.confusables import imitates

_OPTIONAL = "?"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


TYPES: Mapping[str, Callable[[Any], bool]] = MappingProxyType(
    {
        "string": lambda value: isinstance(value, str),
        "int": _is_int,
        "number": _is_number,
        "bool": lambda value: isinstance(value, bool),
        "list": lambda value: isinstance(value, list),
        "map": lambda value: isinstance(value, dict),
        "any": lambda _: True,
    },
)
"""Names of types to their tests; a boolean is no number, as in JSON and unlike Python."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments that a rule declares.

    Attributes:
        types: argument to the name of its type, `?` at the end for one that may be left out.
        extra: whether arguments that are not declared are accepted.
    """

    types: Mapping[str, str]
    extra: bool = True

    def __post_init__(self) -> None:
        """Refuse unknown types.

        Raises:
            ValueError: a type has no test.
        """
        for type_ in self.types.values():
            if type_.removesuffix(_OPTIONAL) not in TYPES:
                msg = f"unknown type {type_}; known: {', '.join(TYPES)}, each with ? when it may be left out"
                raise ValueError(msg)

    def fit(self, arguments: Mapping[str, Any]) -> bool:
        """Tell whether a call's arguments are of the declared types, and none only looks like a declared one."""
        if imitates(arguments, frozenset(self.types)):
            return False
        if not self.extra and arguments.keys() - self.types.keys():
            return False
        return all(self._fits(type_, name, arguments) for name, type_ in self.types.items())

    @staticmethod
    def _fits(type_: str, name: str, arguments: Mapping[str, Any]) -> bool:
        if name not in arguments:
            return type_.endswith(_OPTIONAL)
        return TYPES[type_.removesuffix(_OPTIONAL)](arguments[name])

"""A tool's locked input schema -> a check of a call's arguments, compiled when the file is loaded.

Rules of this module:

* JSON Schema 2020-12, or the draft that `$schema` names. Nothing is fetched: a `$ref` must be to a place in the schema
  itself. Formats are checked. Patterns run in an engine without backtracking, so that no text makes them slow.
* `extra: deny` refuses what an object's schema does not name, wherever it declares `properties` and says nothing else.
* A misfit names the place and the keyword in the schema's own words; the call's names and values stand in no text.
* A number that a double does not hold exactly fits no schema that is about it, because the server may read another.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jsonschema_rs

from authz.core.policy.lock import ArgumentSchema
from authz.core.policy.rule import Misfit
from authz.core.wire.strict_json import InexactNumber

_MAX_PATTERN = 1_048_576
_MAX_PLACE = 128
_CLOSED = "additionalProperties"
_BELOW = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords of which every member is a schema."""
_NOT_EXACT = "number"


class SchemaError(ValueError):
    """A schema cannot be used; the text says why."""


class LockedSchema:
    """A compiled input schema (an `ArgumentSchema`)."""

    def __init__(self, schema: Mapping[str, Any], *, extra: bool = True) -> None:
        """Compile a schema.

        Args:
            schema: the tool's `inputSchema`.
            extra: whether arguments that it does not name are accepted where it says nothing about them.

        Raises:
            SchemaError: it is no schema, or refers to something outside itself.
        """
        document = dict(schema) if extra else _closed(schema)
        self._declared = frozenset(_names(schema))
        try:
            self._validator = jsonschema_rs.validator_for(
                document,
                validate_formats=True,
                ignore_unknown_formats=True,
                offline=True,
                pattern_options=jsonschema_rs.RegexOptions(size_limit=_MAX_PATTERN),
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            # The text of the library may quote the whole schema, which can be long.
            raise SchemaError(str(error).partition("\n")[0][:200]) from None

    def misfit(self, arguments: Mapping[str, Any]) -> Misfit | None:
        """Return where arguments leave the schema, None if they fit."""
        try:
            if self._validator.is_valid(arguments):
                return None
            error = next(iter(self._validator.iter_errors(arguments)), None)
        except ValueError:  # an InexactNumber is a value of no type that the library knows
            return Misfit(_place_of_inexact(arguments), _NOT_EXACT)
        if error is None:
            return None
        return Misfit(self._place(error.instance_path), str(error.schema_path[-1]))

    def _place(self, path: Iterable[str | int]) -> str:
        """Return a place in the arguments, in which only names that the schema declares are shown."""
        parts = (
            "/" + part.replace("~", "~0").replace("/", "~1")
            if isinstance(part, str) and part in self._declared
            else "/*"
            for part in path
        )
        return "".join(parts)[:_MAX_PLACE]


def _names(schema: Any) -> Iterator[str]:
    """Yield the names of properties that a schema declares, at any depth."""
    if isinstance(schema, list):
        for each in schema:
            yield from _names(each)
    elif isinstance(schema, Mapping):
        declared = schema.get("properties")
        yield from declared if isinstance(declared, Mapping) else ()
        for below in schema.values():
            yield from _names(below)


def _place_of_inexact(arguments: Mapping[str, Any]) -> str:
    """Return "" for the arguments as a whole; where in them the number stands may be the caller's own word."""
    return "/*" if any(isinstance(value, InexactNumber) for value in arguments.values()) else ""


def _closed(schema: Any) -> Any:
    """Return a schema whose objects accept only what they name, wherever they declare properties."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed = {
        name: {key: _closed(below) for key, below in member.items()}
        if name in _BELOW and isinstance(member, Mapping)
        else _closed(member)
        if isinstance(member, dict) and name in {"items", _CLOSED, "contains"}
        else member
        for name, member in schema.items()
    }
    is_object = "properties" in closed or closed.get("type") == "object"
    if is_object and closed.get(_CLOSED, True) is True and "patternProperties" not in closed:
        closed[_CLOSED] = False
    return closed


class BothSchemas:
    """Two schemas that arguments must fit (an `ArgumentSchema`): of a tool that two eras describe differently."""

    def __init__(self, one: ArgumentSchema, other: ArgumentSchema) -> None:
        """Ask `one` first."""
        self._one, self._other = one, other

    def misfit(self, arguments: Mapping[str, Any]) -> Misfit | None:
        """Return where arguments leave either schema, None if they fit both."""
        return self._one.misfit(arguments) or self._other.misfit(arguments)

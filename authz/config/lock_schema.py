"""A tool's locked input schema -> a check of a call's arguments, compiled when the file is loaded.

Rules of this module:

* JSON Schema 2020-12, or the draft that `$schema` names. Nothing is fetched: a `$ref` must be to a place in the schema
  itself (see `schema_parts`). Formats are checked. Patterns run in an engine without backtracking, so that no text makes them slow.
* `extra: deny` refuses what an object's schema does not name (see `closed_schema`). Arguments must fit the schema as the
  server wrote it besides, so closing it can never let more pass.
* Work is bounded: a schema whose references, written out, are too many parts is refused at load (`schema_work`). A misfit is explained
  only where that is cheap: the library lists every branch of every `anyOf` below, which in a recursive schema is
  exponential in the depth of the arguments, and elsewhere as many as values times branches. Whether they fit is not.
* A misfit names the place and the keyword in the schema's own words; the call's names and values stand in no text.
* A number that a double does not hold exactly fits no schema that is about it, because the server may read another.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jsonschema_rs

from authz.config.closed_schema import closed
from authz.config.schema_work import Work
from authz.core.mcp.definition import INEXACT
from authz.core.policy.lock import ArgumentSchema
from authz.core.policy.rule import Misfit
from authz.core.wire.strict_json import InexactNumber

_MAX_PATTERN = 1_048_576
_MAX_PLACE = 128
_MAX_PARTS, _MAX_EXPLAINED, _MAX_ERRORS = 20_000, 2000, 20_000
_NOT_EXACT, _NOT_EXPLAINED = "number", "schema"


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
            SchemaError: it is no schema, refers to something outside itself, or costs too much.
        """
        self._declared = frozenset(_names(schema))
        try:
            work = Work(schema, _MAX_PARTS)
            if work.parts > _MAX_PARTS:
                msg = f"with its references written out it has more than {_MAX_PARTS} parts"
                raise SchemaError(msg)
            documents = [schema] if extra else [schema, closed(schema)]
            self._validators = [_compiled(document) for document in documents]
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            raise SchemaError(_why(error)) from None
        self._most_values = _MAX_ERRORS // max(work.parts, 1)
        self._explains = work.parts <= _MAX_EXPLAINED and not (work.is_recursive and work.combines)

    def misfit(self, arguments: Mapping[str, Any]) -> Misfit | None:
        """Return where arguments leave the schema, None if they fit."""
        try:
            failed = next((each for each in self._validators if not each.is_valid(arguments)), None)
            if failed is None:
                return None
            explains = self._explains and _are_few(arguments, self._most_values)
            error = next(iter(failed.iter_errors(arguments)), None) if explains else None
        except ValueError:  # an InexactNumber is a value of no type that the library knows
            return Misfit(_place_of_inexact(arguments), _NOT_EXACT)
        if error is None:
            return Misfit("", _NOT_EXPLAINED)
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


def _why(error: Exception) -> str:
    """Return why a schema is refused; the text of the library may quote the whole of it, which can be long."""
    text = str(error).partition("\n")[0]
    if json.dumps(INEXACT)[1:-1] in text:
        return "a number in it is not held exactly by a double, so readers differ about it"
    return text[:200]


def _are_few(arguments: Mapping[str, Any], most: int) -> bool:
    """Return whether there are no more values than `most` in arguments; no more are looked at."""
    waiting: list[Any] = [arguments]
    seen = 1
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            seen += len(value)
            if seen > most:
                return False
            waiting += value.values() if isinstance(value, dict) else value
    return True


def _compiled(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(
        dict(schema),
        validate_formats=True,
        ignore_unknown_formats=True,
        offline=True,
        pattern_options=jsonschema_rs.RegexOptions(size_limit=_MAX_PATTERN),
    )


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


class BothSchemas:
    """Two schemas that arguments must fit (an `ArgumentSchema`): of a tool that two eras describe differently."""

    def __init__(self, one: ArgumentSchema, other: ArgumentSchema) -> None:
        """Ask `one` first."""
        self._one, self._other = one, other

    def misfit(self, arguments: Mapping[str, Any]) -> Misfit | None:
        """Return where arguments leave either schema, None if they fit both."""
        return self._one.misfit(arguments) or self._other.misfit(arguments)

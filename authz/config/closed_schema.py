"""A JSON schema -> the same schema that refuses what it does not name (`extra: deny`).

Rules of this module:

* A place in the arguments is closed if the schema for it names properties, or says that an object stands there. What
  counts is all that is said about the place: in the schema itself and in what it refers to or combines (`$ref`, `allOf`,
  `anyOf`, …). So of two halves under `allOf`, neither refuses what the other names.
* A branch of `anyOf` or `oneOf` is closed by itself too: what only another branch names, it does not accept.
* A schema that says what further properties have to be (`additionalProperties` or `unevaluatedProperties` with a schema)
  has named them. `true` says nothing.
* What is under `if` and `not` is left alone: closed, it would let more pass.
* A reference to a place that holds no schema is an error: what is below is closed only where schemas stand.

`unevaluatedProperties: false` says much of this in one word, but the library looks at every branch once more for it, at each
level again: arguments 22 levels deep take a second. And drafts before 2019-09 do not have it.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from authz.config.schema_parts import (
    BRANCHES,
    DEFINITIONS,
    HALVES,
    MEMBERS,
    NAMED,
    REFERENCES,
    VALUES,
    NotFollowedError,
    References,
    parts,
)

_FURTHER = ("additionalProperties", "unevaluatedProperties")
_BESIDE = (*sorted(DEFINITIONS), "$schema", "$id", "id")
"""What stands beside a reference and is read in every draft."""
_OLD_DRAFTS = ("draft-04", "draft-06", "draft-07", "draft-03")


@dataclass(frozen=True, slots=True)
class _Named:
    """What is named at one place: properties, patterns of properties; whether an object stands there, or anything may."""

    names: frozenset[str] = frozenset()
    patterns: frozenset[str] = frozenset()
    is_object: bool = False
    is_open: bool = False

    def __or__(self, other: "_Named") -> "_Named":
        return _Named(
            self.names | other.names,
            self.patterns | other.patterns,
            self.is_object or other.is_object,
            self.is_open or other.is_open,
        )


_NOTHING = _Named()


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema that refuses what it does not name.

    Raises:
        NotFollowedError: it has a reference that is not followed.
    """
    root = {"type": "object", **schema}  # arguments always are one
    return dict(_Closing(root).place(root, _NOTHING))


class _Closing:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._references = References(root)
        self.is_old = any(draft in str(root.get("$schema")) for draft in _OLD_DRAFTS)
        self.reachable = {id(each) for each in _schemas(root)}

    def place(self, schema: Any, around: _Named) -> Any:
        """Close what is said about one place; `around` is what else is named there."""
        if not isinstance(schema, Mapping):
            return schema
        said = {keyword: self._said(keyword, schema, frozenset()) for keyword in schema}
        made = self._below(schema, halves=HALVES)
        for keyword in [name for name in schema if name in BRANCHES and isinstance(schema[name], list)]:
            others = _all(around, *(each for name, each in said.items() if name != keyword))
            made[keyword] = [self.place(branch, others) for branch in schema[keyword]]
        named = _all(*said.values())
        if not named.is_object or (named | around).is_open:
            return made
        if self.is_old and "$ref" in made:  # there, what stands beside a reference is not read
            kept = {name: made[name] for name in _BESIDE if name in made}
            made = {**kept, "allOf": [{"$ref": made["$ref"]}]}
        allowed = named | around
        made["properties"] = dict.fromkeys(sorted(allowed.names), True) | dict(made.get("properties", {}))
        patterns = dict.fromkeys(sorted(allowed.patterns), True) | dict(made.get("patternProperties", {}))
        made |= {"patternProperties": patterns} if patterns else {}
        return made | {"additionalProperties": False}

    def _below(self, schema: Any, halves: AbstractSet[str] = BRANCHES | HALVES) -> Any:
        """Return a schema that is left open itself, with what it says about the places below closed.

        Args:
            schema: the schema.
            halves: the keywords whose schemas are about the same place, and are left open too.
        """
        if not isinstance(schema, Mapping):
            return schema
        made = dict(schema)
        for keyword, value in schema.items():
            if keyword in VALUES:
                is_list = isinstance(value, list)
                made[keyword] = (
                    [self.place(each, _NOTHING) for each in value] if is_list else self.place(value, _NOTHING)
                )
            elif keyword in MEMBERS and isinstance(value, Mapping):
                made[keyword] = {name: self.place(each, _NOTHING) for name, each in value.items()}
            elif keyword in NAMED and isinstance(value, Mapping):
                made[keyword] = {name: self._below(each) for name, each in value.items()}
            elif keyword in halves:
                is_list = isinstance(value, list)
                made[keyword] = [self._below(each) for each in value] if is_list else self._below(value)
        return made

    def _named(self, schema: Any, seen: frozenset[int]) -> _Named:
        """Return what a schema names at its place; `seen` are the schemas that refer to it."""
        if not isinstance(schema, Mapping) or id(schema) in seen:
            return _NOTHING
        return _all(*(self._said(keyword, schema, seen | {id(schema)}) for keyword in schema))

    def _said(self, keyword: str, schema: Mapping[str, Any], seen: frozenset[int]) -> _Named:
        value = schema[keyword]
        if keyword in REFERENCES:
            return _all(*(self._referred(found, seen) for found in self._references.of({keyword: value})))
        if keyword == "if" or keyword in BRANCHES | HALVES:
            return _all(*(self._named(each, seen) for each in parts(schema, {keyword})))
        return _own(keyword, value)

    def _referred(self, found: Any, seen: frozenset[int]) -> _Named:
        if isinstance(found, Mapping) and id(found) not in self.reachable:
            what = "with extra: deny, a reference to a place that holds no schema"
            raise NotFollowedError(what)
        return self._named(found, seen)


def _own(keyword: str, value: Any) -> _Named:
    """Return what one keyword names that refers to no other schema for the same place."""
    if keyword in MEMBERS and isinstance(value, Mapping):
        names = frozenset(value)
        is_names = keyword == "properties"
        return _Named(names, is_object=True) if is_names else _Named(patterns=names, is_object=True)
    if keyword == "type":
        return _Named(is_object=value == "object" or (isinstance(value, list) and "object" in value))
    return _Named(is_open=keyword in _FURTHER and isinstance(value, Mapping))


def _all(*named: _Named) -> _Named:
    whole = _NOTHING
    for each in named:
        whole |= each
    return whole


def _schemas(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and every schema in it that `_Closing` changes."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    for below in parts(schema, MEMBERS | VALUES | BRANCHES | HALVES | DEFINITIONS):
        yield from _schemas(below)

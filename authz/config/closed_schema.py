"""A JSON schema -> the same schema that refuses what it does not name (`extra: deny`), and how much work it asks for.

Rules of this module:

* A place in the arguments is closed if the schema for it names properties, or says that an object stands there. What
  counts is all that is said about the place: in the schema itself and in what it refers to or combines (`$ref`, `allOf`,
  `anyOf`, …). So of two halves under `allOf`, neither refuses what the other names.
* A branch of `anyOf` or `oneOf` is closed by itself too: what only another branch names, it does not accept.
* A schema that says what further properties have to be (`additionalProperties` or `unevaluatedProperties` with a schema)
  has named them. `true` says nothing.
* What is under `if` and `not` is left alone: closed, it would let more pass.
* A reference that cannot be followed here (an anchor, `$dynamicRef`) is an error, because nobody could say what is named.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

_MEMBERS = ("properties", "patternProperties")
_DEFINITIONS = ("$defs", "definitions")
_VALUES = (
    "additionalProperties",
    "unevaluatedProperties",
    "items",
    "additionalItems",
    "prefixItems",
    "unevaluatedItems",
    "contains",
)
"""Keywords whose schemas are about another place: what stands below."""
_FURTHER = ("additionalProperties", "unevaluatedProperties")
_BRANCHES = ("anyOf", "oneOf")
_HALVES = ("allOf", "then", "else", "dependentSchemas", "dependencies")
_REFERENCES = frozenset({"$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor"})
_BESIDE = (*_DEFINITIONS, "$schema", "$id", "id")
"""What stands beside a reference and is read in every draft."""
_MAX_DEPTH = 200
_OLD_DRAFTS = ("draft-04", "draft-06", "draft-07", "draft-03")


class NotFollowedError(ValueError):
    """A schema refers to something by a way that is not followed; the text says which."""

    def __init__(self, what: str) -> None:
        """Say what cannot be followed."""
        super().__init__(f"{what} cannot be followed")


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


def target(root: Mapping[str, Any], reference: str) -> Any:
    """Return what a reference within a schema points to (RFC 6901).

    Raises:
        NotFollowedError: it is no pointer to a place in the schema.
    """
    found: Any = root
    if reference not in ("", "#"):
        if not reference.startswith("#/"):
            what = "a $ref that is not #/…"
            raise NotFollowedError(what)
        for part in unquote(reference[2:]).split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                what = "a $ref to a place that is not there"
                raise NotFollowedError(what)
    return found


class _Closing:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.is_old = any(draft in str(root.get("$schema")) for draft in _OLD_DRAFTS)
        self.reachable = {id(each) for each in _schemas(root)}

    def place(self, schema: Any, around: _Named) -> Any:
        """Close what is said about one place; `around` is what else is named there."""
        if not isinstance(schema, Mapping):
            return schema
        said = {keyword: self._said(keyword, schema, frozenset()) for keyword in schema}
        made = self._below(schema)
        for keyword in (name for name in _BRANCHES if isinstance(schema.get(name), list)):
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

    def _below(self, schema: Any) -> Any:
        """Return a schema that is left open itself, with what it says about the places below closed."""
        if not isinstance(schema, Mapping):
            return schema
        made = dict(schema)
        for keyword, value in schema.items():
            if keyword in _VALUES:
                is_list = isinstance(value, list)
                made[keyword] = (
                    [self.place(each, _NOTHING) for each in value] if is_list else self.place(value, _NOTHING)
                )
            elif keyword in _MEMBERS and isinstance(value, Mapping):
                made[keyword] = {name: self.place(each, _NOTHING) for name, each in value.items()}
            elif keyword in (*_DEFINITIONS, "dependentSchemas", "dependencies") and isinstance(
                value, Mapping
            ):
                made[keyword] = {name: self._below(each) for name, each in value.items()}
            elif keyword in (*_BRANCHES, *_HALVES):
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
        if keyword in _REFERENCES:
            raise NotFollowedError(keyword)
        if keyword == "$ref":
            return self._referred(value, seen)
        if keyword in (*_BRANCHES, *_HALVES, "if"):
            return _all(*(self._named(each, seen) for each in _parts({keyword: value}, (keyword,))))
        return _own(keyword, value)

    def _referred(self, reference: Any, seen: frozenset[int]) -> _Named:
        found = target(self.root, reference) if isinstance(reference, str) else None
        if isinstance(found, Mapping) and id(found) not in self.reachable:
            what = "a $ref to a place that holds no schema"
            raise NotFollowedError(what)
        return self._named(found, seen)


def _own(keyword: str, value: Any) -> _Named:
    """Return what one keyword names that refers to no other schema for the same place."""
    if keyword in _MEMBERS and isinstance(value, Mapping):
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
    for below in _parts(schema, (*_VALUES, *_BRANCHES, *_HALVES)):
        yield from _schemas(below)
    for name in _DEFINITIONS:
        members = schema.get(name)
        for below in members.values() if isinstance(members, Mapping) else ():
            yield from _schemas(below)


def _parts(schema: Mapping[str, Any], keywords: tuple[str, ...]) -> Iterator[Any]:
    """Yield the schemas under keywords, and those of properties."""
    for keyword, value in schema.items():
        if keyword in _MEMBERS or (keyword.startswith("depend") and keyword in keywords):
            yield from value.values() if isinstance(value, Mapping) else ()
        elif keyword in keywords:
            yield from value if isinstance(value, list) else (value,)


class Work:
    """How much work a schema can ask for, from its parts when every reference is written out.

    Attributes:
        parts: how many there are; no more than one beyond the limit is counted.
        is_recursive: whether it refers to itself, and so has as many as the arguments are deep.
        combines: whether several of its parts are about one place.
    """

    def __init__(self, schema: Mapping[str, Any], limit: int) -> None:
        """Count the parts."""
        self.parts, self.is_recursive, self.combines = 0, False, False
        self._root, self._limit = schema, limit
        self._count(schema, frozenset())

    def _count(self, schema: Any, within: frozenset[int]) -> None:
        if not isinstance(schema, Mapping) or self.parts > self._limit:
            return
        if len(within) > _MAX_DEPTH:
            self.parts = self._limit + 1
            return
        if id(schema) in within or not _REFERENCES.isdisjoint(schema):
            self.is_recursive = True
            if id(schema) in within:
                return
        self.parts += 1
        combining = (*_BRANCHES, *_HALVES, "if", "not")
        self.combines = self.combines or not schema.keys().isdisjoint(combining)
        within |= {id(schema)}
        for below in _parts(schema, (*_VALUES, *combining, "propertyNames")):
            self._count(below, within)
        if isinstance(schema.get("$ref"), str):
            try:
                self._count(target(self._root, schema["$ref"]), within)
            except NotFollowedError:  # by an anchor, perhaps to itself
                self.is_recursive = True

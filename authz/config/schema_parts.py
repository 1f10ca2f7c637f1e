"""The parts of a JSON schema: which schemas stand in it, and what its references point to, from its text alone.

Rules of this module:

* Keywords are those of every draft at once: what a draft does not read is looked at too, which is never too little.
* Followed are pointers (`#/$defs/side`, RFC 6901), the root (`#`), anchors, and with them `$dynamicRef` and
  `$recursiveRef`: a schema that is one resource has no other scope that could give them another meaning.
* So an `$id` below the root, which begins a resource of its own, is an error. It is looked for in every object, also
  where no schema stands, because a pointer may lead there.
* An anchor that stands twice points to both.
* What cannot be followed is an error: nobody could say what it names, or how much work it is.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any
from urllib.parse import unquote

MEMBERS = frozenset({"properties", "patternProperties"})
DEFINITIONS = frozenset({"$defs", "definitions"})
VALUES = frozenset(
    {
        "additionalProperties",
        "unevaluatedProperties",
        "items",
        "additionalItems",
        "prefixItems",
        "unevaluatedItems",
        "contains",
    }
)
"""Keywords whose schemas are about another place: what stands below."""
BRANCHES = frozenset({"anyOf", "oneOf"})
HALVES = frozenset({"allOf", "then", "else", "dependentSchemas", "dependencies"})
NAMED = MEMBERS | DEFINITIONS | {"dependentSchemas", "dependencies"}
"""Keywords under which schemas have names."""
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_ANCHORS = ("$anchor", "$dynamicAnchor")


class NotFollowedError(ValueError):
    """A schema refers to something by a way that is not followed; the text says which."""

    def __init__(self, what: str) -> None:
        """Say what cannot be followed."""
        super().__init__(f"{what} cannot be followed")


class References:
    """The references within one schema."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        """Find the anchors of a schema.

        Raises:
            NotFollowedError: a part of it is a resource of its own.
        """
        self._root = root
        self._anchors: dict[str, list[Any]] = {}
        names = ("id", "$id") if "draft-04" in str(root.get("$schema")) else ("$id",)
        for each in _objects(root):
            identities = [value for name in names if isinstance(value := each.get(name), str)]
            if each is not root and any(not value.startswith("#") for value in identities):
                what = "an $id below the root"
                raise NotFollowedError(what)
            anchors = [value for name in _ANCHORS if isinstance(value := each.get(name), str)]
            for anchor in {*anchors, *(value[1:] for value in identities if value.startswith("#"))}:
                self._anchors.setdefault(anchor, []).append(each)

    def of(self, schema: Mapping[str, Any]) -> list[Any]:
        """Return what a schema refers to.

        Raises:
            NotFollowedError: it refers to something that is not followed.
        """
        return [found for name in REFERENCES if name in schema for found in self._targets(name, schema[name])]

    def _targets(self, keyword: str, reference: Any) -> list[Any]:
        if isinstance(reference, str) and reference in ("", "#"):
            return [self._root]
        if isinstance(reference, str) and reference.startswith("#/"):
            return [self._place(unquote(reference[2:]).split("/"))]
        if isinstance(reference, str) and reference.startswith("#"):
            found = self._anchors.get(unquote(reference[1:]))
            if found:
                return found
        what = f"a {keyword} that leads out of the schema"
        raise NotFollowedError(what)

    def _place(self, pointer: list[str]) -> Any:
        found: Any = self._root
        for part in pointer:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                what = "a $ref to a place that is not there"
                raise NotFollowedError(what)
        return found


def parts(schema: Mapping[str, Any], keywords: AbstractSet[str]) -> Iterator[Any]:
    """Yield the schemas that stand under keywords."""
    for keyword in keywords & schema.keys():
        value = schema[keyword]
        if keyword in NAMED:
            yield from value.values() if isinstance(value, Mapping) else ()
        else:
            yield from value if isinstance(value, list) else (value,)


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every object in a value."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            yield each
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each

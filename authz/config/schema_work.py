"""How much work a JSON schema can ask for, from its parts when every reference is written out.

Rules of this module:

* A schema that is referred to twice is two parts, because the library looks at it twice; one that refers to itself is
  counted once, because there the library remembers what it saw.
* Below `unevaluatedProperties` or `unevaluatedItems`, whatever is combined about the same place (`anyOf`, `allOf`, …) counts
  twice, and twice again at each level: to know what is left over, the library asks it once more.
"""

from collections.abc import Mapping
from typing import Any

from authz.config.schema_parts import BRANCHES, HALVES, MEMBERS, VALUES, References, parts

_MAX_DEPTH = 200
_COMBINING = BRANCHES | HALVES | {"if", "not"}
_BELOW = MEMBERS | VALUES | {"propertyNames"}
_LEFT_OVER = ("unevaluatedProperties", "unevaluatedItems")


class Work:
    """How much work a schema can ask for.

    Attributes:
        parts: how many there are; no more than those of one schema beyond the limit are counted.
        is_recursive: whether it refers to itself, and so has as many as the arguments are deep.
        combines: whether several of its parts are about one place.
    """

    def __init__(self, schema: Mapping[str, Any], limit: int) -> None:
        """Count the parts.

        Raises:
            NotFollowedError: it has a reference that is not followed.
        """
        self.parts, self.is_recursive, self.combines = 0, False, False
        self._references, self._limit = References(schema), limit
        self._count(schema, frozenset(), 1, doubles=False)

    def _count(self, schema: Any, within: frozenset[int], weight: int, *, doubles: bool) -> None:
        """Count a schema.

        Args:
            schema: the schema.
            within: the schemas around it.
            weight: how often it is looked at.
            doubles: whether what is combined about its place is looked at twice.
        """
        if not isinstance(schema, Mapping) or self.parts > self._limit:
            return
        if len(within) > _MAX_DEPTH:
            self.parts = self._limit + 1
            return
        if id(schema) in within:
            self.is_recursive = True
            return
        self.parts += weight
        within |= {id(schema)}
        doubles = doubles or any(name in schema for name in _LEFT_OVER)
        combined = list(parts(schema, _COMBINING))
        self.combines = self.combines or bool(combined)
        for below in combined:
            self._count(below, within, weight * 2 if doubles else weight, doubles=doubles)
        for below in parts(schema, _BELOW):
            self._count(below, within, weight, doubles=False)
        for below in self._references.of(schema):
            self._count(below, within, weight, doubles=doubles)

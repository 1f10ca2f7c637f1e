"""What a server says about one of its items, and one digest for every way of writing the same.

Rules of this module:

* A definition is what a model or a client acts on: every member of the item, and of its `_meta` what leads to an
  interface (`ui`, `ui/…`, any URI `ui:…`) or is read by the clients of a vendor (`openai/…`, `anthropic/…`: a search
  hint there is text for a model). Other members of `_meta` are a server's notes to itself (a build number, tags) and
  are left out: they change without a change of meaning. A member that is null counts as absent.
* Two texts are one definition if they are one value: the digest is SHA-256 over the canonical JSON of RFC 8785, to
  which the order of members, white space, escapes and the spelling of a number are nothing.
* A number that a double does not hold exactly is kept as it was written (RFC 8785 would round it), so that no change of
  it is lost.
* What two readers could understand differently has no digest: a key that occurs twice, at any depth.
* Nor has an item beyond the bounds, which are counted first: lists pass in the thread that serves, and digesting takes
  up to 20 ms at the bounds.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785

from authz.core.wire.confusables import OverBudgetError
from authz.core.wire.strict_json import InexactNumber, StrictJSONError, loads_marked

_SAFE = 2**53 - 1
_MAX_BYTES, _MAX_DEPTH, _MAX_VALUES = 98_304, 64, 4000
INEXACT = "\0number"
"""The member that stands for a number that is not exact; no server's schema has a name with U+0000."""
_META = "_meta"
_INTERFACE, _INTERFACE_SCHEME = "ui", "ui:"
_READ_PREFIXES = ("ui/", "openai/", "anthropic/")


class UnreadableDefinitionError(ValueError):
    """An item could be read in two ways, or is beyond the bounds; the text is fixed."""


def read_definition(document: bytes) -> dict[str, Any]:
    """Return the definition in an item as a server wrote it.

    Args:
        document: the item's JSON object.

    Raises:
        UnreadableDefinitionError: it is no object that every reader reads alike, or it is too large.
    """
    if len(document) > _MAX_BYTES:
        msg = f"longer than {_MAX_BYTES} bytes"
        raise UnreadableDefinitionError(msg)
    try:
        item = loads_marked(document, max_depth=_MAX_DEPTH, nodes=_MAX_VALUES, keys=_MAX_VALUES)
    except (StrictJSONError, OverBudgetError):
        item = None
    if not isinstance(item, dict):
        msg = f"not one JSON object to every reader, or of more than {_MAX_VALUES} values"
        raise UnreadableDefinitionError(msg)
    return definition_of(marked(item))


def definition_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of an item that are its definition, in their order."""
    kept = {name: value for name, value in item.items() if value is not None and name != _META}
    meta = item.get(_META)
    if isinstance(meta, Mapping):
        read = {name: value for name, value in meta.items() if value is not None and _is_read(name, value)}
        if read:
            kept[_META] = read
    return kept


def _is_read(name: str, value: Any) -> bool:
    is_uri = isinstance(value, str) and value.lower().startswith(_INTERFACE_SCHEME)
    return name == _INTERFACE or is_uri or name.startswith(_READ_PREFIXES)


def marked(value: Any) -> Any:
    """Return a value in which a number that is not exact is an object that holds its text."""
    if isinstance(value, InexactNumber):
        return {INEXACT: value.literal}
    if isinstance(value, int) and abs(value) > _SAFE:
        return float(
            value
        )  # exact, or it were an InexactNumber; RFC 8785 knows larger numbers as doubles only
    if isinstance(value, dict):
        return {name: marked(member) for name, member in value.items()}
    return [marked(each) for each in value] if isinstance(value, list) else value


def digest_of(definition: Mapping[str, Any]) -> str:
    """Return the digest of a definition: `sha256:` and 64 hexadecimal digits over its canonical JSON (RFC 8785).

    Raises:
        UnreadableDefinitionError: it has no canonical form.
    """
    return f"sha256:{hashlib.sha256(canonical(definition)).hexdigest()}"


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return the canonical JSON of an object (RFC 8785).

    Raises:
        UnreadableDefinitionError: it has none.
    """
    try:
        return rfc8785.dumps(dict(value))
    except (rfc8785.CanonicalizationError, RecursionError):
        msg = "no canonical JSON"
        raise UnreadableDefinitionError(msg) from None

"""Header names that a server may read as one of those that are set or judged here, and values that arrive changed.

Rules of this module:

* CGI-style servers fold names (RFC 3875 section 4.1.18): `X_Mcp_Subject` and `X-Mcp-Subject` are one variable there, and
  some fold every character that is neither a letter nor a digit. A field name may hold fifteen such characters (RFC 9110
  section 5.6.2), so names are compared with all of them folded to a hyphen.
* Another spelling of a name that the service sets is removed. One with an underscore is refused instead: it is the
  spelling that servers do fold, no honest client sends it, and a refusal leaves a record.
* Another spelling of a name that is judged is refused: the server might read it instead of what was judged.
* Every other name passes as it is, whatever is in it. Servers declare parameters such as `user_id`, which come as
  `Mcp-Param-user_id`.
* A judged value is ASCII, because servers disagree on the charset of anything else. Bytes that are not UTF-8 show only
  where Envoy hands headers over as a list (`encode_raw_headers`). In its map `!` stands for each, so the byte FF at the
  end of a name agrees there with a body that has `!` at that place.
"""

import re
from collections.abc import Iterable, Mapping

IDENTITY_HEADERS = ("x-mcp-subject", "x-mcp-client", "x-mcp-scopes", "x-mcp-issuer")
"""Headers by which an allowed request carries the caller's identity upstream."""
SESSION_ID = "mcp-session-id"
LAST_EVENT_ID = "last-event-id"
PARAMETER_PREFIX = "mcp-param-"

SET = frozenset({*IDENTITY_HEADERS, SESSION_ID, LAST_EVENT_ID})
"""Names that the service sets on the way upstream."""
ASCII_VALUES = ("mcp-method", "mcp-name", "mcp-protocol-version", SESSION_ID, LAST_EVENT_ID)
"""Headers whose value must be ASCII; `PARAMETER_PREFIX` begins the names of others."""
JUDGED = (
    frozenset(ASCII_VALUES)
    | {"authorization", "cookie", "host", "origin", "forwarded"}
    | {"content-type", "content-encoding", "content-length", "transfer-encoding", "accept-encoding"}
    | {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip"}
    | {"x-original-url", "x-rewrite-url", "x-http-method-override", "x-http-method", "x-method-override"}
) - SET
"""Names that the service or Envoy judges, sets or removes, in the spelling in which it does."""
_JUDGED_PREFIXES = (PARAMETER_PREFIX, "x-envoy-")

_USUAL = b"abcdefghijklmnopqrstuvwxyz0123456789:-\n"
_unusual = re.compile(r"[^a-z0-9\n:-]").search
_not_alphanumeric = re.compile(r"[^a-z0-9]")


def fold(name: str) -> str:
    """Return a header's name as a server that folds names most may read it."""
    return _not_alphanumeric.sub("-", name.lower())


def unusual(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that folding would change; one look at all names, because there is rarely one."""
    joined = "\n".join(names)
    if not joined.encode("ascii", "replace").translate(None, _USUAL):  # a third of what the search costs
        return ()
    return tuple(filter(_unusual, joined.split("\n")))


def respelled(names: Iterable[str]) -> list[str]:
    """Return the names that are another spelling of one that the service sets."""
    return [name for name in unusual(names) if fold(name) in SET]


def misleading(headers: Mapping[str, str], read: frozenset[str] | None) -> bool:
    """Return whether a server may read one header of a request as another that is judged.

    Args:
        headers: the request's headers by lower-case name.
        read: names of the headers that rules read; None if they can read all of them.
    """
    names = unusual(headers)
    return bool(names) and (
        any(_misleads(name, headers, read) for name in names) or _collide(name for name in headers)
    )


def _misleads(name: str, headers: Mapping[str, str], read: frozenset[str] | None) -> bool:
    folded = fold(name)
    if folded in SET:
        return "_" in name
    if folded in JUDGED or any(folded.startswith(p) and not name.startswith(p) for p in _JUDGED_PREFIXES):
        return True
    return folded in (headers if read is None else read)


def _collide(names: Iterable[str]) -> bool:
    """Return whether two parameters are one to a server that folds names."""
    parameters = [fold(name) for name in names if name.startswith(PARAMETER_PREFIX)]
    return len(set(parameters)) < len(parameters)


def all_ascii(headers: Mapping[str, str]) -> bool:
    """Return whether no judged value holds anything but ASCII; one look at all values, because they rarely do."""
    if "".join(headers.values()).isascii():
        return True
    return all(
        value.isascii()
        for name, value in headers.items()
        if name in ASCII_VALUES or name.startswith(PARAMETER_PREFIX)
    )

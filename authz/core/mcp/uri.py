r"""What else a server could read in a resource's URI.

A rule compares text; a server parses, decodes, walks a path. `db:///%73ecret/x` and `db:///Secret/x` are not the text
of a rule about `db:///secret/*`, and may be the same row to the server. Which steps a server takes is not known here,
so a URI is judged only where it does not matter.

Rules of this module:

* A URI comes in its canonical spelling (RFC 3986 section 6.2.2): scheme and host in lower case, no escape of an
  unreserved character, escapes in upper case, no dot segment; and no backslash, which no URI has. Any other spelling is refused, not corrected: what goes
  upstream is what was sent.
* Only the schemes of the web and `file` have a host whose case has no meaning. In `greeting://Alice` the name stands
  where a host would, and servers read it as it is.
* Escapes are undone until none is left, as UTF-8 and nothing else: `%C0%AE` is a dot to a lax decoder and an error
  to a strict one. A dot segment or a new separator that appears on the way is refused, so is a control character.
* What is left is the *reading*: letters without case and compatibility forms, `\` as `/`, runs of `/` as one, no white
  space, no dots at the end of a segment, no invisible marks. It is coarser than any single server. Where the rules
  about the reading are the rules about the URI, no server can take it for something that other rules are about.
* `bare` drops what some servers cut off: query, fragment, parameters, user, trailing slash. Queries may tell
  resources apart, so this reading counts for denies only.

The caller looks at the length before: folding takes time in proportion to it.
"""

import re
import unicodedata
from collections.abc import Sequence
from urllib.parse import unquote

from authz.core.wire.bounded_cache import BoundedCache
from authz.core.wire.confusables import fold

_MAX_ROUNDS = 8
"""Times that escapes are undone; a URI that still changes then is refused."""

_HOSTS_WITHOUT_CASE = frozenset({"http", "https", "ws", "wss", "ftp", "file"})
_START = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(?://([^/?#]*))?")
_BAD_ESCAPE = re.compile(
    r"%(?![0-9A-F]{2})"
    r"|%(?:2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])"  # unreserved: ALPHA DIGIT - . _ ~
)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]")
_WIDE_ESCAPE = re.compile(r"%u[0-9a-f]{4}")
_QUERY = re.compile(r"[?#]")

_MAX_MARKS = 30
"""Combining characters in a row (UAX #15, Stream-Safe Text Format); normalising takes time in the square of them."""
_MAX_FOREIGN = 512
"""Longest text beyond ASCII that is folded, in characters."""
_MAX_GROWTH = 4
"""Times its length to which a text may grow when it is folded; one Arabic ligature stands for eighteen letters."""
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Printable characters without a glyph."""

_DOT_SEGMENT = re.compile(r"(?:^|[/\\?#;:])\.+(?:[/\\?#;]|$)")
_SPACE = re.compile(r"\s+")
_LAST_DOTS = re.compile(r"\.+(?=[/\\]|$)")
_SLASHES = re.compile(r"[/\\]+")
_LOCALHOST = re.compile(r"^file:/localhost(?=/)")
_DEFAULT_PORT = re.compile(r"^((?:http|ws):/[^/]*):(?:80)?(?=/|$)|^((?:https|wss):/[^/]*):(?:443)?(?=/|$)")
_STAR = "\ue000"
"""Stands for `*` of a pattern while it is folded; for private use, so no URI holds it."""


def is_canonical(uri: str) -> bool:
    """Return whether the case of scheme and host and the escapes are as RFC 3986 section 6.2.2 normalises them.

    Dot segments are not looked at here.
    """
    if "\\" in uri or ("%" in uri and _BAD_ESCAPE.search(uri)):
        return False
    start = _START.match(uri)
    if start is None:
        return True
    scheme, host = start[1], (start[2] or "").rpartition("@")[2]
    return scheme.islower() and (scheme not in _HOSTS_WITHOUT_CASE or host == host.lower())


def canonical(uri: str) -> str:
    """Return the canonical spelling of a URI, apart from dot segments; for people who write one."""
    spelled = _ESCAPE.sub(_normal_escape, uri)
    start = _START.match(spelled)
    if start is None:
        return spelled
    scheme, authority = start[1].lower(), start[2]
    if authority is not None and scheme in _HOSTS_WITHOUT_CASE:
        user, at, host = authority.rpartition("@")
        authority = user + at + host.lower()
    return f"{scheme}:{'' if authority is None else '//' + authority}{spelled[start.end() :]}"


def _normal_escape(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()


def reading(uri: str) -> str | None:
    """Return what every server's reading of a URI comes down to.

    Returns:
        The reading; None if the URI is not canonical, or means different things by itself.
    """
    if not is_canonical(uri):
        return None
    path, rest = _split(uri)
    folded_path, folded_rest = _undo(path), _undo(rest)
    if folded_path is None or folded_rest is None or _separators(folded_path) != _separators(path):
        return None
    folded = folded_path + folded_rest
    if _DOT_SEGMENT.search(_SPACE.sub("", folded)):
        return None
    return _merge(folded_path) + _merge_rest(folded_rest)


_MAX_CHARS = 32_768
"""Characters of all URIs that one request may name: each is read several times."""


def are_clear(uris: Sequence[str]) -> bool:
    """Return whether each URI has one reading, and all of them are short enough to tell.

    The rules have no part in that.
    """
    return sum(map(len, uris)) <= _MAX_CHARS and all(remembered_reading(uri) is not None for uri in uris)


READINGS: BoundedCache[str, tuple[str | None]] = BoundedCache(256)
"""Readings of what authenticated callers asked for; a request needs each twice, for itself and for the rules."""
_REMEMBERED_CHARS = 4096


def remembered_reading(uri: str) -> str | None:
    """Return `reading`, remembered; for the thread that decides, because no other may write to the memory."""
    known = READINGS.get(uri)
    if known is None:
        known = (reading(uri),)
        if len(uri) <= _REMEMBERED_CHARS:
            READINGS.put(uri, known)
    return known[0]


def pattern_reading(text: str) -> tuple[str, ...]:
    """Return the literal parts of what a rule's name or pattern matches in readings; one part is an exact name."""
    path, rest = (_undo(part) or _letters(part) for part in _split(text.replace("*", _STAR)))
    return tuple((_merge(path) + _merge_rest(rest)).split(_STAR))


_USER = re.compile(r"^([^/]*:/)[^/]*@")
_PARAMETERS = re.compile(r";[^/]*")


def bare(read: str) -> frozenset[str]:
    """Return what is left of a reading without parameters, query and fragment, user and trailing slash.

    Which is cut off first makes a difference: to some servers a parameter ends only at the next slash.
    """
    whole = _PARAMETERS.sub("", read)
    cut = {whole, _split(whole)[0], _PARAMETERS.sub("", _split(read)[0])}
    merged = map(_merge, cut)  # what is cut off uncovers dots and slashes
    return frozenset(_USER.sub(r"\1", path).rstrip("/") for path in merged)


def _split(uri: str) -> tuple[str, str]:
    """Cut a URI where query or fragment begins."""
    found = _QUERY.search(uri)
    return (uri, "") if found is None else (uri[: found.start()], uri[found.start() :])


def _undo(text: str) -> str | None:
    """Undo escapes and fold letters until nothing changes; None for what has no single reading."""
    for _ in range(_MAX_ROUNDS):
        try:
            decoded = unquote(text, errors="strict") if "%" in text else text
        except UnicodeDecodeError:
            return None
        if not _is_legible(decoded):
            return None
        folded = _letters(decoded)
        if folded == text:
            return text
        if len(folded) > _MAX_GROWTH * len(decoded):
            return None
        text = folded
    return None


def _is_legible(text: str) -> bool:
    """Return whether a text has no control character and no run of combining ones that is costly to normalise."""
    printable = text.replace(_STAR, "").isprintable() and not ("%u" in text and _WIDE_ESCAPE.search(text))
    return printable and (text.isascii() or (len(text) <= _MAX_FOREIGN and not _has_long_run(text)))


def _has_long_run(text: str) -> bool:
    run = 0
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        if run > _MAX_MARKS:
            return True
    return False


def _letters(text: str) -> str:
    return fold(text) if text.isascii() else fold(_IGNORABLE.sub("", text))


def _separators(path: str) -> int:
    return path.count("/") + path.count("\\")


def _merge(path: str) -> str:
    merged = _SLASHES.sub("/", _LAST_DOTS.sub("", _SPACE.sub("", path)))
    return _DEFAULT_PORT.sub(r"\1\2", _LOCALHOST.sub("file:", merged))


def _merge_rest(rest: str) -> str:
    return _SLASHES.sub("/", _SPACE.sub("", rest)) if rest else ""

"""The text of an event id between the server's stream and the client's `Last-Event-ID` header.

A client repeats an id in a header, and a header cannot hold everything that a stream can. An id that a header holds as
it is stays readable. Any other is written in base64url behind `~`: what is not ASCII, because clients disagree on its
encoding, spaces at an end, which every hop may drop, and an id that begins with `~` itself. An id with control
characters has no text: no header can bring it back.
"""

import base64
import re

_CODED = "~"
_plain = re.compile(r"(?!~)[!-~](?:[ -~]*[!-~])?").fullmatch
_has_control = re.compile(r"[\x00-\x1f\x7f-\x9f]").search


def to_text(raw: bytes) -> str | None:
    """Return the text of an id as it stands in a stream; None if no header can bring it back."""
    try:
        value = raw.decode()
    except UnicodeDecodeError:
        return None
    if not value or _has_control(value):
        return None
    return value if _plain(value) else _CODED + base64.urlsafe_b64encode(raw).decode()


def to_id(text: str) -> str:
    """Return the id of a text that `to_text` wrote.

    Raises:
        ValueError: it did not write it.
    """
    return base64.urlsafe_b64decode(text[1:]).decode() if text.startswith(_CODED) else text

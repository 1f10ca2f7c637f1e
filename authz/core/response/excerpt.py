"""The items of a list, taken out of the message around them.

A list is nearly all of its message. To open the message level by level, down to the items, is to read all of it at each
level. So the items are found from both ends, and a mark takes their place: what is left is a short message, which is
opened as any other.

Why that is safe: how a parser of JSON goes on depends only on what it has read. If the short message, strictly opened, has
the mark alone as that list, and the mark stands nowhere else in it, then a parser that has read what stands before the
items is inside of that list. If the items are read as a list of their own, each complete, it is there again after them.
So what was taken out are the items of that list and all of them, wherever the two ends were looked for. Where one of
these does not hold, the whole message is opened instead, and nothing was decided.
"""

from dataclasses import dataclass

from authz.core.response.item_reader import LISTS

_MARK = b'{"\x1aitems":0}'.replace(b"\x1a", b"\\u001a")
_ENDS = 4096
"""Bytes at either end of a message in which a list begins and ends."""
_BEGIN, _END = b'":[{', b"}]"


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A message, and the items of one of its lists.

    Attributes:
        member: the member of the result that holds the list.
        rest: the message with `marked` in the place of the list.
        items: the list.
    """

    member: str
    rest: bytes
    items: bytes


MARKED = b"[" + _MARK + b"]"


def take_out(document: bytes) -> Excerpt | None:
    """Take the items of the first list of objects out of a message, if it may be one that is judged; None if not."""
    found = document.find(_BEGIN, 0, _ENDS)
    if found < 0:
        return None
    start = found + len('":')
    member = document[document.rfind(b'"', 0, found) + 1 : found].decode("latin-1")
    if member not in LISTS:
        return None
    end = document.rfind(_END, max(start, len(document) - _ENDS)) + len(_END)
    if end < len(_END):
        return None
    rest = document[:start] + MARKED + document[end:]
    if rest.count(_MARK) != 1:
        return None
    return Excerpt(member, rest, document[start:end])

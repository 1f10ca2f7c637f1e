"""Server-sent events: the framing alone, with every byte accounted for.

Source: WHATWG HTML 9.2.5 and 9.2.6 ("Parsing an event stream", "Interpreting an event stream").

Rules of this module:

* The stream is cut into events, and the raw bytes of all events in order are the stream, however it was chunked.
  Who passes every `raw` on has changed nothing.
* Lines end in CR LF, LF or CR. A line that ends in CR at the end of a chunk is complete at once: waiting for a LF
  that may never come would hold an event back. If the LF does come, it leads the next event, where it means nothing.
* An event ends with its blank line. A comment that leads an event is cut off by itself, so that a keep-alive is not
  held until something follows it. A byte order mark at the start of the stream is cut off likewise.
* `data` is what a client sees: the values of the data lines, less one leading space each, joined by LF. Other fields
  are not interpreted. Case counts, white space before the colon counts: `Data: x` and `data : x` are unknown fields.
* What the stream ends with, without a blank line, is an event here, though a client should discard it: some do not.
* An event larger than the bound makes the parser overflow: it forgets what it holds and yields nothing more.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_EOL = re.compile(rb"\r\n|\r|\n")
_ID_LINES = (b"\nid:", b"\rid:")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event.

    Attributes:
        raw: its exact bytes, the blank line included.
        data: its data as a client joins it; empty for none.
    """

    raw: bytes
    data: bytes

    @property
    def named(self) -> bool:
        """Whether it has an id, so that a stream can be resumed after it; a line that looks like one counts."""
        return any(start in self.raw for start in _ID_LINES) or self.raw.startswith(b"id:")


class Parser:
    """Cuts one stream into events. Not to be fed again once `overflowed` is true or `close` was called."""

    def __init__(self, *, max_bytes: int) -> None:
        """Begin a stream whose events may have `max_bytes` bytes each."""
        self.overflowed = False
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._line = 0  # where in the buffer the line being read begins
        self._scan = 0  # up to where the buffer is known to hold no end of that line
        self._after_cr = False
        self._begun = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes of the stream, and give the events they complete.

        Returns:
            The events up to the first that is too large; `overflowed` tells whether there was one.
        """
        if not chunk or self.overflowed:
            return []
        if self._after_cr and chunk.startswith(b"\n"):
            self._line = self._scan = len(self._buffer) + 1
        self._after_cr = chunk.endswith(b"\r")
        self._buffer += chunk
        events = [event for event in self._complete() if self._fits(len(event.raw))]
        self._fits(len(self._buffer))
        return events

    def close(self) -> Event | None:
        """End the stream: what is left of it, if anything, as a last event."""
        return self._take(len(self._buffer)) if self._buffer else None

    def _complete(self) -> Iterator[Event]:
        if (event := self._byte_order_mark()) is not None:
            yield event
        while not self.overflowed and (eol := _EOL.search(self._buffer, self._scan)):
            if eol.start() == self._line or self._leading_comment():
                yield self._take(eol.end())
            else:
                self._line = self._scan = eol.end()
        self._scan = len(self._buffer)

    def _byte_order_mark(self) -> Event | None:
        head = bytes(self._buffer[: len(_BOM)])
        if self._begun or (head != _BOM and _BOM.startswith(head)):
            return None
        self._begun = True
        return self._take(len(_BOM)) if head == _BOM else None

    def _leading_comment(self) -> bool:
        leads = self._line == 0 or (self._line == 1 and self._buffer.startswith(b"\n"))
        return leads and self._buffer.startswith(b":", self._line)

    def _take(self, end: int) -> Event:
        raw = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._line = self._scan = 0
        return Event(raw=raw, data=_data(raw))

    def _fits(self, size: int) -> bool:
        if size > self._max_bytes:
            self.overflowed = True
            self._buffer.clear()
        return not self.overflowed


def with_data(event: Event, data: bytes) -> bytes:
    """Write an event with other data, and every other line as it was.

    Args:
        event: an event with at least one data line; one without is returned as it is.
        data: the new data. It takes as many data lines as it has lines, where the first data line stood, each ended
            as that one was.

    Returns:
        The new event's bytes. A client joins its data to `data`, with LF for every end of line in it.
    """
    lines: list[bytes] = []
    written = False
    for line in event.raw.splitlines(keepends=True):
        if _value(line) is None:
            lines.append(line)
        elif not written:
            lines.append(_data_lines(data, line[len(line.rstrip(b"\r\n")) :]))
            written = True
    return b"".join(lines)


def with_ids(event: Event, change: Callable[[bytes], bytes | None]) -> Event:
    """Return an event with other ids, and every other byte as it was.

    Args:
        event: an event.
        change: from an id to the one to write; None leaves the line out, so that the id of the event before it counts.
            An empty id is not asked about: it tells a client to forget the last one.
    """
    if not event.named:
        return event
    lines = (_with_id(line, change) for line in event.raw.splitlines(keepends=True))
    return Event(raw=b"".join(lines), data=event.data)


def _with_id(line: bytes, change: Callable[[bytes], bytes | None]) -> bytes:
    text = line.rstrip(b"\r\n")
    field, _, value = text.partition(b":")
    value = value.removeprefix(b" ")
    if field != b"id" or not value:
        return line
    changed = change(value)
    return b"" if changed is None else text[: len(text) - len(value)] + changed + line[len(text) :]


def without_data(event: Event) -> bytes:
    """Write an event without its data, and every other line as it was: a client counts its id and is told nothing."""
    return b"".join(line for line in event.raw.splitlines(keepends=True) if _value(line) is None)


def _data_lines(data: bytes, eol: bytes) -> bytes:
    return b"data: " + ((eol or b"\n") + b"data: ").join(_EOL.split(data)) + eol


def _data(raw: bytes) -> bytes:
    values = (_value(line) for line in raw.splitlines())
    return b"\n".join(value for value in values if value is not None)


def _value(line: bytes) -> bytes | None:
    """The value of a data line; None for any other line."""
    field, _, value = line.rstrip(b"\r\n").partition(b":")
    return value.removeprefix(b" ") if field == b"data" else None

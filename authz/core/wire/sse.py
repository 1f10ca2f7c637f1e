"""Server-sent events: the framing alone, with every byte accounted for.

Source: WHATWG HTML 9.2.5 and 9.2.6 ("Parsing an event stream", "Interpreting an event stream").

Rules of this module:

* The stream is cut into events, and the raw bytes of all events in order are the stream, however it was chunked.
  Who passes every `raw` on has changed nothing.
* Lines end in CR LF, LF or CR. A line that ends in CR at the end of a chunk is complete at once: waiting for a LF
  that may never come would hold an event back. If the LF does come, it is a blank line, where it means nothing.
* An event ends with its blank line. Comments that lead an event are cut off, so that a keep-alive is not held until
  something follows it. A byte order mark at the start of the stream is cut off likewise.
* `data` is what a client sees: the values of the data lines, less one leading space each, joined by LF. Other fields
  are not interpreted. Case counts, white space before the colon counts: `Data: x` and `data : x` are unknown fields.
* Blank lines and comments that follow one another are one event without data: a client does nothing with any of them,
  and one piece a line would cost more than everything else that a stream can hold.
* Work is linear in bytes: each is looked for an end of line once, and the lines of an event are read by one pass of a
  regular expression each time the event is read or written, not one by one. An event may have `MAX_LINES` lines.
* What the stream ends with, without a blank line, is an event here, though a client should discard it: some do not.
* An event larger than the bounds makes the parser overflow: it forgets what it holds and yields nothing more.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_LINES = 32_768
"""Most lines of one event: JSON of half a megabyte, written with a line for each value."""

_EOL = re.compile(rb"\r\n|\r|\n")
_IDLE = re.compile(rb"(?:[\r\n]++|:[^\r\n]*+(?:\r\n|[\r\n]))++")
_DATA = re.compile(rb"(?:\A|(?<=[\r\n]))data(?::\x20?([^\r\n]*+)|(?=[\r\n]|\Z))")
_DATA_LINE = re.compile(rb"(?:\A|(?<=[\r\n]))data(?::[^\r\n]*+)?(\r\n|[\r\n]|\Z)")
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
        self._lines = 0  # that stand before it
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

    @property
    def held(self) -> int:
        """How many bytes are held until their event is complete."""
        return len(self._buffer)

    def close(self) -> Event | None:
        """End the stream: what is left of it, if anything, as a last event."""
        return self._take(len(self._buffer)) if self._buffer else None

    def _complete(self) -> Iterator[Event]:
        if (event := self._byte_order_mark()) is not None:
            yield event
        while eol := _EOL.search(self._buffer, self._scan):
            if idle := _IDLE.match(self._buffer):  # after the search: no line is read twice
                yield self._take(idle.end())
            elif eol.start() == self._line:
                yield self._take(eol.end())
            else:
                self._next_line(eol.end())
        self._scan = len(self._buffer)

    def _next_line(self, start: int) -> None:
        self._line = self._scan = start
        self._lines += 1
        if self._lines >= MAX_LINES:
            self._overflow()

    def _byte_order_mark(self) -> Event | None:
        head = bytes(self._buffer[: len(_BOM)])
        if self._begun or (head != _BOM and _BOM.startswith(head)):
            return None
        self._begun = True
        return self._take(len(_BOM)) if head == _BOM else None

    def _take(self, end: int) -> Event:
        raw = bytes(memoryview(self._buffer)[:end])
        del self._buffer[:end]
        self._line = self._scan = self._lines = 0
        return Event(raw=raw, data=_data(raw))

    def _fits(self, size: int) -> bool:
        if size > self._max_bytes:
            self._overflow()
        return not self.overflowed

    def _overflow(self) -> None:
        self.overflowed = True
        self._buffer.clear()


def with_data(event: Event, data: bytes) -> bytes:
    """Write an event with other data, and every other line as it was.

    Args:
        event: an event with at least one data line; one without is returned as it is.
        data: the new data. It takes as many data lines as it has lines, where the first data line stood, each ended
            as that one was.

    Returns:
        The new event's bytes. A client joins its data to `data`, with LF for every end of line in it.
    """
    first = _DATA_LINE.search(event.raw)
    if first is None:
        return event.raw
    after = _DATA_LINE.sub(b"", event.raw[first.end() :])
    return event.raw[: first.start()] + _data_lines(data, first[1]) + after


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
    return _DATA_LINE.sub(b"", event.raw)


def _data_lines(data: bytes, eol: bytes) -> bytes:
    return b"data: " + ((eol or b"\n") + b"data: ").join(_EOL.split(data)) + eol


def _data(raw: bytes) -> bytes:
    return b"\n".join(_DATA.findall(raw))

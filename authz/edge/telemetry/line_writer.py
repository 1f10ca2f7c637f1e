"""Write whole lines to a stream that can fail in the middle of one, as a full disk does.

What was written of a line cannot be taken back. So the next line begins on a new one: half a record spoils itself and
never the record after it.
"""

from typing import Protocol

_END = b"\n"


class Stream(Protocol):
    """Where records go."""

    def write(self, data: memoryview, /) -> int | None:
        """Write some of the bytes and return how many; raise OSError if none can be written."""


class LineWriter:
    """Writes to one stream; used by one thread at a time."""

    def __init__(self, stream: Stream) -> None:
        """Write to `stream`, which is at the beginning of a line."""
        self._stream = stream
        self._torn = False

    def write(self, lines: bytes) -> int:
        """Write some lines, each with its end; return how many of them were not written, or not to their end."""
        data = _END + lines if self._torn else lines
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._stream.write(rest) or 0 :]
        except (OSError, ValueError):  # a closed or full stream must end neither the thread nor the service
            pass
        begun = len(rest) < len(data)
        lost = bytes(rest).count(_END) - (self._torn and not begun)
        if begun:
            self._torn = data[len(data) - len(rest) - 1 : len(data) - len(rest)] != _END
        return lost

"""A body in a content coding, decoded and given to another reader.

Rules of this module:

* Every slice is judged against the limits before the next one is decoded, so a body costs at most what it may hold.
* What is sent on has no coding: the client gets a body that was judged, not one that decodes to it.
* A body that is not in its coding is refused like one that is too large.
"""

from collections.abc import Iterator
from typing import Protocol

from msgspec.structs import replace

from authz.core.response.commands import PAUSE, Command, Commands, Headers
from authz.core.response.filter_result import Cause
from authz.core.wire.content_coding import CodingError, Decoder


class Refusable(Protocol):
    """A reader that can be told to refuse."""

    def open(self) -> Commands:
        """Take the headers."""

    def chunk(self, data: bytes) -> Commands:
        """Take the next bytes."""

    def end(self) -> Commands:
        """Take the end of the body."""

    def expire(self) -> Commands:
        """Take the end of the caller's token."""

    def refuse(self, cause: Cause) -> Commands:
        """End the response with an error."""


class DecodedBody:
    """A body whose content coding is undone before it is read."""

    def __init__(self, decoder: Decoder, reader: Refusable) -> None:
        """Decode for a reader."""
        self._decoder = decoder
        self._reader = reader
        self._begun = False

    def open(self) -> Commands:
        """Take the headers."""
        return _without_coding(self._reader.open())

    def chunk(self, data: bytes) -> Commands:
        """Take the next bytes."""
        self._begun = self._begun or bool(data)
        try:
            for decoded in self._decoder.feed(data):
                yield from _without_coding(self._reader.chunk(decoded))
                yield PAUSE
        except CodingError:
            yield from self._reader.refuse(Cause.CODING)

    def end(self) -> Commands:
        """Take the end of the body; one without a byte has no coding."""
        try:
            if self._begun:
                self._decoder.finish()
        except CodingError:
            yield from self._reader.refuse(Cause.CODING)
            return
        ended = self._reader.end()
        yield from _without_coding(ended) if self._begun else ended

    def expire(self) -> Commands:
        """Take the end of the caller's token."""
        return self._reader.expire()


def _without_coding(commands: Commands) -> Iterator[Command]:
    for command in commands:
        yield replace(command, decoded=True, rewritten=True) if isinstance(command, Headers) else command

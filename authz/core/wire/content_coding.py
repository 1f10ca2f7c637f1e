"""Bodies in a content coding (RFC 9110 section 8.4), decoded a slice at a time.

A few bytes can stand for gigabytes. So the decoder is asked for one slice of bounded size after the other, and the
reader stops when they are too many: what is not asked for is never decoded.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

SLICE = 65_536
"""Most bytes of one slice."""
_MEMBERS = 16
"""Most members of one body: a server writes one, or one for each part that it flushes into a file of its own."""


class CodingError(ValueError):
    """The body is not in its coding, or ends too early."""


class Decoder(Protocol):
    """Decodes one body."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what further bytes stand for, in slices; the next one is decoded when it is asked for.

        Raises:
            CodingError: the bytes are not in the coding.
        """

    def finish(self) -> None:
        """Take the end of the body.

        Raises:
            CodingError: it is not an end.
        """


class _Zlib:
    """gzip (RFC 1952, with few members) and deflate (RFC 1950)."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._inner = zlib.decompressobj(window)
        self._left = _MEMBERS

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._inner.eof:
                self._left -= 1  # an empty member is twenty bytes, stands for none, and costs a new window
                if self._left <= 0:
                    raise CodingError
                self._inner = zlib.decompressobj(self._window)
            try:
                decoded = self._inner.decompress(data, SLICE)
            except zlib.error:
                raise CodingError from None
            data = self._inner.unconsumed_tail or self._inner.unused_data
            if decoded:
                yield decoded

    def finish(self) -> None:
        if not self._inner.eof:
            raise CodingError


DECODERS: Mapping[str, Callable[[], Decoder]] = MappingProxyType(
    {
        "gzip": lambda: _Zlib(16 + zlib.MAX_WBITS),
        "x-gzip": lambda: _Zlib(16 + zlib.MAX_WBITS),
        "deflate": lambda: _Zlib(zlib.MAX_WBITS),
    }
)
"""Content coding to what decodes it, for those that the standard library has."""

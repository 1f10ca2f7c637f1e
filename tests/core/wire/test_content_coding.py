"""Bodies in a content coding: whole, byte by byte, with something after their end, and those that cost more than they hold."""

import gzip
import itertools
import zlib

import pytest

from authz.core.wire.content_coding import DECODERS, SLICE, CodingError

TEXT = b'{"jsonrpc":"2.0","result":{"tools":[]}}' * 5
CODED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT, compresslevel=1),
    "deflate": zlib.compress(TEXT),
}


def decoded(coding, pieces):
    decoder = DECODERS[coding]()
    found = b"".join(itertools.chain.from_iterable(decoder.feed(piece) for piece in pieces))
    decoder.finish()
    return found


@pytest.mark.parametrize(("coding", "body"), CODED.items(), ids=CODED)
def test_a_body_is_the_same_whole_and_byte_by_byte(coding, body):
    assert TEXT == decoded(coding, [body]) == decoded(coding, [bytes([byte]) for byte in body])


@pytest.mark.parametrize(("coding", "body"), CODED.items(), ids=CODED)
@pytest.mark.parametrize(
    "spoil", [lambda body: body[:-1], lambda body: body + b"more", lambda body: b"x" + body]
)
def test_a_body_that_is_cut_or_goes_on_or_begins_otherwise_is_not_in_its_coding(coding, body, spoil):
    with pytest.raises(CodingError):
        decoded(coding, [spoil(body)])


def test_nothing_is_decoded_before_it_is_asked_for():
    bomb = gzip.compress(bytes(64 * SLICE))
    slices = DECODERS["gzip"]().feed(bomb)

    assert [SLICE, SLICE] == [len(next(slices)), len(next(slices))]


def test_a_few_members_are_one_body_and_many_empty_ones_are_none():
    assert TEXT * 3 == decoded("gzip", [gzip.compress(TEXT) * 3])
    with pytest.raises(CodingError):
        decoded("gzip", [gzip.compress(b"") * 3000])

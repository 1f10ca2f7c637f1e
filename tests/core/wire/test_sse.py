import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authz.core.wire import sse
from authz.core.wire.sse import Event, Parser, with_data, with_ids, without_data

BOM = b"\xef\xbb\xbf"


def events(*chunks, max_bytes=10_000):
    parser = Parser(max_bytes=max_bytes)
    found = [event for chunk in chunks for event in parser.feed(chunk)]
    last = parser.close()
    return found if last is None else [*found, last]


def data(*chunks):
    return [event.data for event in events(*chunks) if event.data]


def bytewise(stream):
    return [stream[i : i + 1] for i in range(len(stream))]


def halves(stream):
    return [stream[: len(stream) // 2], stream[len(stream) // 2 :]]


STREAMS = {
    "nothing": (b"", []),
    "LF": (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
    "CR LF": (b"event: message\r\ndata: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    "CR": (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
    "mixed ends of line": (b"data: a\r\n\rdata: b\n\r\ndata: c\r\r\n", [b"a", b"b", b"c"]),
    "lines joined by LF": (b"data: a\r\ndata:b\rdata:  c\n\n", [b"a\nb\n c"]),
    "no space, no colon, no value": (b"data:a\n\ndata\n\ndata:\n\ndata:\ndata\n\n", [b"a", b"\n"]),
    "the other fields": (b"id: 3\nevent: e\nretry: 5\ndata: a\nfoo: x\n\n", [b"a"]),
    "a priming event": (b"id: 308\r\ndata: \r\nretry: 100\r\n\r\ndata: a\n\n", [b"a"]),
    "comments": (b": ping\n\n:\n: data: x\ndata: a\n:mid\ndata: b\n\n", [b"a\nb"]),
    "a byte order mark": (BOM + b"data: a\n\n", [b"a"]),
    "a byte order mark later": (b"data: a\n\n" + BOM + b"data: b\n\n", [b"a"]),
    "part of a byte order mark": (b"\xef\xbb\n\ndata: a\n\n", [b"a"]),
    "fields that only look like data": (b"Data: x\n data: y\ndata : z\ndatax: w\n\n", []),
    "UTF-8": ("data: caf\u00e9\u2028\U0001f600\n\n".encode(), ["caf\u00e9\u2028\U0001f600".encode()]),
    "bytes that are not UTF-8": (b"data: \xff\x00\x85\x0b\n\n", [b"\xff\x00\x85\x0b"]),
    "no blank line at the end": (b"data: a\n\ndata: b", [b"a", b"b"]),
    "no blank line after a line": (b"data: a\n\ndata: b\r", [b"a", b"b"]),
}


@pytest.mark.parametrize(("stream", "expected"), STREAMS.values(), ids=STREAMS)
def test_a_stream_is_read_as_a_client_reads_it(stream, expected):
    assert expected == data(stream)


@pytest.mark.parametrize(("stream", "expected"), STREAMS.values(), ids=STREAMS)
def test_a_stream_in_single_bytes_is_the_same_stream(stream, expected):
    assert expected == data(*bytewise(stream))
    assert stream == b"".join(event.raw for event in events(*bytewise(stream)))


@pytest.mark.parametrize("stream", [stream for stream, _ in STREAMS.values()], ids=STREAMS)
def test_a_stream_cut_anywhere_once_is_the_same_stream(stream):
    for cut in range(len(stream) + 1):
        assert data(stream) == data(stream[:cut], stream[cut:])
        assert stream == b"".join(event.raw for event in events(stream[:cut], stream[cut:]))


pieces = st.sampled_from(
    [b"data", b"data:", b"data: {}", b"id: 1", b":", b" ", b"\r", b"\n", b"\r\n", b"\xc3", b"\xa9", BOM, b"x"]
)
chunkings = st.lists(st.lists(pieces, max_size=6).map(b"".join) | st.binary(max_size=8), max_size=12)


@given(chunkings)
@example([b"data: a\r", b"\n\r", b"\n", b"\ndata: b"])
@example([b"\xef", b"", b"\xbb", b"\xbfdata: a\n\n"])
def test_the_raw_bytes_of_all_events_are_the_stream_whatever_the_chunks(chunks):
    stream = b"".join(chunks)

    assert stream == b"".join(event.raw for event in events(*chunks))
    assert data(stream) == data(*chunks)


def reference(stream):
    """A client that reads a whole stream, written after the text of the standard and not after the parser."""
    text = stream.removeprefix(BOM).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    dispatched, buffer = [], b""
    for line in [*text.split(b"\n"), b""]:
        if not line and buffer:
            dispatched.append(buffer[:-1])
            buffer = b""
        elif line == b"data" or line.startswith(b"data:"):
            value = line[5:]
            buffer += (value[1:] if value[:1] == b" " else value) + b"\n"
    return [one for one in dispatched if one]


@given(chunkings)
def test_the_data_is_what_a_client_written_after_the_standard_reads(chunks):
    assert reference(b"".join(chunks)) == data(*chunks)


def test_an_event_is_given_as_soon_as_its_blank_line_ends_in_cr():
    parser = Parser(max_bytes=100)

    assert [Event(raw=b"data: a\r\n\r", data=b"a")] == parser.feed(b"data: a\r\n\r")
    assert [Event(raw=b"\n", data=b""), Event(raw=b"data: b\n\n", data=b"b")] == parser.feed(b"\ndata: b\n\n")


def test_a_leading_comment_is_not_held_for_what_follows():
    parser = Parser(max_bytes=100)

    assert [Event(raw=b": ping\r\n", data=b"")] == parser.feed(b": ping\r\n")


def test_a_blank_line_that_a_stream_begins_with_is_not_held_for_what_follows():
    parser = Parser(max_bytes=100)

    assert [Event(raw=b"\n", data=b"")] == parser.feed(b"\n")


def test_an_empty_chunk_between_cr_and_lf_does_not_part_them():
    assert [b"a\nb"] == data(b"data: a\r", b"", b"\ndata: b\n\n")


def test_what_is_held_is_the_event_that_is_not_complete():
    parser = Parser(max_bytes=100)
    parser.feed(b"data: a\n\ndata: b")

    assert len(b"data: b") == parser.held


@pytest.mark.parametrize("eol", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("split", [lambda stream: [stream], halves], ids=["whole", "halves"])
def test_an_event_may_have_fewer_than_32768_lines_and_the_next_as_many_again(eol, split):
    event = (b"x" + eol) * 32_767
    parser = Parser(max_bytes=1 << 20)

    assert [event + eol] * 2 == [e.raw for chunk in split((event + eol) * 2) for e in parser.feed(chunk)]
    parser.feed(event)
    assert not parser.overflowed
    parser.feed(b"x" + eol)
    assert parser.overflowed


def test_an_event_of_just_the_bound_fits():
    parser = Parser(max_bytes=9)

    assert [Event(raw=b"data: a\n\n", data=b"a")] == parser.feed(b"data: a\n\n")
    assert [Event(raw=b"data:bb\n\n", data=b"bb")] == parser.feed(b"data:bb\n\n")
    assert not parser.overflowed


@pytest.mark.parametrize("stream", [b"data: xx\n\n", b"data: xxxxxxxxx", b"data: xx\n\ndata: a\n\n"])
@pytest.mark.parametrize("split", [lambda stream: [stream], bytewise], ids=["whole", "bytewise"])
def test_an_event_beyond_the_bound_ends_the_parser_but_not_the_events_before(stream, split):
    parser = Parser(max_bytes=9)

    found = [event.data for chunk in split(b"data: a\n\n" + stream) for event in parser.feed(chunk)]

    assert [b"a"] == found
    assert parser.overflowed
    assert [] == parser.feed(b"\n\ndata: b\n\n")
    assert [] == parser.feed(b"held")
    assert 0 == parser.held
    assert parser.close() is None


class Searched:
    """An expression that counts the bytes it was given to search."""

    def __init__(self, expression):
        self._expression, self.total = expression, 0

    def search(self, buffer, start):
        self.total += len(buffer) - start
        return self._expression.search(buffer, start)


def test_of_a_large_event_in_small_chunks_each_byte_is_searched_once(monkeypatch):
    """To search the held bytes anew for each chunk would take time in the square of the event."""
    chunk, parser = b"x" * 1024, Parser(max_bytes=1 << 24)
    monkeypatch.setattr(sse, "_EOL", searched := Searched(sse._EOL))
    parser.feed(b"data: ")
    for _ in range(1024):
        parser.feed(chunk)
    (event,) = parser.feed(b"\n\n")

    assert 1 << 20 == len(event.data)
    assert len(event.raw) + 1 == searched.total  # the first end of line is followed by another search


@pytest.mark.parametrize(
    ("raw", "new", "expected"),
    [
        (b"data: a\n\n", b"b", b"data: b\n\n"),
        (
            b"id: 1\r\nevent: e\r\ndata:a\r\nretry: 5\r\n\r\n",
            b"b",
            b"id: 1\r\nevent: e\r\ndata: b\r\nretry: 5\r\n\r\n",
        ),
        (b"data: a\rid: 1\r\r", b"b", b"data: b\rid: 1\r\r"),
        (b":c\ndata: a\nid: 1\ndata: a2\nx\n\n", b"b", b":c\ndata: b\nid: 1\nx\n\n"),
        (b"data\r\ndata: a\n\n", b"b", b"data: b\r\n\n"),
        (b"data: a\r\n\r\n", b"b\nc", b"data: b\r\ndata: c\r\n\r\n"),
        (b"\ndata: a\r\n\r\n", b"b", b"\ndata: b\r\n\r\n"),
        (b"data: a", b"b\n c", b"data: b\ndata:  c"),
        (b": no data\n\n", b"b", b": no data\n\n"),
    ],
)
def test_an_event_is_written_with_new_data_and_its_other_lines_byte_for_byte(raw, new, expected):
    (event,) = [event for event in events(raw) if event.raw == raw] or [Event(raw=raw, data=b"a")]

    assert expected == with_data(event, new)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"data: a\n\n", b"\n"),
        (
            b"id: 1\r\nevent: e\r\ndata: a\r\ndata\r\nretry: 5\r\n\r\n",
            b"id: 1\r\nevent: e\r\nretry: 5\r\n\r\n",
        ),
        (b"data: a\rid: 1\r\r", b"id: 1\r\r"),
        (b"data: a", b""),
    ],
)
def test_an_event_is_written_without_its_data_and_dispatches_nothing(raw, expected):
    (event,) = events(raw)

    assert expected == without_data(event)
    assert [] == data(expected)


@given(st.sampled_from([b"\n", b"\r", b"\r\n"]), st.binary(max_size=20))
def test_new_data_is_what_a_client_then_reads(eol, new):
    written = with_data(Event(raw=eol.join([b"id: 1", b"data: a", b"", b""]), data=b"a"), new)

    read = new.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert ([read] if read else []) == data(written)


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        (b"id: 1\ndata: a\n\n", b"id: T1\ndata: a\n\n"),
        (b"id:1\r\ndata: a\r\n\r\n", b"id:T1\r\ndata: a\r\n\r\n"),
        (b"data: a\rid: 1\rid: 2\r\r", b"data: a\rid: T1\rid: T2\r\r"),
        (b"id:  1\n\n", b"id: T 1\n\n"),
        (b"data: a\nid: 1\n\n", b"data: a\nid: T1\n\n"),
        (b"id: no\ndata: a\n\n", b"data: a\n\n"),
        (b"id: noX\ndata: a\n\n", b"id: TnoX\ndata: a\n\n"),
        (b"id: 1", b"id: T1"),
        (b"id\ndata: a\n\n", b"id\ndata: a\n\n"),
        (b"id:\ndata: a\n\n", b"id:\ndata: a\n\n"),
        (b"id: \ndata: a\n\n", b"id: \ndata: a\n\n"),
        (b"ID: 1\nid : 2\n id: 3\ndata: id: 4\n\n", b"ID: 1\nid : 2\n id: 3\ndata: id: 4\n\n"),
    ],
)
def test_ids_are_changed_line_by_line_and_every_other_byte_stays(raw, written):
    (event,) = events(raw)
    change = with_ids(event, lambda value: None if value == b"no" else b"T" + value)

    assert (written, event.data) == (change.raw, change.data)


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b"id: 1\n\n", True),
        (b"data: a\nid:1\n\n", True),
        (b"data: a\rid:\r\r", True),
        (b"data: a\n\n", False),
        (b"data: a\n\n id: 1\n", False),
        (b"data: id: 1\n\n", False),
        (b"xid: 1\n\n", False),
    ],
)
def test_a_stream_can_be_resumed_after_an_event_with_an_id(raw, named):
    assert named is Event(raw=raw, data=b"").named


@given(st.lists(st.sampled_from([b"data: a", b"data", b": c", b"event: e", b"retry: 1", b""]), max_size=8))
def test_an_event_without_ids_keeps_every_byte(lines):
    for event in events(b"\n".join(lines) + b"\n\n"):
        assert event == with_ids(event, lambda _: b"T")

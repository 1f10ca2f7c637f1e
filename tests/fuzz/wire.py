"""Targets that read what a client or an MCP server sends: JSON, messages, URIs, lists, event streams."""

import json
import posixpath
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote

from authz.core.mcp import uri
from authz.core.mcp.envelope import peek_id
from authz.core.mcp.item import Item
from authz.core.mcp.message import Message, MessageRejected, read_message
from authz.core.request import DEFAULT_LIMITS, HttpRequest
from authz.core.response.commands import Body
from authz.core.response.filter_result import ListRejected, Trimmed, Untouched, Withheld
from authz.core.response.judgement import ResponseTerms
from authz.core.response.list_filter import FilterBounds, trim
from authz.core.response.rewriter import ResponseHead, Rewriter
from authz.core.wire import strict_json
from authz.core.wire.strict_json import StrictJSONError
from tests.fuzz.readers import event_data, listed, member, readings
from tests.fuzz.seeds import of_tests
from tests.fuzz.target import Target

HIDDEN = "hidden"


def _visible(item: Item) -> bool:
    return HIDDEN not in item.name


def _strict_json(data: bytes) -> None:
    try:
        value = strict_json.loads(data)
    except StrictJSONError:
        return
    assert value == json.loads(data.decode())
    json.dumps(value, ensure_ascii=False).encode()


_NAMED = ("name", "uri", "taskId")
_HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"mcp-protocol-version": "2025-11-25"},
    {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "echo"},
    {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list"},
)


def _message(data: bytes) -> None:
    headers, body = _HEADERS[data[0] % len(_HEADERS) if data else 0], data[1:]
    request = HttpRequest(method="POST", host="mcp.example", path="/mcp", headers=headers, body=body)
    read = read_message(request)
    if isinstance(read, MessageRejected):
        return
    assert isinstance(read, Message)
    assert peek_id(body) == read.request_id
    assert len(read.items) <= DEFAULT_LIMITS.items
    for value in readings(body):
        assert (member(value, "method") or "") == read.method
        if read.method in {"tools/call", "prompts/get", "resources/read"}:
            key = "uri" if read.method == "resources/read" else "name"
            assert [member(value, "params", key)] == [item.name for item in read.items]


def _message_seeds() -> list[bytes]:
    bodies = [seed for seed in of_tests("tests.core.mcp.test_message") if seed[:1] in b"{["]
    named = (
        '"name":"echo"',
        '"name":"echo","Name":"other"',
        '"uri":"file:///a"',
        '"taskId":"t"',
        '"ref":{"type":"ref/prompt","name":"p"}',
    )
    meta = '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}'
    methods = ("tools/call", "resources/read", "tasks/get", "completion/complete", "tools/list")
    bodies += [
        f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params},{meta},"arguments":{{"a":[1]}}}}}}'.encode()
        for method in methods
        for params in named
    ]
    return [bytes([mode]) + body for mode in range(len(_HEADERS)) for body in bodies]


_PUBLIC = "file:///public/"


def _uri(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    if uri.reading(text) is None:
        return
    for _ in range(12):
        segments = text.replace("\\", "/").replace("?", "/").replace("#", "/").split("/")
        assert not {".", ".."} & set(segments)
        assert not any(unicodedata.category(char) == "Cc" for char in text)
        if text.startswith(_PUBLIC):
            assert f"{posixpath.normpath(text[7:])}/".startswith("/public/")
        text = unquote(text)
    assert text == unquote(text)


def _uri_seeds() -> list[bytes]:
    found = of_tests(
        "tests.core.mcp.test_uri", "tests.core.mcp.test_message", "tests.core.response.test_list_filter"
    )
    return [*(seed for seed in found if b"/" in seed and b"{" not in seed), b"file:///public/%2e%2e/a"]


def _no_hidden_name(document: bytes) -> None:
    for value in readings(document):
        assert not [name for name in listed(value) if HIDDEN in name]


def _list(data: bytes) -> None:
    result = trim(data, _visible, ttl_ms=1000)
    assert isinstance(result, Trimmed | Untouched | Withheld | ListRejected)
    if isinstance(result, Trimmed):
        json.loads(result.document)
        _no_hidden_name(result.document)
    elif isinstance(result, Untouched):
        _no_hidden_name(data)


def _lists() -> list[bytes]:
    rows = [
        '{"id":1,"result":{"tools":[{"name":"a","_meta":{"ui":{"resourceUri":"ui://hidden"}}},{"name":"hidden"}]}}',
        '{"id":1,"result":{"tools":[{"name":"a"},{"name":"hidden"}],"ttlMs":9,"cacheScope":"public"}}',
        '{"jsonrpc":"2.0","id":1,"result":{"skills":[{"uri":"skill://a","resources":[{"uri":"hidden"}]}]}}',
        '{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"hidden"}}',
    ]
    tested = of_tests("tests.core.response.test_list_filter", "tests.core.response.test_notifications")
    return [*(row.encode() for row in rows), *tested]


def _sent(chunks: Iterable[bytes]) -> bytes:
    """Return what a client gets of an event stream."""
    rewriter = Rewriter(
        ResponseTerms(visible=_visible, ttl_ms=1000, bounds=FilterBounds(bytes=8192), request_id=1)
    )
    commands = list(
        rewriter.headers(ResponseHead(status=200, content_type="text/event-stream"), bodyless=False)
    )
    for chunk in chunks:
        commands += rewriter.chunk(chunk)
    commands += rewriter.end()
    return b"".join(command.data for command in commands if isinstance(command, Body))


def _sse(data: bytes) -> None:
    size, stream = (data[0] % 32 + 1 if data else 1), data[1:]
    whole = _read(_sent([stream]))
    assert whole == _read(_sent(stream[at : at + size] for at in range(0, len(stream), size)))
    for data_sent in whole:
        _no_hidden_name(data_sent)


def _read(stream: bytes) -> list[bytes]:
    """Return the data that a client reads; a CR at the end of a piece may leave without the LF that came after it."""
    return [found for found in event_data(stream) if found]


def _sse_seeds() -> list[bytes]:
    streams = of_tests("tests.core.wire.test_sse", "tests.core.response.test_rewriter")
    streams += [b"id: 1\ndata: " + each.replace(b"\n", b"\ndata: ") + b"\n\n" for each in _lists()]
    return [b"\x02" + stream for stream in streams]


TARGETS = {
    "json": Target(
        invariant="bytes are the value that every reader sees, or StrictJSONError; nothing else is raised",
        seeds=lambda: of_tests("tests.core.wire.test_strict_json", "tests.core.mcp.test_message"),
        check=_strict_json,
    ),
    "message": Target(
        invariant="a body is refused, or readers of every habit find in it the method and the item that are judged",
        seeds=_message_seeds,
        check=_message,
    ),
    "uri": Target(
        invariant="a URI that can be named stays where it is, however often it is decoded",
        seeds=_uri_seeds,
        check=_uri,
    ),
    "list": Target(
        invariant="what leaves the filter is JSON in which no reader finds a hidden name",
        seeds=_lists,
        check=_list,
    ),
    "sse": Target(
        invariant="no reader of the stream that is sent finds a hidden name, and how it came in pieces changes nothing",
        seeds=_sse_seeds,
        check=_sse,
    ),
}

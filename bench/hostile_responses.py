"""What a hostile MCP server can make of one response: the longest piece of the serving thread, beside a plain answer.

`python -m bench.hostile_responses` prints one table. A piece ends where the rewriter lets others have the thread, and
where one chunk of a response is done with.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator

from authz.core.response.commands import Body, Judged, Pause
from authz.core.response.held import HeldBytes
from authz.core.response.item_reader import LATELY
from authz.core.response.judgement import ResponseTerms
from authz.core.response.list_filter import FilterBounds
from authz.core.response.rewriter import ResponseHead, Rewriter

_JSON = ResponseHead(status=200, content_type="application/json")
_SSE = ResponseHead(status=200, content_type="text/event-stream")
_CHUNK = 32_768
_RUNS = 3
_LARGEST = 16 * 1_048_576
_PLAIN = b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hello"}]}}'


def _list(items: int, item: bytes = b'{"name":"a"}') -> bytes:
    return b'{"jsonrpc":"2.0","id":1,"result":{"tools":[' + b",".join([item] * items) + b"]}}"


def _padded(start: bytes, unit: bytes, end: bytes) -> bytes:
    """Return a document of just under the limit."""
    return start + unit * ((_LARGEST - len(start) - len(end) - 1) // len(unit)) + end


_RESULT = b'{"id":1,"result":{"structuredContent":'
_ONE = b'{"id":1,"result":{"tools":[{"name":"a",'
_INTERFACE = b'{"name":"a","_meta":{"ui":{"resourceUri":"ui://a"},"k":"ui://b"}}'

_ROWS: tuple[tuple[str, ResponseHead, Callable[[], bytes]], ...] = (
    ("plain answer", _JSON, lambda: _PLAIN),
    ("1 MiB of blank lines", _SSE, lambda: b"\n" * 1_048_576),
    ("1 MiB of comments", _SSE, lambda: b":\n" * 524_288),
    ("1 MiB of tiny events", _SSE, lambda: b"data: {}\n\n" * 104_857),
    ("an event of 500,000 lines", _SSE, lambda: b"data:x\n" * 500_000 + b"\n"),
    ("a list of 20,000 items", _JSON, lambda: _list(20_000)),
    ("a list of 900,000 items", _JSON, lambda: _list(900_000, b'{"name":"abcd"}')),
    ("a list of 600,000 items", _JSON, lambda: _list(600_000, b'{"name":"abcdefghijk"}')),
    ("a list of a mebibyte of items", _JSON, lambda: _list(80_000)),
    (
        "a list of items with spaces",
        _JSON,
        lambda: _list(18_000, b'{ "name" : "a", "_meta" : { "ui" : {} } }'),
    ),
    ("a list of 20,000 interfaces", _JSON, lambda: _list(20_000, _INTERFACE)),
    ("a list of one item of 16 MiB", _JSON, lambda: _padded(_ONE + b'"x":[1', b",12345678901", b"]}]}}")),
    ("16 MiB of members", _JSON, lambda: _padded(b'{"result":{"tools":[]', b',"a":1', b"}}")),
    ("16 MiB of numbers", _JSON, lambda: _padded(b'{"id":1,"result":{"structuredContent":[1', b",1", b"]}}")),
    ("16 MiB of fractions", _JSON, lambda: _padded(_RESULT + b"[1", b",0.123456789", b"]}}")),
    (
        "16 MiB of fractions, with a space",
        _JSON,
        lambda: _padded(_RESULT + b" [1", b",0.123456789", b"] } }"),
    ),
    (
        "16 MiB of lists in lists",
        _JSON,
        lambda: _padded(_RESULT + b"[1", b"," + b"[" * 60 + b"]" * 60, b"]}}"),
    ),
    ("16 MiB of empty texts", _JSON, lambda: _padded(_RESULT + b"[1", b',""', b"]}}")),
    ("16 MiB of space", _JSON, lambda: _padded(_RESULT, b" ", b"1}}")),
    ("16 MiB of escapes", _JSON, lambda: _padded(_RESULT + b'"', b'\\"', b'"}}')),
    ("16 MiB of text beyond ASCII", _JSON, lambda: _padded(_RESULT + b'"', "é".encode(), b'"}}')),
    ("4 MiB of numbers", _JSON, lambda: _RESULT + b"[1" + b",1" * 2_097_000 + b"]}}"),
    ("4 MiB of numbers, with a space", _JSON, lambda: _RESULT + b" [1" + b",1" * 2_097_000 + b"] } }"),
    ("4 MiB of members", _JSON, lambda: _RESULT + b'{"a":1' + b',"a":1' * 699_000 + b"}}}"),
    ("16 MiB of text", _JSON, lambda: _padded(b'{"id":1,"result":{"content":"', b"x", b'"}}')),
)


def _steps(head: ResponseHead, body: bytes) -> Iterator[Iterable[object]]:
    bounds = FilterBounds(bytes=_LARGEST)
    rewriter = Rewriter(ResponseTerms(visible=lambda _item: True, bounds=bounds, held=HeldBytes()))
    yield rewriter.headers(head, bodyless=False)
    for start in range(0, len(body), _CHUNK):
        yield rewriter.chunk(body[start : start + _CHUNK])
    yield rewriter.end()


def measure(head: ResponseHead, body: bytes) -> tuple[float, float, int, str]:
    """Return the longest piece and the whole in seconds of this thread, the pieces of the body, and the last outcome."""
    longest = whole = 0.0
    bodies, outcome = 0, ""
    for step in _steps(head, body):
        began = time.thread_time()
        for command in step:
            bodies += isinstance(command, Body)
            if isinstance(command, Judged):
                outcome = str(command.cause or command.outcome)
            if isinstance(command, Pause):
                took = time.thread_time() - began
                longest, whole, began = max(longest, took), whole + took, time.thread_time()
        took = time.thread_time() - began
        longest, whole = max(longest, took), whole + took
    return longest, whole, bodies, outcome


def best(head: ResponseHead, body: bytes) -> tuple[float, float, int, str]:
    """Measure some times and return the run with the shortest longest piece: other processes do not count."""
    runs = []
    for _ in range(_RUNS):
        LATELY.clear()  # who is hostile writes another list each time
        runs.append(measure(head, body))
    return min(runs, key=lambda run: run[0])


def main() -> int:
    """Print the table."""
    sys.stdout.write(
        "| response | longest piece, ms | whole, ms | pieces sent | outcome |\n|---|---|---|---|---|\n"
    )
    for name, head, body in _ROWS:
        longest, whole, bodies, outcome = best(head, body())
        sys.stdout.write(f"| {name} | {longest * 1e3:.2f} | {whole * 1e3:.1f} | {bodies} | {outcome} |\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m bench.hostile`: what one hostile message costs the thread that serves everybody.

Each row is one input that is as bad as the limits allow. The figure is the longest piece of the serving thread that
one such input takes, in milliseconds of that thread's own time, and how many plain calls of the same run would have
fitted into it. An input is run several times and the best run counts, so that other processes do not. The goal is at
most 20 ms and at most 100 plain calls.

A row is a name and a builder. The builder returns what is timed: a function that does one piece of work, or an iterator
that stops where the thread would be given back, of which the longest step counts.
"""

import contextlib
import gc
import json
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from authz.core.mcp.uri import READINGS
from bench.stages import NO_CALL, checker
from bench.workload import FULL, HOST, VERSION, Mint, check_request

GOAL_MS, GOAL_CALLS = 20.0, 100.0
_RUNS = 5
_MIB = 1_048_576
_ROOM = _MIB - 4096
"""Bytes of a body for what makes it hostile."""

Piece = Callable[[], Iterator[None] | None]
"""One run of an input; an iterator gives the thread back at each step."""
Builder = Callable[[contextlib.ExitStack], Piece]
"""Prepares an input; the stack closes what it opens."""


def _call(arguments: str, name: str = "echo") -> str:
    return f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}","arguments":{arguments}}}}}'


def _repeated(text: str, around: str = "[{}]") -> str:
    size = len(text.encode()) + 1
    return around.format(",".join([text] * (_ROOM // size)))


def _method(method: str, params: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, ensure_ascii=False)


def _subscription(uris: list[str]) -> str:
    meta = {
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return _method("subscriptions/listen", {"notifications": {"resourceSubscriptions": uris}, "_meta": meta})


def _deepest_lists() -> str:
    return "[" + ",".join(["[" * 58 + "]" * 58] * 330) + "]"


REQUESTS: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "7,000 params of 40 x U+FDFA": lambda: _method(
            "ping", {"\ufdfa" * 40 + str(n): 1 for n in range(7000)}
        ),
        "params of U+FDFA up to the limit": lambda: _method(
            "ping", {"\ufdfa" * 30 + str(n): 1 for n in range(60)}
        ),
        "a URI of 1 MiB of %": lambda: _method("resources/read", {"uri": "%" * _ROOM}),
        "a URI of 2,048 characters of %25": lambda: _method("resources/read", {"uri": "%25" * 682}),
        "a subscription to 16 URIs of 2,044 characters of %25": lambda: _subscription(
            [f"a:///{n:02}" + "%25" * 679 for n in range(16)]
        ),
        '130,000 objects {"A":1} and a space': lambda: _call(" " + _repeated('{"A":1}')),
        '6,000 objects {"A":1} and a space': lambda: _call(" [" + ",".join(['{"A":1}'] * 6000) + "]"),
        "a subscription to 35,000 URIs": lambda: _subscription([f"file:///{n}" for n in range(35_000)]),
        "empty lists": lambda: _call(_repeated("[]")),
        "deep lists up to the limit": lambda: _call(_deepest_lists()),
        "numbers with exponents": lambda: _call(_repeated("1e5")),
        "fractions up to the limit": lambda: _call("[" + ",".join(["0.1234567890123456780"] * 19_000) + "]"),
        "fractions with exponents up to the limit": lambda: _call(
            "[" + ",".join(["1.234567890123456780e-9"] * 19_000) + "]"
        ),
        "one number of 1 MiB": lambda: _call("9" * _ROOM),
        "keys up to the limit": lambda: _call(" {" + ",".join(f'"key{n}":1' for n in range(11_900)) + "}"),
        "escaped quotes": lambda: _call(' "' + '\\"' * (_ROOM // 2) + '"'),
        "escaped surrogates": lambda: _call('"' + "\\ud83d\\ude00" * (_ROOM // 12) + '"'),
        "open brackets": lambda: "[" * _ROOM,
        "quotes": lambda: '"' * _ROOM,
        "white space": lambda: _call(" " * _ROOM + "{}"),
    }
)
"""Bodies of requests, by what is hostile about them."""


def _http(body: str, token: str) -> bytes:
    """Return a request, of the handshake versions if it can be: they need not repeat anything in headers."""
    content = body.encode()
    modern = (
        f"mcp-protocol-version: {VERSION}\r\nmcp-method: subscriptions/listen\r\n" if VERSION in body else ""
    )
    head = (
        f"POST /mcp HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\n{modern}content-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _check(body: str) -> Builder:
    """Return what builds one Check of a body, by a caller whose token was verified before."""

    def build(stack: contextlib.ExitStack) -> Piece:
        mint = Mint()
        service = stack.enter_context(checker(mint))
        request = check_request(_http(body, mint.token("hostile", 1, FULL)))

        def piece() -> None:
            READINGS.clear()  # who is hostile asks for other URIs each time
            with contextlib.suppress(StopIteration):  # a Check with a known key waits for nothing
                service.check(request, NO_CALL).send(None)

        return piece

    return build


ROWS: Mapping[str, Builder] = MappingProxyType(
    {f"request: {name}": lambda stack, body=body: _check(body())(stack) for name, body in REQUESTS.items()}
)
"""Every input: what it is called, to what builds the piece of work that it makes."""

PLAIN = _check(_call('{"text":"hello"}'))


def longest_piece(build: Builder) -> float:
    """Return the seconds of this thread's time that the longest piece of an input takes, in the best of some runs."""
    with contextlib.ExitStack() as stack:
        piece = build(stack)
        piece()  # fills the caches
        return min(_longest(piece) for _ in range(_RUNS))


def _longest(piece: Piece) -> float:
    gc.collect()
    took, began = 0.0, time.thread_time()
    steps = piece()
    for _ in steps or ():
        took, began = max(took, time.thread_time() - began), time.thread_time()
    return max(took, time.thread_time() - began)


def table(rows: Mapping[str, Builder] = ROWS) -> list[tuple[str, float, float]]:
    """Measure every row: its name, the milliseconds of its longest piece, and how many plain calls these are."""
    plain = longest_piece(PLAIN)
    return [
        (name, took * 1e3, took / plain)
        for name, build in {"a plain call": PLAIN, **rows}.items()
        for took in [longest_piece(build)]
    ]


def main() -> None:
    """Print the table; a row over the goal has a mark."""
    print(f"{'input':42}{'ms':>8}{'plain calls':>14}")
    for name, milliseconds, calls in table():
        over = "  over" if milliseconds > GOAL_MS or calls > GOAL_CALLS else ""
        print(f"{name:42}{milliseconds:8.2f}{calls:14.0f}{over}")


if __name__ == "__main__":
    main()

"""What clients send beside calls of 2026-07-28: calls, lists and streams in a legacy session, and its beginning.

All of it passes the service's listener in one Envoy, to a server that has its answers ready (see `catalogue`). What is
read on its way back takes a second hop; the server at `/unread` has `answers: lists`, so its calls do not. Every sample
is checked as those of `rounds` are, and the service must have read each answer that is to be read, and no other.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.catalogue import HEADER, name_of
from bench.client import WARM_UP, HttpConnection
from bench.rounds import Measure, Through, check_count, rounds, rows
from bench.samples import Fields
from bench.stack import POLICY, SERVICE, RunningStack, running, service_metric
from bench.workload import CALLERS, FULL, HOST, Variant, http_request, list_request, post

REFERENCE = "call"
_LEGACY = "2025-11-25"
_TOOLS = 10
_SESSION = b"mcp-session-id: "


@dataclass(frozen=True, slots=True)
class Kind:
    """What is sent: the method, the server's answer (see `catalogue`), the path, and whether the answer is read."""

    method: str
    answer: str
    path: str = "/mcp"
    legacy: bool = True
    read: bool = True


KINDS: Mapping[str, Kind] = {
    REFERENCE: Kind("tools/call", "result", legacy=False, read=False),
    "call, SSE answer": Kind("tools/call", "events", legacy=False, read=False),
    "list": Kind("tools/list", str(_TOOLS), legacy=False),
    "initialize": Kind("initialize", "session"),
    "session call": Kind("tools/call", "result"),
    "session call, SSE answer": Kind("tools/call", "events"),
    "session call, answers: lists": Kind("tools/call", "result", "/unread", read=False),
    "list in a session": Kind("tools/list", str(_TOOLS)),
    "GET stream open": Kind("GET", "events"),
}
"""By the name of the variant. The streams end after their first event."""


def measure(seconds: float, connections: list[int], count: int) -> dict[str, Any]:
    """Measure every kind in interleaved rounds, and return the part as it goes into the JSON document."""
    variants = [Variant(name=name, backend=SERVICE, population=name) for name in KINDS]
    with tempfile.TemporaryDirectory() as place:
        policy = Path(place) / "sessions.yaml"
        policy.write_text(policy_text(), "utf-8")
        with running({}, policy=policy, upstream=("bench.catalogue",), populations=()) as stack:
            fill(stack)
            samples = list(rounds(variants, connections, count, _checked(stack, Through(stack, seconds))))
    return {"rows": rows(samples, REFERENCE), "samples": samples}


def policy_text() -> str:
    """Return the bench policy with a second server like the first, whose calls are not read; half of a list is cut."""
    names = ", ".join(name_of(number) for number in range(0, _TOOLS, 2))
    text = POLICY.read_text("utf-8").replace("http://127.0.0.1:9/mcp", "${BENCH_UPSTREAM}")
    text = text.replace("[echo, get_user_info]", f"[echo, get_user_info, {names}]")
    head, found, server = text.partition("  bench:\n    resource: https://mcp.example.com/mcp\n")
    unread = "  unread:\n    resource: https://mcp.example.com/unread\n    rewrite: {answers: lists}\n"
    return head + found + server + unread + server


def fill(stack: RunningStack) -> None:
    """Open a session for every caller at both servers, and write the requests of every kind."""
    tokens = [stack.mint.token("sessions", number, FULL) for number in range(CALLERS)]
    sessions = {path: list(_opened(stack, tokens, path)) for path in ("/mcp", "/unread")}
    for name, kind in KINDS.items():
        sent = zip(tokens, sessions[kind.path], strict=True)
        stack.populate(name, [_request(kind, token, session) for token, session in sent])


def _opened(stack: RunningStack, tokens: Sequence[str], path: str) -> Iterator[str]:
    opening = Kind("initialize", "session", path)
    with HttpConnection(stack.backends[SERVICE].port) as connection:
        for token in tokens:
            lines = connection.ask(_request(opening, token, "")).split(b"\r\n")
            yield next(line for line in lines if line.startswith(_SESSION)).removeprefix(_SESSION).decode()


def _request(kind: Kind, token: str, session: str) -> bytes:
    answer = f"{HEADER}: {kind.answer}\r\n"
    if not kind.legacy and kind.method == "tools/list":
        return list_request(1, token, answer)
    if not kind.legacy:
        return http_request(1, "echo", {"text": "hello"}, token, answer)
    further = answer + f"mcp-protocol-version: {_LEGACY}\r\n"
    if kind.method != "initialize":
        further += f"mcp-session-id: {session}\r\n"
    if kind.method == "GET":
        head = f"GET {kind.path} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\n"
        return f"{head}accept: text/event-stream\r\n{further}\r\n".encode()
    message = {"jsonrpc": "2.0", "id": 1, "method": kind.method, "params": _PARAMS[kind.method]}
    return post(message, token, further, kind.path)


_PARAMS: Mapping[str, dict[str, Any]] = {
    "tools/call": {"name": "echo", "arguments": {"text": "hello"}},
    "tools/list": {},
    "initialize": {
        "protocolVersion": _LEGACY,
        "capabilities": {},
        "clientInfo": {"name": "bench", "version": "1"},
    },
}


def _checked(stack: RunningStack, through: Measure) -> Measure:
    """Return a measure that is an error unless the service read the answers that are to be read."""

    def measure_one(variant: Variant, connections: int) -> Fields:
        before = _read(stack)
        found = through(variant, connections)
        calls = WARM_UP + found["calls"] if KINDS[variant.name].read else 0
        check_count(variant, calls, connections, _read(stack) - before)
        return found

    return measure_one


def _read(stack: RunningStack) -> int:
    """Return how many answers the service has read."""
    found = service_metric(stack.backends[SERVICE].http, "mcp_authz_rewrites_begun_total", "server")
    return sum(found.values())

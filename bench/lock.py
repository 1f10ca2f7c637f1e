"""What the tool lock costs: a list of 1,000 tools with and without one, and a call with and without a checked schema.

One service has two servers with the same rules, by which half of a list is cut. The one at `/locked` has a lock of all
tools and checks arguments. Both are asked through one Envoy in the same rounds, lists over one connection.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from authz.config.lock_file import LockFile
from authz.core.mcp.item import ListName
from authz.tools.catalogue import Catalogue
from authz.tools.lock.document import locked_items, render_lock
from bench.catalogue import HEADER, document, name_of
from bench.client import HttpConnection, body_of, status_of
from bench.rounds import Through, rounds, rows
from bench.stack import POLICY, SERVICE, RunningStack, running
from bench.workload import CALLERS, FULL, VERSION, Variant, post

TOOLS = 1_000
LIST, CALL = "list", "call"
LOCKED_LIST, LOCKED_CALL = "list, locked", "call, arguments checked"
_LOCK = "tools.lock"
_BESIDE = "allow: {tools: [echo, get_user_info]}"


@dataclass(frozen=True, slots=True)
class LockKind:
    """What is sent: the method, and the path of the server, which says whether there is a lock."""

    method: str
    path: str


KINDS: Mapping[str, LockKind] = {
    LIST: LockKind("tools/list", "/mcp"),
    LOCKED_LIST: LockKind("tools/list", "/locked"),
    CALL: LockKind("tools/call", "/mcp"),
    LOCKED_CALL: LockKind("tools/call", "/locked"),
}
"""By the name of the variant."""
_LISTS, _CALLS = (LIST, LOCKED_LIST), (CALL, LOCKED_CALL)


def measure(seconds: float, connections: list[int], count: int, tools: int = TOOLS) -> dict[str, Any]:
    """Measure, and return the part as it goes into the JSON document.

    Args:
        seconds: of one sample.
        connections: of the calls.
        count: how often every variant is measured.
        tools: number of tools in a list, of `catalogue.SIZES`.
    """
    with tempfile.TemporaryDirectory() as place:
        policy = Path(place) / "lock.yaml"
        policy.write_text(policy_text(tools), "utf-8")
        policy.with_name(_LOCK).write_text(lock_text(tools), "utf-8")
        with running({}, policy=policy, upstream=("bench.catalogue",), populations=()) as stack:
            for name in KINDS:
                stack.populate(name, [_request(stack, name, number, tools) for number in range(CALLERS)])
                _verify(stack, name, tools)
            through = Through(stack, seconds)
            lists = list(rounds(_variants(_LISTS), [1], count, through))
            calls = list(rounds(_variants(_CALLS), connections, count, through))
    return {
        "lists": rows(lists, LIST),
        "calls": rows(calls, CALL),
        "tools": tools,
        "samples": [*lists, *calls],
    }


def _variants(names: tuple[str, ...]) -> list[Variant]:
    return [Variant(name=name, backend=SERVICE, population=name) for name in names]


def policy_text(tools: int) -> str:
    """Return the bench policy with every second tool of the list, and a second server like the first, with a lock."""
    names = ", ".join(name_of(number) for number in range(0, tools, 2))
    text = POLICY.read_text("utf-8").replace("http://127.0.0.1:9/mcp", "${BENCH_UPSTREAM}")
    text = text.replace(_BESIDE, f"allow: {{tools: [{names}]}}")
    head, found, server = text.partition("  bench:\n    resource: https://mcp.example.com/mcp\n")
    locked = f"  locked:\n    resource: https://mcp.example.com/locked\n    lock: {{file: {_LOCK}}}\n    arguments: locked\n"
    return head + found + server + locked + server


def lock_text(tools: int) -> str:
    """Return a lock of all tools that the server lists."""
    offered = {ListName.TOOLS: json.loads(document(tools))["result"]["tools"]}
    items = locked_items([Catalogue("modern", offered)])
    return render_lock(LockFile(server="http://127.0.0.1/mcp", made={}, items=items))


def _request(stack: RunningStack, name: str, number: int, tools: int) -> bytes:
    kind = KINDS[name]
    is_list = kind.method == "tools/list"
    answer, tool = (str(tools) if is_list else "result"), name_of(0)
    called = {"name": tool, "arguments": {"path": f"/inbox/{number}", "limit": number, "recursive": False}}
    meta = {
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    }
    params = {**({} if is_list else called), "_meta": meta}
    message = {"jsonrpc": "2.0", "id": number, "method": kind.method, "params": params}
    further = f"mcp-protocol-version: {VERSION}\r\nmcp-method: {kind.method}\r\n{HEADER}: {answer}\r\n"
    if not is_list:
        further += f"mcp-name: {tool}\r\n"
    return post(message, stack.mint.token("lock", number, FULL), further, kind.path)


def _verify(stack: RunningStack, name: str, tools: int) -> None:
    """Ask once, and compare the answer.

    Raises:
        RuntimeError: a list has other tools than every second, or a call is not answered.
    """
    with HttpConnection(stack.backends[SERVICE].port) as connection:
        answer = connection.ask(stack.requests[name][0])
    found = json.loads(body_of(answer))["result"] if status_of(answer) == 200 else {}
    listed = [tool["name"] for tool in found.get("tools", [])]
    expected = [name_of(number) for number in range(0, tools, 2)] if name in _LISTS else []
    if listed != expected or (name in _CALLS and "content" not in found):
        msg = f"{name}: another answer than expected: {answer[:300]!r}"
        raise RuntimeError(msg)

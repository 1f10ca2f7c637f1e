"""A generator of what a server may make of an approved item: other meanings, other spellings, and ways to deliver a list.

Each is a table by kind, of functions that take a `random.Random`: what is true of one seed should be true of all.
"""

import copy
import gzip
import itertools
import json
import random
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tests.support.raw_server import response, stream_head

Item = dict[str, Any]
Pieces = list[bytes]
"""A response, in the pieces in which the server sends it."""

TOOL: Mapping[str, Any] = MappingProxyType(
    {
        "name": "echo",
        "title": "Écho",
        "description": "Return the message as it came, and nothing else.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "message": {"type": "string", "maxLength": 20, "description": "What is returned."},
                "n": {"type": "number", "maximum": 10.5, "enum": [1, 2.5, 10]},
            },
            "required": ["message", "n"],
            "additionalProperties": False,
        },
        "outputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
        "annotations": {"readOnlyHint": True, "destructiveHint": False, "title": "Echo"},
        "icons": [{"src": "https://example.com/a.png", "sizes": ["48x48"]}],
        "_meta": {"ui": {"resourceUri": "ui://echo", "csp": {"connectDomains": []}}, "build": 7},
    }
)
_UNSEEN = "\u200b\u200d\u2060\u00ad\ufe0f\u202e\u2066\U000e0041\u0007\ufeff"
_LIKE = {"e": "\u0435", "c": "\u0441", "o": "\u043e", "h": "\u04bb"}


def _texts(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield where each text stands that a model reads: the container and the key."""
    for key, below in value.items() if isinstance(value, dict) else enumerate(value):
        if key == "description":
            yield value, key
        elif isinstance(below, dict | list):
            yield from _texts(below)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place below a value: the container and the key."""
    for key, below in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(below, dict | list):
            yield from _places(below)


def _letter(rng: random.Random, tool: Item) -> None:
    place, key = rng.choice(list(_texts(tool)))
    text, at = place[key], rng.randrange(len(place[key]))
    place[key] = rng.choice([text[:at] + text[at + 1 :], text[:at] + "x" + text[at:], text + " "])


def _unseen(rng: random.Random, tool: Item) -> None:
    place, key = rng.choice([*_texts(tool), (tool, "title"), (tool["annotations"], "title")])
    at = rng.randrange(len(place[key]) + 1)
    place[key] = place[key][:at] + rng.choice(_UNSEEN) + place[key][at:]


def _other_form(_rng: random.Random, tool: Item) -> None:
    tool["title"] = unicodedata.normalize("NFD", tool["title"])


def _order(rng: random.Random, tool: Item) -> None:
    listed = rng.choice([tool["inputSchema"]["required"], tool["inputSchema"]["properties"]["n"]["enum"]])
    listed.append(listed.pop(0))


def _within(*names: str) -> Callable[[random.Random, Item], None]:
    """Change something at any depth below a member of the tool."""

    def change(rng: random.Random, tool: Item) -> None:
        place, key = rng.choice(list(_places(tool[rng.choice(names)])))
        value = place[key]
        if rng.random() < 0.3:
            del place[key]
        elif isinstance(value, dict):
            value["new"] = rng.choice(["", 0, False, [], {}])
        elif isinstance(value, list):
            value.append(rng.choice(["", 0, {}]))
        else:
            place[key] = _other_value(rng, value)

    return change


def _other_value(rng: random.Random, value: Any) -> Any:
    if isinstance(value, bool):
        return rng.choice([not value, int(value), str(value).lower()])
    if isinstance(value, int | float):
        return rng.choice([value + 1, -value, str(value), value + 2**-30])
    return rng.choice([f"{value}x", value[1:], value.upper(), [value]])


def _without(rng: random.Random, tool: Item) -> None:
    del tool[rng.choice([name for name in tool if name != "name"])]


def _interface(rng: random.Random, tool: Item) -> None:
    meta = tool["_meta"]
    name = rng.choice(["ui/resourceUri", "openai/outputTemplate", "anthropic/searchHint", "vendor/screen"])
    meta[name] = rng.choice(["ui://other", "UI://other"])


def _new(rng: random.Random, tool: Item) -> None:
    tool[rng.choice(["execution", "x-note", "digest", "era", "other"])] = rng.choice(["x", 0, False, {}, []])


def _twice(rng: random.Random, tool: Item) -> bytes:
    """Write one key of some object twice, the approved value first or last."""
    place, key = rng.choice([(place, key) for place, key in _places(tool) if isinstance(place, dict)])
    other, mark = json.dumps("other"), "\0twice"
    place[mark] = None
    text = json.dumps(tool)
    written = f"{json.dumps(mark)}: null"
    doubled = text.replace(f", {written}", f", {json.dumps(key)}: {other}")
    if rng.random() < 0.5:
        place[mark] = place.pop(key)
        place[key], place[mark] = place[mark], "other"
        doubled = json.dumps(tool).replace(json.dumps(mark), json.dumps(key))
    return doubled.encode()


def _beyond(_rng: random.Random, tool: Item) -> bytes:
    tool["inputSchema"]["properties"]["n"]["maximum"] = "BOUND"
    return json.dumps(tool).replace('"BOUND"', "10.50000000000000000001").encode()


CHANGES: Mapping[str, Callable[[random.Random, Item], bytes | None]] = MappingProxyType(
    {
        "a letter": _letter,
        "a character that cannot be seen": _unseen,
        "another form of a letter": _other_form,
        "the order of a list": _order,
        "a schema of arguments": _within("inputSchema"),
        "a schema of results": _within("outputSchema"),
        "an annotation": _within("annotations"),
        "an icon": _within("icons"),
        "the interface": _interface,
        "what the interface may do": lambda rng, tool: _within("ui")(rng, tool["_meta"]),
        "a member that is gone": _without,
        "a member that is new": _new,
        "a key twice": _twice,
        "a number that a double does not hold": _beyond,
    }
)
"""Changes of an item's meaning by kind; those that give bytes wrote what no dictionary can hold."""


def changed(kind: str, rng: random.Random) -> bytes:
    """Write the tool with another meaning."""
    tool = copy.deepcopy(dict(TOOL))
    written = CHANGES[kind](rng, tool)
    return spelled(tool, rng).encode() if written is None else written


LOOK_ALIKES: Mapping[str, Callable[[random.Random], str]] = MappingProxyType(
    {
        "a letter of another script": lambda rng: "echo".replace(letter := rng.choice("eco"), _LIKE[letter]),
        "another case": lambda rng: rng.choice(["Echo", "ECHO", "echO"]),
        "a character that cannot be seen": lambda rng: f"ec{rng.choice(_UNSEEN)}ho",
        "a space": lambda rng: rng.choice([" echo", "echo ", "ec\u00a0ho", "echo\n"]),
        "a full width": lambda rng: rng.choice(["\uff45cho", "ech\uff4f"]),
        "a mark": lambda rng: f"echo{rng.choice(chr(0x301) + chr(0x323))}",
    }
)
"""Names that a reader takes for `echo`, by kind."""


def same(rng: random.Random) -> bytes:
    """Write the tool in another spelling of the same meaning."""
    tool = copy.deepcopy(dict(TOOL))
    tool["_meta"] |= {"build": rng.randrange(100), "vendor/served": "today"}
    tool |= dict.fromkeys(rng.sample(["execution", "x-note"], rng.randrange(3)))
    return spelled(tool, rng).encode()


def spelled(value: Any, rng: random.Random) -> str:
    """Write a value in one of its many spellings."""
    if isinstance(value, dict):
        members = list(value.items())
        rng.shuffle(members)
        inner = ",".join(
            _space(rng) + spelled(k, rng) + _space(rng) + ":" + spelled(v, rng) for k, v in members
        )
        return _space(rng) + "{" + inner + _space(rng) + "}"
    if isinstance(value, list):
        return "[" + ",".join(spelled(each, rng) for each in value) + _space(rng) + "]"
    if isinstance(value, str):
        return '"' + "".join(_escaped(char, rng) for char in value) + '"'
    if isinstance(value, int | float) and not isinstance(value, bool):
        return rng.choice(_numbers(value))
    return json.dumps(value)


def _space(rng: random.Random) -> str:
    return rng.choice(["", "", " ", "\n\t", "\r\n"])


def _escaped(char: str, rng: random.Random) -> str:
    if char in '"\\' or ord(char) < 0x20:
        return json.dumps(char)[1:-1]
    return char if rng.random() < 0.7 else json.dumps(char)[1:-1]


def _numbers(value: float) -> list[str]:
    if isinstance(value, int):
        return [str(value), f"{value}.0", f"{value}e0"]
    return [repr(value), f"{value:e}" if float(f"{value:e}") == value else repr(value)]


def answer(items: Sequence[bytes], cursor: str | None = None) -> bytes:
    """Write the answer to a list of tools, items as they are given."""
    following = b"" if cursor is None else b',"nextCursor":' + json.dumps(cursor).encode()
    return b'{"jsonrpc":"2.0","id":1,"result":{"tools":[' + b",".join(items) + b"]" + following + b"}}"


def _cut(rng: random.Random, body: bytes) -> Pieces:
    """Cut bytes at a few places, whatever stands there."""
    at = sorted({0, len(body), *(rng.randrange(len(body)) for _ in range(rng.randrange(6)))})
    return [body[begin:end] for begin, end in itertools.pairwise(at)]


def _events(end: bytes, *, several: bool = False) -> Callable[[random.Random, bytes], Pieces]:
    """Frame a message as an event: which line ends, and whether the data stands in several lines."""

    def deliver(rng: random.Random, body: bytes) -> Pieces:
        data = [body]
        if several:  # line ends between the tokens of JSON are nothing to it
            data = json.dumps(json.loads(body), indent=1, ensure_ascii=False).encode().split(b"\n")
        before = rng.sample([b": hello", b"event: message", b"id: 7", b"retry: 10"], rng.randrange(4))
        lines = [*before, *(rng.choice([b"data: ", b"data:"]) + line for line in data), b"", b""]
        first = rng.choice([b"", b"\xef\xbb\xbf", b": " + end, end])
        return [stream_head(), *_cut(rng, first + end.join(lines))]

    def one_line(rng: random.Random, body: bytes) -> Pieces:
        return deliver(rng, body.replace(b"\r\n", b" ").replace(b"\n", b" "))

    return deliver if several else one_line


def _chunks(rng: random.Random, body: bytes) -> Pieces:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    return [head, *(b"%x\r\n%b\r\n" % (len(part), part) for part in _cut(rng, body)), b"0\r\n\r\n"]


def _compressed(_rng: random.Random, body: bytes) -> Pieces:
    return [response(gzip.compress(body), "application/json", "200 OK", "content-encoding: gzip")]


FRAMINGS: Mapping[str, Callable[[random.Random, bytes], Pieces]] = MappingProxyType(
    {
        "JSON": lambda _rng, body: [response(body)],
        "JSON with a charset": lambda _rng, body: [response(body, "application/json; charset=utf-8")],
        "JSON in chunks": _chunks,
        "JSON, compressed": _compressed,
        "events, LF": _events(b"\n"),
        "events, CRLF": _events(b"\r\n"),
        "events, CR": _events(b"\r"),
        "events of several lines": _events(b"\n", several=True),
    }
)
"""Ways to deliver one message, by kind."""

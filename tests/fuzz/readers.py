"""How other programs read the same bytes: the oracles of the targets, written without the package."""

import json
from collections.abc import Iterator
from typing import Any

_MEMBERS = {"tools": "name", "prompts": "name", "resources": "uri", "resourceTemplates": "uriTemplate", "tasks": "taskId", "skills": "uri"}  # fmt: skip


def readings(data: bytes | str) -> Iterator[Any]:
    """Yield the JSON values that readers make of a document: the last of equal keys, the first, keys in any case."""
    hooks = (
        dict,
        lambda pairs: dict(reversed(pairs)),
        lambda pairs: {key.lower(): value for key, value in pairs},
        lambda pairs: {key.lower(): value for key, value in reversed(pairs)},
    )
    for hook in hooks:
        try:
            yield json.loads(data, object_pairs_hook=hook, parse_int=str)
        except (ValueError, RecursionError):
            return


def member(value: Any, *path: str) -> Any:
    """Return what lies at the end of a path of keys, whatever their case was; None if nothing does."""
    for key in path:
        value = (value.get(key) or value.get(key.lower())) if isinstance(value, dict) else None
    return value


def listed(value: Any) -> Iterator[str]:
    """Yield the names of all items in the lists of a JSON-RPC result."""
    for key, name in _MEMBERS.items():
        items = member(value, "result", key)
        for item in items if isinstance(items, list) else []:
            found = member(item, name)
            if isinstance(found, str):
                yield found


def event_data(stream: bytes) -> Iterator[bytes]:
    """Yield the data of the events of a stream, as the text of WHATWG HTML 9.2.6 has it; also of one never ended."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for event in text.split(b"\n\n"):
        lines = (line.partition(b":") for line in event.split(b"\n"))
        yield b"\n".join(value.removeprefix(b" ") for field, _, value in lines if field == b"data")

"""What a fuzzer begins with: the inputs that stand in the tables of the tests, and mutations of them."""

import importlib
import random
from collections.abc import Iterable, Iterator
from typing import Any

MAX_BYTES = 4096
_PIECES = (
    b'"', b"\\", b"\\u0000", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r", b"\n\n", b"data: ", b"%2e", b"%25", b"../",
    b"\x00", b"\xef\xbb\xbf", b"\xff", b"\xe2\x80\xae", b"-", b"1e999", b"9223372036854775808", b".", b"=", b"null", b" ",
    b"hidden", b"Name", b"method", b"${X}", b"&a", b"*a", b"\xc5\xbf", b"\xe2\x84\xaa",
)  # fmt: skip


def of_tests(*modules: str) -> list[bytes]:
    """Return the texts and bytes in the `parametrize` tables of some modules of tests, each once."""
    found: dict[bytes, None] = {}
    for name in modules:
        for test in vars(importlib.import_module(name)).values():
            for mark in getattr(test, "pytestmark", ()):
                if mark.name == "parametrize":
                    found |= dict.fromkeys(_leaves(list(mark.args[1])))
    return [seed for seed in found if len(seed) <= MAX_BYTES]


def _leaves(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, str):
        yield value.encode("utf-8", "surrogatepass")
    elif isinstance(value, dict):
        yield from _leaves([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from _leaves(part)


def mutations(seeds: Iterable[bytes], count: int, start: int = 0) -> Iterator[bytes]:
    """Yield the seeds themselves, then `count` mutations of them, the same in every run from the same start."""
    pool = list(seeds)
    yield from pool
    chance = random.Random(start)
    for _ in range(count):
        data = chance.choice(pool)
        for _ in range(chance.randint(1, 4)):
            data = chance.choice(_MUTATIONS)(data, chance, pool)
        yield data[:MAX_BYTES]


def _span(data: bytes, chance: random.Random) -> tuple[int, int]:
    begin = chance.randint(0, len(data))
    return begin, min(len(data), begin + chance.randint(0, 16))


def _cut(data: bytes, chance: random.Random, _pool: list[bytes]) -> bytes:
    begin, end = _span(data, chance)
    return data[:begin] + data[end:]


def _repeat(data: bytes, chance: random.Random, _pool: list[bytes]) -> bytes:
    begin, end = _span(data, chance)
    return data[:end] + data[begin:end] * chance.randint(1, 8) + data[end:]


def _insert(data: bytes, chance: random.Random, _pool: list[bytes]) -> bytes:
    begin, _ = _span(data, chance)
    return data[:begin] + chance.choice(_PIECES) + data[begin:]


def _flip(data: bytes, chance: random.Random, _pool: list[bytes]) -> bytes:
    if not data:
        return data
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]


def _splice(data: bytes, chance: random.Random, pool: list[bytes]) -> bytes:
    other = chance.choice(pool)
    return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


_MUTATIONS = (_cut, _repeat, _insert, _flip, _splice)

"""Work that is done in slices, with a `yield` wherever the thread may be given to somebody else."""

from collections.abc import Generator
from typing import TypeVar

_T = TypeVar("_T")


def whole(slices: Generator[None, None, _T]) -> _T:
    """Do all of it at once, and return its result."""
    while True:
        try:
            next(slices)
        except StopIteration as done:
            result: _T = done.value
            return result

"""What a target of the fuzzer is."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One reader of bytes that others chose.

    Attributes:
        invariant: what holds for every input, in one line.
        seeds: makes the inputs to begin with.
        check: raises AssertionError, or whatever the reader must not raise, when the invariant does not hold.
    """

    invariant: str
    seeds: Callable[[], list[bytes]]
    check: Callable[[bytes], None]

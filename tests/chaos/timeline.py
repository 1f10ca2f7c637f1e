"""What was in force when: the policy, the issuer's keys, the clock.

A change is not instant: between the moment at which it begins and the moment at which every worker is known to have it,
the old and the new value may both decide. So a question is compared with every value that was in force at some moment
between its sending and its answer.
"""

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Span(Generic[T]):
    value: T
    since: float
    until: float = math.inf


class Timeline(Generic[T]):
    """The values of one thing, with the time in which each may decide; times are of one monotonic clock."""

    def __init__(self, first: T) -> None:
        """Begin with a value that has always been in force."""
        self._spans = [_Span(first, -math.inf)]

    @property
    def newest(self) -> T:
        """The value that was put in force last."""
        return self._spans[-1].value

    def begin(self, value: T, at: float) -> None:
        """Let another value decide from now on, beside those that were not yet settled."""
        self._spans.append(_Span(value, at))

    def settle(self, at: float) -> None:
        """End every value but the newest."""
        for span in self._spans[:-1]:
            span.until = min(span.until, at)

    def between(self, since: float, until: float) -> list[T]:
        """Return the values that were in force at some moment of a period."""
        return [span.value for span in self._spans if span.since <= until and since <= span.until]

    def forget(self, before: float) -> None:
        """Drop what ended before a moment."""
        self._spans = [span for span in self._spans if span.until >= before]

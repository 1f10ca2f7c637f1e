"""Work in the background that a span may show: a fetch of keys, a question to an issuer, a reload.

What works does not know whether anybody traces it: it is given a `StartSpan`, which by default does nothing.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol


class WorkInProgress(Protocol):
    """Work under way."""

    def failed(self, why: str) -> None:
        """Note that it failed; `why` holds nothing secret."""


StartSpan = Callable[[str, Mapping[str, str]], AbstractContextManager[WorkInProgress]]
"""Begins work of a name with attributes; it ends with the block."""


class _Untraced:
    def __enter__(self) -> WorkInProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def failed(self, why: str) -> None:
        pass


_UNTRACED = _Untraced()


def untraced(_name: str, _attributes: Mapping[str, str]) -> AbstractContextManager[WorkInProgress]:
    """Show nobody what is done."""
    return _UNTRACED

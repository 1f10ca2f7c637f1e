"""What keeps an issuer's tokens from being judged, told in the log, on /readyz, in the console and by `mcp-authz stats`."""

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

INTROSPECTION_FAILED = "introspection failed"
"""How the cause begins where an issuer did not answer about a token."""


class KeyProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why an issuer's keys could not be fetched, or why it did not answer about a token.

    Attributes:
        issuer: the issuer.
        url: what was asked for, empty if nothing was.
        cause: what went wrong.
        since: when it first went wrong after it last went well, UTC; empty if that is not known.
    """

    issuer: str
    url: str
    cause: str
    since: str = ""

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.issuer}: {self.cause}{f' ({self.url})' if self.url else ''}"


class IntrospectionFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What goes on between this service and an issuer that is asked about tokens.

    Attributes:
        issuer: the issuer.
        under_way: questions that it has not answered yet.
        waiting: questions that wait for their turn.
        active: tokens that are remembered as active.
        inactive: tokens that are remembered as not active.
    """

    issuer: str
    under_way: int
    waiting: int
    active: int
    inactive: int


def moment() -> str:
    """Return the time as `since` has it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def each_once(problems: Iterable[KeyProblem]) -> list[KeyProblem]:
    """Return the problems of several workers: the same one once, since the first of them saw it."""
    found: dict[tuple[str, str, str], KeyProblem] = {}
    for problem in sorted(problems, key=lambda each: each.since):
        found.setdefault((problem.issuer, problem.url, problem.cause), problem)
    return list(found.values())

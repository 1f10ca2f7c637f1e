"""The policy in force, and a candidate that is compared with it.

A `PolicySnapshot` never changes. A reload makes a new one and swaps a single reference, so a Check finishes under the
snapshot it began with. The rewriter of a list's response runs later, in a call of its own: it finds the policy of its
Check by digest among the last few snapshots.

Where the policy names a candidate, it decides every request once more, after the decision is made. A disagreement is noted
among the decision's shadows; nothing else of the decision, and nothing that a client sees, changes.

The event loop puts snapshots in force and the server's thread reads them, so what is shared is replaced, never changed.
"""

import structlog
from msgspec import structs

from authz.core.decision import Decision
from authz.core.engine import PolicySnapshot, check
from authz.core.request import NEVER, HttpRequest

CANDIDATE = "candidate"
"""What records and metrics call the candidate, in the place of a shadow rule's name."""

_KEPT = 4
_LOG = structlog.get_logger("authz.policy")


class Snapshots:
    """The snapshot in force, and the last few before it.

    Attributes:
        current: the snapshot in force.
    """

    def __init__(self, first: PolicySnapshot) -> None:
        """Put the first snapshot in force."""
        self.current = first
        self._by_digest = {first.digest: first}

    def put_in_force(self, snapshot: PolicySnapshot) -> list[PolicySnapshot]:
        """Decide by another snapshot from now on; return those that are not kept any more."""
        others = [digest for digest in self._by_digest if digest != snapshot.digest]
        kept = {digest: self._by_digest[digest] for digest in others[1 - _KEPT :]} | {
            snapshot.digest: snapshot
        }
        dropped = [old for digest, old in self._by_digest.items() if kept.get(digest) is not old]
        self._by_digest, self.current = kept, snapshot
        return dropped

    def find(self, digest: str) -> PolicySnapshot:
        """Return the snapshot with a digest; the one in force if it is not known any more."""
        return self._by_digest.get(digest, self.current)


def note_candidate(made: Decision, request: HttpRequest, candidate: PolicySnapshot, now: float) -> Decision:
    """Note on a decision whether a candidate would have decided otherwise; one that fails would have denied."""
    try:
        would_allow = check(request, candidate, now, NEVER).allowed
    except Exception as error:  # noqa: BLE001 - whatever a candidate does, the decision is made
        would_allow = False
        _LOG.error("candidate failed", error=type(error).__name__)
    if would_allow == made.allowed:
        return made
    return structs.replace(made, shadows=(*made.shadows, CANDIDATE))

"""Whether Envoys trim the lists of this process's Checks: `RewriterPresence`, and what shows a rewriter before a list needs it.

Subjects are compared as the Check's metadata has them, clipped.
"""

import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from authz.core.decision import Decision, clip
from authz.core.mcp.methods import METHODS
from authz.core.reasons import Reason
from authz.core.request import HttpRequest
from authz.core.response.presence import RewriterPresence
from authz.edge.envoy.knock import Knocker

_PROMPT = frozenset(
    name
    for name, row in METHODS.items()
    if (row.lists or row.starts_session or row.shows_rewriter) and not row.may_stream
)
"""Methods that a server answers at once, so that the rewriter of the answer is soon there."""
WaitForWord = Callable[[str, str], Coroutine[Any, Any, bool]]
"""Waits for word that the rewriter came at a listener for a subject; returns whether a list may pass now."""


class Rewriters:
    """The rewriters of the Envoys that ask a process.

    Attributes:
        presence: what came and what did not.
        wait_for_word: waits for a sibling's word of a rewriter; None if there are no siblings.
    """

    def __init__(self, *, alone: bool) -> None:
        """Know of none; `alone` says whether only processes of this machine ask, and all their streams come here."""
        self.presence = RewriterPresence(time.monotonic, alone=alone, lock=threading.Lock())
        self.wait_for_word: WaitForWord | None = None
        self._knocker = Knocker() if alone else None

    def refuses(self, listener: str, subject: str) -> bool:
        """Return whether a list must not pass, because it is not sure that it would be trimmed."""
        return self.presence.refuses(listener, clip(subject))

    def wants(self, listener: str, subject: str) -> bool:
        """Return whether a refusal should ask for the rewriter, to find out."""
        return self.presence.wants(listener, clip(subject))

    def asked(self, decision: Decision, listener: str) -> None:
        """Note that an answer asks for the rewriter.

        Not every refusal counts: nobody who has no token can have it told that the rewriter did not come for him.
        """
        own = decision.allowed or decision.reason is Reason.REWRITER_MISSING
        subject = "" if decision.principal is None else clip(decision.principal.subject)
        self.presence.asked(listener, subject, prompt=own and decision.method in _PROMPT)

    def find(self, request: HttpRequest, subject: str) -> Coroutine[Any, Any, bool] | None:
        """Look for the rewriter that a list lacks, by a knock and by what siblings say; None if that would be in vain."""
        if self._knocker is None and self.wait_for_word is None:
            return None
        return self._find(request, clip(subject))

    async def _find(self, request: HttpRequest, subject: str) -> bool:
        listener = request.listener()
        if self._knocker is not None:
            await self._knocker.knock(request)
        if self.wait_for_word is not None and await self.wait_for_word(listener, subject):
            return True
        self.presence.acquit(listener)
        return not self.presence.refuses(listener, subject)

"""Which rewriters came to a worker, for its siblings: a Check and the rewriter of its answer can reach different workers.

Rules of this module:

* News is told at once, and what comes within `PAUSE` after that together, so that many lists cost few messages.
* A list that would be refused waits a moment for a sibling's word: the answer before it may have just come there.
* The supervisor keeps at which listeners a rewriter has ever come, so that a worker that starts later refuses no list.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from authz.core.response.presence import MOST_ENVOYS, RewriterPresence
from authz.core.wire.bounded_cache import BoundedCache
from authz.edge.workers.ipc import Came

PAUSE = 0.02
"""Seconds between two messages."""
WORD_SECONDS = 0.1
"""Longest time that a list waits for word, of the time that its Check has."""


class RewriterNews:
    """The news of one worker."""

    def __init__(self, presence: RewriterPresence, send: Callable[[dict[str, list[str]]], None]) -> None:
        """Tell by `send` which rewriters come; see `tell`."""
        self._presence, self._send = presence, send
        self._fresh, self._heard = asyncio.Event(), asyncio.Event()
        self._loop = asyncio.get_running_loop()
        presence.on_news = self._wake

    def _wake(self) -> None:
        """Have the event loop tell the news; from the thread that serves."""
        if not self._fresh.is_set():
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the one who would tell
                self._loop.call_soon_threadsafe(self._fresh.set)

    async def tell(self) -> None:
        """Tell news until cancelled."""
        while True:
            await self._fresh.wait()
            self._fresh.clear()
            if news := self._presence.news():
                self._send({listener: sorted(callers) for listener, callers in news.items()})
            await asyncio.sleep(PAUSE)

    def hear(self, callers: Mapping[str, list[str]]) -> None:
        """Note what came to a sibling."""
        for listener, names in callers.items():
            self._presence.heard(listener, names)
        self._heard.set()

    async def wait(self, listener: str, caller: str) -> bool:
        """Wait for word that ends a refusal; return whether it came."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WORD_SECONDS):
                while self._presence.refuses(listener, caller):
                    self._heard.clear()
                    await self._heard.wait()
        return not self._presence.refuses(listener, caller)


class RewriterExchange:
    """What workers tell of rewriters, passed on by their supervisor."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: BoundedCache[str, bool] = BoundedCache(MOST_ENVOYS)
        self._listeners: list[Callable[[Came], None]] = []

    def join(self, listener: Callable[[Came], None]) -> None:
        """Tell `listener` from now on of what came, to its own worker too."""
        self._listeners.append(listener)

    def tell(self, came: Came) -> None:
        """Pass on what came to a worker."""
        for name in came.callers:
            self._known.put(name, value=True)
        for listener in self._listeners:
            listener(came)

    def known(self) -> Came:
        """Return what a worker that starts must know: where a rewriter has come."""
        return Came({name: [] for name in self._known})

"""Reloading the policy: on a change of the file and on SIGHUP, whole or not at all.

The file is looked at by content, through whatever links lead to it: a Kubernetes ConfigMap swaps a link to a directory,
editors replace the file, and either way the path stays and the content differs. Looking costs one read a second and
misses nothing that a notification could lose.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from authz.config.problems import ConfigError
from authz.config.settings import Settings

_LOG = structlog.get_logger("authz.policy")

INTERVAL = 1.0
"""Seconds between two looks."""

Load = Callable[[], Settings]
Apply = Callable[[Settings], Awaitable[None]]


class Watcher:
    """Loads the policy anew when its file changes; a file that cannot be used changes nothing."""

    def __init__(self, path: str, load: Load, apply: Apply, *, failed: Callable[[str], None]) -> None:
        """Watch a file.

        Args:
            path: the file.
            load: reads it; raises ConfigError when it cannot be used.
            apply: puts new settings in force.
            failed: told the problem when a file cannot be used, "" when the file is good again.
        """
        self._path = Path(path)
        self._load = load
        self._apply = apply
        self._failed = failed
        self._seen = self._content()
        self._now = asyncio.Event()

    def poke(self) -> None:
        """Look now, and load even when nothing changed, as after SIGHUP."""
        self._seen = b""
        self._now.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                async with asyncio.timeout(INTERVAL):
                    await self._now.wait()
            except TimeoutError:
                pass
            self._now.clear()
            await self.look()

    async def look(self) -> None:
        """Load the file if it is not the one that was seen last."""
        content = await asyncio.to_thread(self._content)
        if content == self._seen:
            return
        self._seen = content
        try:
            settings = await asyncio.to_thread(self._load)
        except ConfigError as error:
            _LOG.error("policy not reloaded, the last good one stays in force", problem=str(error))
            self._failed(str(error))
            return
        await self._apply(settings)
        self._failed("")

    def _content(self) -> bytes:
        """Give the digest of the file's content; empty while it cannot be read, as in the middle of a swap."""
        try:
            return hashlib.sha256(self._path.read_bytes()).digest()
        except OSError:
            return b""

"""Reloading the policy: on a change of a file and on SIGHUP, whole or not at all.

Rules of this module:

* A file is looked at by content, through whatever links lead to it: a Kubernetes ConfigMap swaps a link to a
  directory, editors replace the file, and either way the path stays and the content differs. Looking costs one read a
  second and misses nothing that a notification could lose.
* Watched is every file that the settings in force were read from, and what is compared is the content that they were
  read from. So a change between the first reading and the first look is seen too.
* After a failure the files that its problems name are watched as well: a candidate that was missing may come.
* Nothing ends the watch: an error that nobody thought of fails that reload and no other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from authz.config.files import fingerprint
from authz.config.problems import ConfigError
from authz.config.settings import Settings

_LOG = structlog.get_logger("authz.policy")

INTERVAL = 1.0
"""Seconds between two looks."""

Load = Callable[[], Settings]
Apply = Callable[[Settings], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WatchedFile:
    """Where settings come from.

    Attributes:
        path: the file.
        load: reads it; raises ConfigError when it cannot be used.
    """

    path: str
    load: Load


class Watcher:
    """Loads the policy anew when a file of it changes; a file that cannot be used changes nothing."""

    def __init__(
        self,
        path: str,
        load: Load,
        apply: Apply,
        *,
        failed: Callable[[str], None],
        read: Mapping[str, str] | None = None,
    ) -> None:
        """Watch a file and those that it names.

        Args:
            path: the file.
            load: reads it; raises ConfigError when it cannot be used.
            apply: puts new settings in force.
            failed: told the problem when a file cannot be used, "" when the file is good again.
            read: `Settings.read` of the settings in force; as the file is now when there are none.
        """
        self._path = path
        self._load = load
        self._apply = apply
        self._failed = failed
        self._seen = dict(read or {}) or contents([path])
        self._forced = False
        self._now = asyncio.Event()

    def poke(self) -> None:
        """Look now, and load even when nothing changed, as after SIGHUP."""
        self._forced = True
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
        """Load the policy if a file of it is not the one that was seen last."""
        found = await asyncio.to_thread(contents, tuple(self._seen))
        if found == self._seen and not self._forced:
            return
        self._forced = False
        self._seen = found
        try:
            settings = await asyncio.to_thread(self._load)
            await self._apply(settings)
        except ConfigError as error:
            named = {problem.file for problem in error.problems}
            self._refuse(str(error), {self._path, *found, *named})
        except Exception as error:  # noqa: BLE001 - the next file may be good
            self._refuse(type(error).__name__, found)
        else:
            self._seen = dict(settings.read) or found
            self._failed("")

    def _refuse(self, problem: str, paths: Collection[str]) -> None:
        # Files are taken as they were before the load: what changed during it is looked at again.
        self._seen = {path: self._seen.get(path, "") for path in paths}
        _LOG.error("policy not reloaded, the last good one stays in force", problem=problem)
        self._failed(problem)


def contents(paths: Collection[str]) -> dict[str, str]:
    """Give each file's fingerprint; empty while it cannot be read, as in the middle of a swap."""
    return {path: _content(Path(path)) for path in paths}


def _content(path: Path) -> str:
    try:
        return fingerprint(path.read_bytes())
    except OSError:
        return ""

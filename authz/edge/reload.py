"""Reload the policy when one of its files changes and on SIGHUP, completely or not at all.

Rules of this module:

* Files are compared by content, and links are followed: a Kubernetes ConfigMap swaps a link to a directory and editors
  replace the file, but in both cases the path stays and the content differs. Polling costs one read a second, and misses
  nothing that a file system notification could lose.
* Every file that the settings in force were read from is watched, and compared with the content that was read. So a change
  between the first reading and the first look is noticed too.
* After a failure, the files that its problems name are watched as well: a missing candidate may appear.
* Nothing ends the watch: an unexpected error fails that reload only.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from authz.config.files import fingerprint
from authz.config.problems import ConfigError
from authz.config.settings import Settings
from authz.edge.heap import unvisited
from authz.edge.tracing.work import StartSpan, untraced

_LOG = structlog.get_logger("authz.policy")

INTERVAL = 1.0
"""Seconds between two checks of the files."""

Load = Callable[[], Settings]
Apply = Callable[[Settings], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WatchedFile:
    """The policy file that settings come from.

    Attributes:
        path: its path.
        load: reads it; raises ConfigError if it cannot be used.
    """

    path: str
    load: Load


class PolicyWatcher:
    """Loads the policy again when one of its files changes; a file that cannot be used changes nothing."""

    def __init__(
        self,
        path: str,
        load: Load,
        apply: Apply,
        *,
        failed: Callable[[str], None],
        read: Mapping[str, str] | None = None,
        span: StartSpan = untraced,
    ) -> None:
        """Watch a file and those that it names.

        Args:
            path: the file.
            load: reads it; raises ConfigError if it cannot be used.
            apply: puts new settings in force.
            failed: called with the problem if a file cannot be used, and with "" once it can.
            read: `Settings.read` of the settings in force; None for the content of the file now.
            span: shows a reload.
        """
        self._path = path
        self._load = load
        self._apply = apply
        self._failed = failed
        self._span = span
        self._seen = dict(read or {}) or contents([path])
        self._forced = False
        self._wake = asyncio.Event()

    def reload_now(self) -> None:
        """Load the policy now, even if nothing changed, as on SIGHUP."""
        self._forced = True
        self._wake.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                async with asyncio.timeout(INTERVAL):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self.check_files()

    async def check_files(self) -> None:
        """Load the policy if the content of its files changed."""
        now = await asyncio.to_thread(contents, tuple(self._seen))
        if now == self._seen and not self._forced:
            return
        self._forced = False
        self._seen = now
        try:
            with self._span("reload policy", {}):
                with unvisited():
                    settings = await asyncio.to_thread(self._load)
                await self._apply(settings)
        except ConfigError as error:
            named = {problem.file for problem in error.problems}
            self._fail(str(error), {self._path, *now, *named})
        except Exception as error:  # noqa: BLE001 - the next version of the file may be good
            self._fail(type(error).__name__, now)
        else:
            self._seen = dict(settings.read) or now
            self._failed("")

    def _fail(self, problem: str, paths: Collection[str]) -> None:
        # Compare with the content before the load, so that a change during it triggers another one.
        self._seen = {path: self._seen.get(path, "") for path in paths}
        _LOG.error("policy not reloaded, the last good one stays in force", problem=problem)
        self._failed(problem)


def contents(paths: Collection[str]) -> dict[str, str]:
    """Return each file's fingerprint; "" while it cannot be read, as in the middle of a swap."""
    return {path: _content(Path(path)) for path in paths}


def _content(path: Path) -> str:
    try:
        return fingerprint(path.read_bytes())
    except OSError:
        return ""

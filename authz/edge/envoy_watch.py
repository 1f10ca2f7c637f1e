"""What is wrong with the Envoys that ask, as far as the service can see it; told by log, metric, console and /readyz.

A filter that somebody takes out of a running Envoy, or a setting that is lost in a merge, fails nothing here: the service
goes on answering what it is asked. But it can see that what should come does not. One closed list of problems says
what was seen and what cures it.

Rules of this module:

* Everything is judged from the service's metrics, all workers together, every few seconds, and never on the request path.
* A problem is what was seen, not a guess at its cause; the cure names the causes in the order of their likelihood.
* None of them makes the service unready: it could decide, and to take it away would stop those who are served well.
* Silence counts only after steady traffic, since an idle service is asked nothing: `_BUSY` Checks in each of three periods.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import NamedTuple

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric

from authz.config.envoy_version import OLDEST
from authz.config.envoy_version import read as read_version
from authz.core.reasons import TABLE, Group, Reason
from authz.edge.http.console.samples import Samples, samples_of
from authz.edge.http.status import ServiceStatus
from authz.edge.telemetry.envoy_signs import EnvoyProblem, Sign, problem

LOOKS = 8
"""How often one period is looked at."""
_BUSY = 10
_WITHOUT_TOKENS, _SPAN = 20, 10.0
"""Requests in a row without a token, and the seconds in which they come, that make a problem."""
_RECENT = 60.0
_OLD = 900.0
_LOG = structlog.get_logger("authz.envoy")


_CAUSES = {"not_raw": Sign.BODY_NOT_RAW, "partial": Sign.BODY_PARTIAL, "absent": Sign.BODY_ABSENT}
_TELL_NOTHING = frozenset(
    {Reason.MISSING_TOKEN, *(reason for reason, row in TABLE.items() if row.group is Group.REQUEST)}
)
"""Reasons for which a request with a token can be refused before it is looked at, and the one for want of a token."""


class _Read(NamedTuple):
    """What is read of the metrics at one look."""

    at: float
    decided: float
    allowed: float
    with_token: float
    without: float
    withheld: Mapping[str, float]


class Judge:
    """Judges a series of looks at the metrics."""

    def __init__(self, period: float) -> None:
        """Take silence for a problem once it lasts for `period` seconds; 0 for never."""
        self._period = period
        self._looks: deque[_Read] = deque(maxlen=4 * LOOKS + 1)
        self._tokens: _Read | None = None  # the last look before requests came without tokens only
        self._last_without: _Read | None = None
        self._withheld: dict[str, tuple[float, float]] = {}
        self._silent = False

    def look(self, at: float, samples: Samples) -> list[EnvoyProblem]:
        """Return the problems that the samples show, after those seen before; `at` is a moment in seconds."""
        now = _read(at, samples)
        before = self._looks[-1] if self._looks else now
        self._looks.append(now)
        missing = sorted(_labels(samples, "rewriter_missing", "listener"))
        versions = [read_version(text) for text in _labels(samples, "envoy_info", "version")]
        found: dict[Sign, list[str]] = {}
        if missing:
            found[Sign.REWRITER_MISSING] = missing
        found |= {sign: [] for cause, sign in _CAUSES.items() if self._withholds(cause, now, before)}
        if self._lacks_tokens(now, before):
            found[Sign.NO_TOKENS] = []
        if self._is_silent(now, before):
            found[Sign.NO_CHECKS] = []
        if any(version < OLDEST for version in versions if version):
            found[Sign.OLD_ENVOY] = []
        return [problem(sign, where) for sign, where in found.items()]

    def _withholds(self, cause: str, now: _Read, before: _Read) -> bool:
        """Return whether bodies were withheld of late, or were and nothing has been allowed since."""
        count = now.withheld.get(cause, 0.0)
        if count > before.withheld.get(cause, 0.0) or (before is now and count):
            self._withheld[cause] = (now.at, now.allowed)
        seen = self._withheld.get(cause)
        if seen is None:
            return False
        at, allowed = seen
        return now.at - at <= _RECENT or (now.allowed == allowed and now.at - at <= _OLD)

    def _lacks_tokens(self, now: _Read, before: _Read) -> bool:
        if self._tokens is None or now.with_token != before.with_token:
            self._tokens = now
        if self._last_without is None or now.without != before.without:
            self._last_without = now
        since = self._tokens
        enough = now.without - since.without >= _WITHOUT_TOKENS and now.at - since.at >= _SPAN
        return enough and now.at - self._last_without.at <= _OLD

    def _is_silent(self, now: _Read, before: _Read) -> bool:
        if not self._period or now.decided != before.decided:
            self._silent = False
        elif not self._silent and len(self._looks) == self._looks.maxlen:
            marks = [self._looks[index * LOOKS].decided for index in range(5)]
            periods = [later - earlier for earlier, later in pairwise(marks)]
            self._silent = not periods[-1] and all(count >= _BUSY for count in periods[:-1])
        return self._silent


def _read(at: float, samples: Samples) -> _Read:
    decided = allowed = with_token = without = 0.0
    withheld: dict[str, float] = {}
    for (name, labels), value in samples.items():
        if name == "decisions_total":
            reason = Reason(dict(labels)["reason"])
            decided += value
            allowed += value if reason is Reason.ALLOWED else 0.0
            without += value if reason is Reason.MISSING_TOKEN else 0.0
            with_token += 0.0 if reason in _TELL_NOTHING else value
        elif name == "bodies_withheld_total":
            withheld[dict(labels)["cause"]] = value
    return _Read(at, decided, allowed, with_token, without, withheld)


def _labels(samples: Samples, name: str, label: str) -> list[str]:
    return [dict(labels)[label] for (given, labels), value in samples.items() if given == name and value]


class EnvoyWatch:
    """Looks at a service's metrics again and again.

    Attributes:
        problems: what the last look showed.
    """

    def __init__(
        self,
        service: ServiceStatus,
        clock: Callable[[], float] = time.monotonic,
        *,
        note: Callable[[Samples], None] = lambda _samples: None,
    ) -> None:
        """Watch the Envoys of `service`; see `run`. `note` is given what each look reads."""
        self.problems: list[EnvoyProblem] = []
        self._service, self._clock, self._note = service, clock, note
        self._period = service.settings.quiet
        self._judge = Judge(self._period)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep((self._period or _RECENT) / LOOKS)
            await self.look()

    async def look(self) -> None:
        """Look once, and log what is new and what is over."""
        samples = samples_of(await self._service.metrics())
        self._note(samples)
        found = self._judge.look(self._clock(), samples)
        known = {each.name: each for each in self.problems}
        for each in found:
            if known.pop(each.name, None) is None:
                _LOG.error("envoy", problem=each.name, seen=each.seen, cure=each.cure, where=each.where)
        for name in known:
            _LOG.info("envoy is well again", problem=name)
        self.problems = found

    def gauge(self) -> Metric:
        """Return the metric of all problems, 1 for those that there are."""
        present = {each.name for each in self.problems}
        text = "Problems of Envoy's configuration that the service sees."
        family = GaugeMetricFamily("mcp_authz_envoy_problem", text, labels=["problem"])
        for sign in Sign:
            family.add_metric([sign.value], float(sign.value in present))
        return family

"""Decides what is traced, and leaves its facts in the queue.

Rules of this module:

* Envoy decides whether a request is sampled, and says so in the `traceparent` of its call (its `metadata`). Until an Envoy has sent one, this
  service samples `percent` of the requests by itself.
* No `traceparent` of a client causes a span: in the header or in the message, it says where a span belongs and never
  whether there is one.
* A denial makes a span, sampled or not; only a sampled one has steps, because it was known beforehand. Anyone can be
  denied, so those that were not sampled have a budget of their own in the queue (see `export`): junk cannot push out
  what Envoy sampled.
* The work that a sampled Check waits for is part of its trace, by way of a context variable that tasks inherit. Fetches of
  keys and reloads make spans always, because they are few; a question about a token does so in a trace, or when it fails.
* On the request path nothing is formatted, hashed or encoded, and an unsampled allow leaves nothing.
"""

import random
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from authz.core.decision import Decision, Facts
from authz.core.identity.session import HEADER as SESSION
from authz.core.request import HttpRequest
from authz.edge.grpc.transport import Call
from authz.edge.tracing import traceparent
from authz.edge.tracing.export import SpanQueue
from authz.edge.tracing.responses import ResponseObserver, ResponseTrace
from authz.edge.tracing.spans import CheckSpan, CheckSteps, WorkSpan
from authz.edge.tracing.traceparent import SpanParent
from authz.edge.tracing.work import WorkInProgress

_T = TypeVar("_T")
_FLAG = slice(54, 55)
"""Where a `traceparent` says whether it is sampled, in every version: the last digit of its flags."""
_SAMPLED = frozenset("13579bdf")
"""What then stands there."""
_current: ContextVar[SpanParent | None] = ContextVar("current", default=None)
"""The span that the work of this task is part of."""
_ASKED = frozenset({"introspect"})
"""Work that makes a span only in a trace, or if it fails: there is one for each new token."""


class Tracer:
    """Traces Checks, responses and the work in the background."""

    def __init__(self, queue: SpanQueue, *, percent: float) -> None:
        """Leave spans in `queue`, and begin a trace for `percent` of the requests that nobody else traces."""
        self._add, self._admit = queue.add, queue.admit_unsampled
        self._share = percent / 100
        self._close = queue.close

    def close(self) -> None:
        """Send what waits, and stop."""
        self._close()

    def begin(self, call: Call, mark: Callable[[str], None]) -> CheckSteps | None:
        """Begin a Check; return what marks the ends of its steps and passes each on to `mark`, None if it is not sampled."""
        sent, parent = call.metadata, None
        if sent is not None:
            self._share = 0.0
            if sent[_FLAG] not in _SAMPLED:
                return None
            parent = traceparent.read(sent)
            if parent is None:
                return None
        elif random.random() >= self._share:  # noqa: S311 - chooses a sample
            return None
        return CheckSteps(parent, random.getrandbits(64) or 1, mark)

    def end(
        self,
        steps: CheckSteps | None,
        call: Call,
        request: HttpRequest,
        decision: Decision,
        facts: Facts,
        seconds: float,
    ) -> None:
        """End a Check for which `begin` returned `steps`. One that was allowed and is not sampled leaves nothing."""
        if steps is None and (decision.allowed or not self._admit()):
            return
        asked = traceparent.read(call.metadata or "") if steps is None else steps.parent
        client = traceparent.read(request.headers.get(traceparent.NAME, ""))
        message = traceparent.of_message(request.body)
        known = [each for each in dict.fromkeys((asked, client, message)) if each is not None]
        # What began a trace of its own stays in it, and names the others.
        parent = known[0] if known and (steps is None or not steps.own_trace) else None
        links = [each for each in known if each != parent and (each is message or parent is None)]
        self._add(
            CheckSpan(
                parent=parent,
                links=tuple(links),
                steps=steps,
                decision=decision,
                facts=facts,
                seconds=seconds,
                session=request.headers.get(SESSION, ""),
            )
        )

    async def within(self, steps: CheckSteps, work: Coroutine[Any, Any, _T]) -> _T:
        """Do the work that a traced Check waits for, as part of its trace. It must be a task of its own."""
        _current.set(SpanParent(steps.trace_id(), steps.span_id, sampled=True))
        return await work

    @contextmanager
    def work(self, name: str, attributes: Mapping[str, str]) -> Iterator[WorkInProgress]:
        """Trace work in the background; a `work.StartSpan`."""
        parent, outcome, start = _current.get(), _Outcome(), time.time_ns()
        try:
            yield outcome
        except Exception as error:
            outcome.failed(type(error).__name__)
            raise
        finally:
            if parent is not None or name not in _ASKED or (outcome.has_failed and self._admit()):
                self._add(
                    WorkSpan(
                        name=name,
                        parent=parent,
                        start=start,
                        end=time.time_ns(),
                        client="url.full" in attributes,
                        attributes=attributes,
                        failed=outcome.has_failed,
                        problem=outcome.problem,
                    )
                )

    def response(self, call: Call, observe: ResponseObserver) -> ResponseTrace:
        """Begin to trace a response, of which `observe` takes note."""
        parent = traceparent.read(call.metadata or "")
        return ResponseTrace(observe, parent, self._add, self._admit)


class _Outcome:
    """What became of work."""

    def __init__(self) -> None:
        self.has_failed = False
        self.problem = ""

    def failed(self, why: str) -> None:
        self.has_failed, self.problem = True, why

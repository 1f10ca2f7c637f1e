"""What becomes a span later: the facts that the request path leaves, as few and as cheap as they can be.

Nothing here keeps a body, a header or a token of a request; of the MCP session it keeps the id, which becomes a hash.
"""

import random
import time
from collections.abc import Callable, Mapping

import msgspec

from authz.core.decision import Decision, Facts
from authz.edge.tracing.traceparent import SpanParent


class CheckSteps:
    """The steps of a Check that is traced: marks their ends, and passes each mark on.

    Attributes:
        parent: the span that asked; None if Envoy traces nothing.
        own_trace: its trace, if it had to begin one before it was known whose it is; else 0.
        span_id: of the span that the Check will be.
        start: when it began, in nanoseconds since the epoch.
        began: the same moment on the performance counter.
        ends: each step, and when it ended on the performance counter.
    """

    __slots__ = ("_pass_on", "began", "ends", "own_trace", "parent", "span_id", "start")

    def __init__(self, parent: SpanParent | None, span_id: int, pass_on: Callable[[str], None]) -> None:
        """Begin the first step."""
        self.parent, self.span_id = parent, span_id
        self._pass_on = pass_on
        self.own_trace = 0
        self.ends: list[tuple[str, float]] = []
        self.start = time.time_ns()
        self.began = time.perf_counter()

    def trace_id(self) -> int:
        """Return the trace; begin one if there is none yet."""
        if self.parent is not None:
            return self.parent.trace_id
        self.own_trace = self.own_trace or random.getrandbits(128) or 1
        return self.own_trace

    def __call__(self, step: str) -> None:
        """Mark the end of a step."""
        self.ends.append((step, time.perf_counter()))
        self._pass_on(step)


class CheckSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A Check that was traced.

    Attributes:
        parent: the span that it is part of; None to begin a trace.
        links: other spans that it has to do with: the MCP message's, and the client's where it is not the parent.
        steps: its steps; None if it was not sampled, and is told only because it was denied.
        decision: what was decided.
        facts: about whom, and when.
        seconds: how long it took.
        session: id of the MCP session as the client knows it, empty for none.
    """

    parent: SpanParent | None
    links: tuple[SpanParent, ...]
    steps: CheckSteps | None
    decision: Decision
    facts: Facts
    seconds: float
    session: str


class WorkSpan(msgspec.Struct, frozen=True, kw_only=True):
    """Anything else that was traced.

    Attributes:
        name: what was done.
        parent: the span that it is part of; None to begin a trace.
        start: when it began, in nanoseconds since the epoch.
        end: when it ended.
        client: whether it asked somebody else.
        server: whether it answered somebody else.
        attributes: by name.
        problem: why it failed, empty if it did not.
        failed: whether it did.
    """

    name: str
    parent: SpanParent | None
    start: int
    end: int
    client: bool = False
    server: bool = False
    attributes: Mapping[str, str | int | bool] = {}
    failed: bool = False
    problem: str = ""


Span = CheckSpan | WorkSpan

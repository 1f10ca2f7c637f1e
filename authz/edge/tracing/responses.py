"""The span of one response: what the rewriter made of it. Sampled as Envoy says.

One that was refused makes a span in any case, as long as there is room for what was not sampled.
"""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from authz.core.mcp.item import Kind
from authz.core.response.commands import ResponseOutcome
from authz.core.response.filter_result import Cause
from authz.edge.tracing.attributes import method_attributes
from authz.edge.tracing.spans import WorkSpan
from authz.edge.tracing.traceparent import SpanParent


class ResponseObserver(Protocol):
    """What counts what becomes of responses."""

    def envoy_seen(self, version: tuple[int, ...]) -> None:
        """Note the version of an Envoy."""

    def rewriter_came(self, server: str) -> None:
        """Count a response that was handed over."""

    def rewritten(self, outcome: ResponseOutcome) -> None:
        """Count a message by what became of it."""

    def response_refused(self, server: str, cause: Cause) -> None:
        """Count a message that was refused, by cause."""

    def listed(self, server: str, kind: Kind, kept: int, trimmed: int) -> None:
        """Count the items of a list."""


class ResponseTrace:
    """Notes for the span what it passes on to another observer."""

    def __init__(
        self,
        observe: ResponseObserver,
        parent: SpanParent | None,
        add: Callable[[WorkSpan], None],
        admit: Callable[[], bool],
    ) -> None:
        """Begin the span; the response is here.

        Args:
            observe: counts what becomes of the response.
            parent: the span that it is part of; None if nobody traces it.
            add: takes the span.
            admit: says whether there is room for a span that was not sampled.
        """
        self.envoy_seen, self.rewriter_came = observe.envoy_seen, observe.rewriter_came
        self._observe, self._parent, self._add, self._admit = observe, parent, add, admit
        self._start = time.time_ns()
        self._outcome, self._cause = "", ""
        self._kept = self._trimmed = 0

    def rewritten(self, outcome: ResponseOutcome) -> None:
        """Count a message by what became of it."""
        self._outcome = self._outcome if self._cause else outcome.value
        self._observe.rewritten(outcome)

    def response_refused(self, server: str, cause: Cause) -> None:
        """Count a message that was refused, by cause."""
        self._cause = self._cause or cause.value
        self._observe.response_refused(server, cause)

    def listed(self, server: str, kind: Kind, kept: int, trimmed: int) -> None:
        """Count the items of a list."""
        self._kept += kept
        self._trimmed += trimmed
        self._observe.listed(server, kind, kept, trimmed)

    def end(self, said: Mapping[str, str], status: int) -> None:
        """End the span.

        Args:
            said: what the Check left in dynamic metadata.
            status: the HTTP status that the server sent, 0 if it is not known.
        """
        sampled = self._parent is not None and self._parent.sampled
        if not sampled and not (self._cause and self._admit()):
            return
        method = said.get("method", "")
        attributes: dict[str, str | int | bool] = {
            "mcp_authz.list.kept": self._kept,
            "mcp_authz.list.trimmed": self._trimmed,
            **method_attributes(method),
        }
        for name in ("server", "decision_id", "policy"):
            if name in said:
                attributes[f"mcp_authz.{name}"] = said[name]
        if self._outcome:
            attributes["mcp_authz.outcome"] = self._outcome
        if status:
            attributes["http.response.status_code"] = status
        if self._cause:
            attributes["error.type"] = attributes["mcp_authz.cause"] = self._cause
        self._add(
            WorkSpan(
                name="rewrite",
                parent=self._parent,
                start=self._start,
                end=time.time_ns(),
                server=True,
                attributes=attributes,
                failed=bool(self._cause),
                problem=self._cause,
            )
        )

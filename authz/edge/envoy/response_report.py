"""What becomes known of one response: counted for each message of it, and recorded once if some of it was refused."""

import time
from collections.abc import Callable, Mapping

from authz.core.response.commands import Judged, ResponseOutcome
from authz.core.response.filter_result import Cause
from authz.edge.telemetry.response_record import ResponseFacts
from authz.edge.tracing.responses import ResponseObserver

_BAD_GATEWAY = 502


class ResponseReport:
    """The report of one response.

    Attributes:
        said: what the Check left in dynamic metadata, as far as it is text.
        server: the server that answers; empty until it is known.
        status: the status that the server sent.
    """

    __slots__ = ("_observe", "_recorded", "_write", "said", "server", "status")

    def __init__(self, observe: ResponseObserver, write: Callable[[ResponseFacts], None]) -> None:
        """Count in `observe`, and give the record to `write`."""
        self.said: Mapping[str, str] = {}
        self.server = ""
        self.status = 0
        self._observe = observe
        self._write = write
        self._recorded = False

    def judged(self, judged: Judged, *, headers_sent: bool) -> None:
        """Take note of what became of one message.

        Args:
            judged: what became of it.
            headers_sent: whether the client has the response's headers, so that its status stands.
        """
        self._observe.rewritten(judged.outcome)
        if judged.cause is not None:
            self._observe.response_refused(self.server, judged.cause)
            self._record(judged.outcome, judged.cause, headers_sent=headers_sent)
        for count in judged.counts:
            self._observe.listed(self.server, count.kind, count.kept, count.trimmed)

    def _record(self, outcome: ResponseOutcome, cause: Cause, *, headers_sent: bool) -> None:
        """Leave one record for the response, however much of it is refused."""
        if self._recorded:
            return
        self._recorded = True
        passes = headers_sent or outcome is not ResponseOutcome.REFUSED
        self._write(
            ResponseFacts(
                at=time.time(),
                decision_id=self.said.get("decision_id", ""),
                response=outcome.value,
                cause=cause.value,
                server=self.server,
                method=self.said.get("method", ""),
                upstream_status=self.status,
                status=self.status if passes else _BAD_GATEWAY,
            )
        )

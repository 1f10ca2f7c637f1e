"""One message of a response, judged for its reader: what became of it, and the bytes that may be sent.

Without a verdict on who reads (`visible` is None), every list is refused.
"""

from collections.abc import Callable, Generator
from typing import TypeAlias

import msgspec

from authz.core.mcp.item import Visible
from authz.core.request import RequestId
from authz.core.response.commands import Judged, ResponseOutcome
from authz.core.response.filter_result import Cause, FilterResult, ListRejected, Trimmed, Untouched, Withheld
from authz.core.response.held import HeldBytes
from authz.core.response.list_filter import DEFAULT_BOUNDS, FilterBounds, filter_in_slices
from authz.core.response.recognition import ResponseRecognition


class ResponseTerms(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """For whom a response is judged, and how much of it at most.

    Attributes:
        visible: whether an item stands in the reader's lists; None refuses every list.
        usable: whether the reader may use an item, and so hear of it; None for what is visible.
        ttl_ms: longest time in milliseconds a client may keep a list; None leaves it alone.
        bounds: largest JSON body and largest event, and most items of a list.
        request_id: id of the request that is answered; None when it has none or it is not known.
        server: the server that answers; "" when it is not known.
        held: the budget for what is held of all responses.
        challenge: from the status of a challenge by the server to the gateway's own; None where the server did not get
            the caller's token, so that no caller can answer its challenge.
        own: whether it is the service that answers, with a denial, so that a challenge is its own.
        bind_event: from the server's id of an event to the reader's, None for none; leaves ids as they are by default.
        recognise: takes note of each item of a list before it is judged; None where nothing was approved.
    """

    visible: Visible | None
    usable: Visible | None = None
    ttl_ms: int | None = None
    bounds: FilterBounds = DEFAULT_BOUNDS
    request_id: RequestId = None
    server: str = ""
    held: HeldBytes = msgspec.field(default_factory=HeldBytes)
    challenge: Callable[[int], str] | None = None
    own: bool = False
    bind_event: Callable[[bytes], bytes | None] = lambda event: event
    recognise: ResponseRecognition | None = None


PASSED = Judged(ResponseOutcome.PASSED)
Judgement: TypeAlias = tuple[Judged, bytes | None]
"""What became of a message, and the bytes that may be sent for it: empty when it is withheld, None when refused."""


def judge(
    message: bytes, reading: ResponseTerms, *, error_status: bool = False
) -> Generator[None, None, Judgement]:
    """Judge a message, in slices."""
    result = yield from filter_in_slices(
        message,
        reading.visible or _nothing,
        usable=reading.usable,
        ttl_ms=reading.ttl_ms,
        bounds=reading.bounds,
        error_status=error_status,
        recognise=reading.recognise,
    )
    return _judgement(message, result, known=reading.visible is not None)


def _judgement(message: bytes, result: FilterResult, *, known: bool) -> Judgement:
    """Return what follows from the filter's result; of an unknown reader no list is."""
    match result:
        case Untouched():
            return PASSED, message
        case Withheld():
            return Judged(ResponseOutcome.TRIMMED), b""
        case Trimmed() if known:
            cut = any(count.trimmed for count in result.counts)
            outcome = ResponseOutcome.TRIMMED if cut else ResponseOutcome.UNCHANGED
            return Judged(outcome, result.counts), result.document
        case ListRejected():
            return refused(result.cause), None
        case _:
            return refused(Cause.UNKNOWN_READER), None


def refused(cause: Cause) -> Judged:
    """Return the report of what was refused."""
    return Judged(ResponseOutcome.REFUSED, cause=cause)


def _nothing(_item: object) -> bool:
    return False

"""Envoy's ext_authz Check to the engine and back: translation, no judgement.

Rules of this module:

* Whatever fails while a request is judged and answered is a denial: a broad `except` stands around that. What fails after
  it, while the decision is recorded, fails the call, and Envoy lets nothing through whose call failed.
* A request is judged on `raw_body`. A `body` that Envoy sanitised is other bytes than the server would get, so it
  counts as incomplete.
* Headers come as a map in which Envoy joined repeated ones with ",", or as a list (`encode_raw_headers: true`). A list
  costs ten times as much to read here, and shows little more: Envoy's inline headers (Authorization and others) arrive
  joined in either form. So a comma in a header that may stand only once counts as a repetition, but not in the two
  that hold free text: `Mcp-Name` must equal the name in the body exactly, and of `Last-Event-ID` nothing follows.
* Of the identity headers every copy and every spelling that a client sent is removed (see `check_response`).
"""

import re
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

import structlog
from envoy.service.auth.v3 import external_auth_pb2

from authz.core.decision import Decision, Facts
from authz.core.engine import PolicySnapshot, check, is_late, probes
from authz.core.identity.principal import TokenRejected
from authz.core.reasons import Reason
from authz.core.request import Deadline, HttpRequest
from authz.core.transport import SINGLE_HEADERS
from authz.edge.envoy.check_response import ID_CHARS, allow
from authz.edge.grpc.transport import Call, Unary
from authz.edge.snapshots import Snapshots, note_candidate

SERVICE = "envoy.service.auth.v3.Authorization"
PARTIAL_BODY = "x-envoy-auth-partial-body"

_LOG = structlog.get_logger("authz.check")
_LENGTH = re.compile(r"0*[1-9][0-9]*").fullmatch
"""Matches the length of a body that is not empty."""
_read: Any = external_auth_pb2.CheckRequest.FromString


FindKey = Callable[[TokenRejected, float], Coroutine[Any, Any, bool] | None]
"""Begins to ask an issuer for what a rejected token wants: the key that it names, or whether it is active. None if that would
be in vain. Takes when the Check began."""

FindRewriter = Callable[[HttpRequest, str], Coroutine[Any, Any, bool] | None]
"""Looks for the rewriter that a request of a subject lacks. None if that would be in vain."""

Deny = Callable[[Decision, HttpRequest, PolicySnapshot, str, bool], tuple[bytes, int]]
"""Returns the response to a denied request and its HTTP status; takes the decision's id and whether to ask for the rewriter."""

Write = Callable[[Decision, Facts, float], None]
"""Writes the record of a decision; takes the seconds that it took."""

Count = Callable[[Decision, float], None]
"""Counts a decision; takes the seconds that it took."""


class CheckTrace(Protocol):
    """Traces Checks; what stands for the steps of one is the trace's own."""

    def begin(self, call: Call, mark: Callable[[str], None]) -> Any:
        """Begin a Check; return its steps, which take the marks of their ends and pass them on, or None to trace no steps."""

    def end(
        self, steps: Any, call: Call, request: HttpRequest, decision: Decision, facts: Facts, seconds: float
    ) -> None:
        """End a Check for which `begin` returned `steps`. It need not be told of one that was allowed and has none."""

    def within(self, steps: Any, work: Coroutine[Any, Any, bool]) -> Coroutine[Any, Any, bool]:
        """Return work for which a Check with steps waits, as part of its trace."""


class Checker:
    """Handles the Checks of Envoy's ext_authz filter.

    Attributes:
        trace: traces Checks, and times their stages; None to trace none.
        find_rewriter: looks for a rewriter before a list is refused for want of one.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        *,
        find_key: FindKey,
        deny: Deny,
        write: Write,
        count: Count,
        time_stages: Callable[[], Callable[[str], None]],
        asked: Callable[[Decision, str], None] = lambda _decision, _listener: None,
        withheld: Callable[[str], None] = lambda _cause: None,
    ) -> None:
        """Decide by the policy in force, and record every decision.

        Args:
            snapshots: the policy in force.
            find_key: searches for a key that is not known.
            deny: answers a denied request.
            write: writes the record of a decision.
            count: counts a decision.
            time_stages: begins to time the stages of a Check, and returns what marks their ends.
            asked: is told of each answer for which the rewriter is asked, a refusal too: the decision and the listener.
            withheld: counts a request whose body Envoy did not hand over as it is, by cause.
        """
        self._snapshots = snapshots
        self._find_key, self._deny = find_key, deny
        self._write, self._count_decision = write, count
        self._time_stages = time_stages
        self._asked, self._withheld = asked, withheld
        self.trace: CheckTrace | None = None
        self.find_rewriter: FindRewriter = lambda _request, _subject: None
        self.unary: Mapping[str, Unary] = MappingProxyType({f"/{SERVICE}/Check": self.check})
        self._start = secrets.token_hex(ID_CHARS // 2 - 4)
        self._count = 0

    async def check(self, message: bytes, call: Call) -> bytes:
        """Answer one Check: whatever the message, with a denial unless the check allowed it."""
        began = time.perf_counter()
        snapshot, trace = self._snapshots.current, self.trace
        mark = self._time_stages()
        steps = None if trace is None else trace.begin(call, mark)
        mark = steps or mark
        decision, request = _DENIED, _NOTHING
        try:
            request = read_request(_read(message))
            mark("parse")
            decision = decide(request, snapshot, began, mark)
            if decision.reason in _MISSING and await self._found(decision, request, began, call, steps):
                decision = decide(request, snapshot, began, mark)
            mark("policy")
            response, facts = self._answer(snapshot, decision, request)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the answer is no
            decision = _DENIED
            response, facts = self._answer(snapshot, decision, _NOTHING)
            _LOG.error("check failed", error=type(error).__name__)
        mark("respond")
        seconds = time.perf_counter() - began
        self._write(decision, facts, seconds)
        self._count_decision(decision, seconds)
        if trace is not None and (steps is not None or not decision.allowed):
            trace.end(steps, call, request, decision, facts, seconds)
        return response

    def _note_withheld(self, request: HttpRequest) -> None:
        """Count a refused request whose body Envoy cut, changed or kept: no client can bring that about."""
        if not request.body_complete:
            cut = request.headers.get(PARTIAL_BODY, "false") != "false"
            self._withheld("partial" if cut else "not_raw")
        elif (
            request.method == "POST"
            and not request.body
            and _LENGTH(request.headers.get("content-length", ""))
        ):
            self._withheld("absent")

    async def _found(
        self, decision: Decision, request: HttpRequest, began: float, call: Call, steps: Any
    ) -> bool:
        """Search for what a decision lacked, and return whether it is there now."""
        if decision.rejection is not None:
            search = self._find_key(decision.rejection, began)
        else:
            subject = "" if decision.principal is None else decision.principal.subject
            search = self.find_rewriter(request, subject)
        if search is not None and self.trace is not None and steps is not None:
            search = self.trace.within(steps, search)
        return search is not None and await call.run_in_loop(search)

    def _next_id(self) -> str:
        """Name a decision: unique, not secret. A random start and a count cost no system call for each."""
        self._count += 1
        return f"{self._start}{self._count & 0xFFFFFFFF:08x}"

    def _answer(
        self, snapshot: PolicySnapshot, decision: Decision, request: HttpRequest
    ) -> tuple[bytes, Facts]:
        policy, decision_id = snapshot.digest, self._next_id()
        server = snapshot.directory.by_name.get(decision.server)
        status = 0
        if decision.allowed and server is not None:
            response, asks = allow(decision, request, server, policy, decision_id), decision.rewrite
        else:
            asks = probes(decision, request, snapshot)
            response, status = self._deny(decision, request, snapshot, decision_id, asks)
            self._note_withheld(request)
        if asks:
            self._asked(decision, request.listener())
        return response, Facts(
            decision_id=decision_id, policy=policy, at=time.time(), status=status, source=request.source
        )


def decide(
    request: HttpRequest, snapshot: PolicySnapshot, began: float, mark: Callable[[str], None]
) -> Decision:
    """Decide about a request that arrived at `began`, a moment of the performance counter."""
    now, deadline = time.time(), Deadline(began + snapshot.check_seconds, time.perf_counter)
    decision = check(request, snapshot, now, deadline, mark)
    if snapshot.candidate is None or is_late(deadline):
        return decision
    return note_candidate(decision, request, snapshot.candidate, now)


def _listener(attributes: Any) -> str:
    """Return the address of Envoy at which a request arrived, "" for none."""
    at = attributes.destination.address
    if at.HasField("socket_address"):
        return f"{at.socket_address.address}:{at.socket_address.port_value}"
    if at.HasField("pipe"):
        return f"unix:{at.pipe.path}"
    return f"internal:{at.envoy_internal_address.server_listener_name}" if at.WhichOneof("address") else ""


_DENIED = Decision()

_MISSING = frozenset({Reason.UNKNOWN_KEY, Reason.KEYS_UNAVAILABLE, Reason.REWRITER_MISSING})
"""Refusals for want of what an issuer can still say, a key or whether a token is active, or a sibling: that a rewriter came."""

_NOTHING = HttpRequest(method="", host="", path="", headers={})


def read_request(message: Any) -> HttpRequest:
    """Translate a CheckRequest.

    Raises:
        UnicodeDecodeError: a header that must be text is not.
    """
    attributes = message.attributes
    http = attributes.request.http
    headers, repeated = _headers(http)
    body = http.raw_body
    cut = headers.get(PARTIAL_BODY, "false")
    address = attributes.source.address.socket_address
    return HttpRequest(
        method=http.method,
        scheme=http.scheme,
        host=http.host,
        path=http.path,
        headers=headers,
        repeated=repeated,
        body=body,
        body_complete=cut == "false" and not http.body,
        source=address.address,
        listener=partial(_listener, attributes),
    )


_FREE_TEXT = frozenset({"mcp-name", "last-event-id"})
"""Headers whose value may hold a comma of its own."""
_JOINED = tuple(SINGLE_HEADERS.keys() - _FREE_TEXT)


def _headers(http: Any) -> tuple[Mapping[str, str], frozenset[str]]:
    """Return headers by lower-case name, joined with "," when repeated, and the names of those that were."""
    listed = http.header_map.headers
    if listed:
        headers, repeated = _joined(listed)
        return headers, _with_comma(headers, _JOINED) | repeated
    sent = http.headers
    headers = {name: sent[name] for name in sent}  # every later look-up costs a third of one in Envoy's map
    return headers, _with_comma(headers, _JOINED)


def _joined(listed: Iterable[Any]) -> tuple[dict[str, str], frozenset[str]]:
    headers: dict[str, str] = {}
    repeated: set[str] = set()
    for header in listed:
        name, value = header.key.lower(), header.raw_value.decode("latin-1") or str(header.value)
        if name in headers:
            repeated.add(name)
            value = f"{headers[name]},{value}"
        headers[name] = value
    return headers, frozenset(repeated)


_NONE: frozenset[str] = frozenset()


def _with_comma(headers: Mapping[str, str], names: Iterable[str]) -> frozenset[str]:
    get, found = headers.get, _NONE
    for name in names:
        value = get(name)
        if value is not None and "," in value:
            found |= {name}
    return found

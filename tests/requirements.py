"""What this project promises, one entry a promise, and where the promise stands.

Rules of this file:

* An id is never reused for something else. A test names it: `@pytest.mark.requirement("protocol.batch")`.
* `source` is a heading of a document, and `phrase` a short piece of the promise below it, so that a promise that is
  added to the document without an entry here is noticed, and one that is taken out too.
* A promise without a test says why in `deferred`. It is a known gap, and no test may claim it.
* Each reason of `authz/core/reasons.py` is an entry, `reason.<word>`, without being listed here.

`tests/test_requirements.py` checks all of this, in both directions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from authz.core.reasons import TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One promise.

    Attributes:
        source: document and heading, as in a link: "SECURITY.md#promises"; without a heading, the document's head.
        phrase: part of the promise's text there, in one of its list items or paragraphs only.
        sentence: what must hold.
        deferred: why no test shows it yet; empty where one does.
    """

    source: str
    phrase: str
    sentence: str
    deferred: str = ""


_SECURITY = {
    "security.one-allow": (
        "SEC-02",
        "An allow is built in one function; a decision is a denial before that.",
    ),
    "security.exact-bytes": (
        "SEC-01",
        "Nothing reaches the MCP server but the bytes that an allow was built for.",
    ),
    "security.failure-denies": ("SEC-03", "An exception, a timeout or a dead service is a denial."),
    "security.overload-denies": ("SEC-03", "A service that has more to do than it can denies."),
    "security.unknown-denies": ("SEC-03", "An unknown method or a malformed message is a denial."),
    "security.list-is-callable": (
        "SEC-04",
        "An item is listed exactly when the rules would let it be called.",
    ),
    "security.nothing-secret-is-written": (
        "SEC-05",
        "No token, claim or argument is in a log, metric or error.",
    ),
    "security.records-name-the-caller": ("SEC-05", "A record names subject, client and issuer."),
    "security.session-is-the-openers": ("SEC-06", "A session id that is somebody else's is no session."),
    "security.session-is-verified": ("SEC-07", "The MCP server gets no session id that was not verified."),
    "security.stream-ends-with-token": ("SEC-08", "What stays open ends with its token, after the grace."),
    "security.bounded-bytes": ("SEC-09", "The bytes that are read of a request or a list are bounded."),
    "security.bounded-depth": ("SEC-09", "The depth of JSON is bounded."),
    "security.bounded-names": ("SEC-09", "The length of a name is bounded."),
    "security.bounded-items": ("SEC-09", "The number of things that one message may name is bounded."),
    "security.bounded-evaluation": ("SEC-09", "The cost of a rule's expression is bounded."),
    "security.bounded-fetches": ("SEC-09", "Fetches of keys that strangers can cause are bounded."),
    "security.one-spelling": ("SEC-11", "A resource is judged in one spelling of its URI."),
    "security.no-list-without-rewriter": (
        "SEC-14",
        "No list passes an Envoy whose rewriter has not come, or comes no more.",
    ),
    "security.hidden-is-unknown": (
        "SEC-12",
        "A hidden name and one that no rule selects are answered alike.",
    ),
    "security.lock-holds": ("SEC-13", "What changed since it was approved is neither listed nor called."),
    "security.published-failures": ("tests/advisories", "A published failure of a like system has a test."),
}
_DEFERRED: Mapping[str, str] = MappingProxyType({})
_PROTOCOL = {
    "": {
        "protocol.one-url": (
            "HTTP+SSE",
            "A path that is no server's is refused, such as a second URL for messages.",
        ),
    },
    "methods": {
        "protocol.unknown-method": (
            "404 and -32601",
            "A method without a row is answered -32601, with 404 in the modern era.",
        ),
        "protocol.opened-method": (
            "`methods:",
            "A server can open a method to every valid token, for itself alone.",
        ),
        "protocol.session-answers-are-read": ("*Read*", "In a session the answer to every request is read."),
        "protocol.method-table": ("| `tools/call` |", "Each method is judged as its row says."),
        "protocol.client-responses": (
            "sampling, elicitation",
            "Clients' responses pass in the legacy era only.",
        ),
        "protocol.get-is-read": ("`GET` is read", "The answer to a GET is read."),
        "protocol.delete": ("`DELETE`", "DELETE ends a session."),
    },
    "messages-that-are-refused": {
        "protocol.batch": ("A batch", "A batch is refused in every version."),
        "protocol.one-kind-of-message": (
            "and also `result`",
            "A message that is both a request and an answer is refused.",
        ),
        "protocol.ids": (
            "without an id",
            "A request has an id that is a string or an integer, and is no answer.",
        ),
        "protocol.null-is-absent": (
            "`null` counts as absent",
            "null stands for a member that may be left out; params of another type are refused.",
        ),
        "protocol.form": (
            "a JSON pointer",
            "A body that is refused for its form is told the rule and the place, and keeps its id.",
        ),
        "protocol.modern-order": (
            "-32020",
            "Flaws of a modern request are answered in the specification's order.",
        ),
        "protocol.legacy-headers": ("`Mcp-Name`", "Legacy headers may be missing and must not lie."),
        "protocol.session-survives": (
            "404 means only",
            "A flaw of a message, or a method of HTTP, ends no legacy session.",
        ),
        "protocol.unknown-version": ("the name of a tool", "A version that is not known is refused."),
    },
    "lists": {
        "protocol.lists-are-trimmed": ("any 2xx", "Every list is trimmed by the rules that decide calls."),
        "protocol.lists-by-shape": ("by its shape", "A list is trimmed whichever request it answers."),
        "protocol.kept-bytes": ("byte for byte", "What is kept of a list stays byte for byte and in order."),
        "protocol.templates": (
            "A resource template is listed",
            "A template is listed, and its completion allowed, if the caller may read one of its expansions.",
        ),
        "protocol.lists-are-private": ("`cacheScope` becomes", "Lists of the modern era are private."),
        "protocol.lists-die-with-the-token": (
            "`ttlMs`",
            "A list may be kept no longer than its reader's token lives.",
        ),
        "protocol.hidden-references": (
            "`_meta.ui.resourceUri`",
            "Kept items do not name what may not be read.",
        ),
        "protocol.unnameable": ("`limits.name_chars`", "What no request can name is in no list."),
        "protocol.compressed-lists": (
            "`accept-encoding`",
            "A compressed list is decoded within the limit and trimmed.",
        ),
        "protocol.unjudgeable-list": ("-32603", "A list that cannot be judged is 502 and is not shown."),
        "protocol.server-knows-the-caller": ("`x-mcp-subject`", "The server is told the verified identity."),
        "protocol.results-are-not-read": (
            "A result of `resources/read`",
            "Results that are no lists are not read.",
        ),
    },
    "streams": {
        "protocol.events-pass": (
            "not a list passes immediately",
            "An event that is no list passes at once, unchanged.",
        ),
        "protocol.comments": ("opening brace", "A comment that could hide data is dropped."),
        "protocol.notifications": (
            "`notifications/tasks/status`",
            "A notification about a hidden thing says nothing.",
        ),
        "protocol.other-notifications": ("free text", "Other notifications pass as they are."),
        "protocol.policy-of-the-stream": (
            "under which it was opened",
            "A response is read by its request's policy.",
        ),
        "protocol.idle-streams": (
            "ten minutes",
            "A silent stream ends after ten minutes, and by no other time limit.",
        ),
        "protocol.expired-streams": (
            "`streams.grace_seconds`",
            "A stream whose token expired ends after a grace.",
        ),
        "protocol.slow-readers": ("does not read", "A client that does not read fills no memory."),
    },
    "hidden-denials": {
        "protocol.refusal-as-result": (
            "`isError`",
            "A denied call of a tool is a result that says what is missing.",
        ),
        "protocol.hide": ("`hide: true`", "A hidden name is answered as an unknown one, to the byte."),
    },
}


def _all() -> Iterator[tuple[str, Requirement]]:
    for name, (phrase, sentence) in _SECURITY.items():
        reason = _DEFERRED.get(name, "")
        yield (
            name,
            Requirement(source="SECURITY.md#promises", phrase=phrase, sentence=sentence, deferred=reason),
        )
    for heading, rows in _PROTOCOL.items():
        source = f"docs/protocol.md#{heading}".rstrip("#")
        for name, (phrase, sentence) in rows.items():
            yield name, Requirement(source=source, phrase=phrase, sentence=sentence)
    for word, row in TABLE.items():
        sentence = row.text or "the request may go upstream"
        yield (
            f"reason.{word}",
            Requirement(source="docs/reasons.md", phrase=f"| `{word}` |", sentence=sentence),
        )


REQUIREMENTS: Mapping[str, Requirement] = MappingProxyType(dict(_all()))
"""Id to promise."""

"""Legacy session ids and event ids, bound to the caller who got them.

An MCP server of the handshake versions mints a session id and accepts it from anyone who knows it (MCP 2025-11-25, Security
Best Practices, "Session Hijacking"). So a client never gets the bare id, but one with a tag that only this service can make:

    TAG.ID      TAG = base64url(HMAC-SHA-256(key, server, issuer, subject, client, ID))     43 characters

The ids of a stream's events get such a tag, too. A client resumes a stream by the id of the last event that it got
(`Last-Event-ID`), and a server that keeps the events of all its sessions in one store redelivers from any id that it
knows. The ids are often counted, so that they can be guessed.

Rules of this module:

* Nothing is stored. Any process with the key verifies what another process with that key bound.
* An id that was verified for a caller is cached with the caller, because verifying takes some microseconds.
* The first key signs, every key verifies: so a key is replaced without ending a session.
* Each field is preceded by its length, so two different lists of fields never become the same bytes.
* A tag is compared as text and in constant time. Base64 of 32 bytes has spare bits in its last character; compared as
  bytes, four spellings of a tag would pass.
* An id is visible ASCII (2025-11-25, Transports, "Session Management") without a comma, because a comma in the header
  means that it was sent twice. Anything else, or an id that is too long, cannot be bound.
* A client repeats an event id in a header, and a header cannot hold everything that a stream can. An id that a header
  holds as it is stays readable. Any other is written in base64url behind `~`: what is not ASCII, because clients disagree
  on its encoding, spaces at an end, which every hop may drop, and an id that begins with `~` itself. An id with control
  characters has no text: no header can bring it back.
* The tags of sessions and of events begin with different labels, so that neither passes for the other.
* A caller whose token has no subject is bound by what stands for it (`Principal.holder`), if anything does.
* Callers without a token, where a server admits them, are one caller (`principal.ANONYMOUS`): they share their sessions.
"""

import base64
import hmac
import re
from binascii import b2a_base64
from collections.abc import Callable, Sequence

import msgspec

from authz.core.identity.principal import Caller
from authz.core.request import DEFAULT_LIMITS

HEADER = "mcp-session-id"
MIN_KEY = 32
"""Least bytes of a key: the output of the hash, below which a key weakens the tag (RFC 2104 section 3)."""

_SESSION, _EVENT = "mcp-authz session 1", "mcp-authz event 1"
_TAG = 43
_DOT = "."
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_ID = re.compile(r"[\x21-\x2b\x2d-\x7e]+")


class Absent(msgspec.Struct, frozen=True):
    """The request has no such id."""


class Remove(msgspec.Struct, frozen=True):
    """The id of the request must not go upstream."""


class Replace(msgspec.Struct, frozen=True):
    """The id of the request is the caller's own.

    Attributes:
        server_id: what goes upstream, as the server minted it.
        client_id: what the client sent and may see in answers.
    """

    server_id: str
    client_id: str


SessionHeader = Absent | Remove | Replace
"""What becomes of a request's session id, or of its event id, on its way upstream."""

ABSENT, REMOVE = Absent(), Remove()


class BoundIds(msgspec.Struct, frozen=True):
    """What becomes of the ids that belong to a caller on their way upstream.

    Attributes:
        session: the id of the session.
        event: the id of a stream's last event.
    """

    session: SessionHeader
    event: SessionHeader

    @classmethod
    def removed(cls, session: str | None, event: str | None) -> "BoundIds":
        """Remove both: a server of both eras must not see an id that nobody verified."""
        return cls(*(ABSENT if sent is None else REMOVE for sent in (session, event)))

    @classmethod
    def admitted(
        cls, session: str | None, event: str | None, caller: Caller, sessions: "Sessions | UnboundSessions"
    ) -> "BoundIds | None":
        """Replace both by the server's; None if one is not the caller's own."""
        ids = _replaced(session, sessions.admit, caller), _replaced(event, sessions.admit_event, caller)
        return None if ids[0] is None or ids[1] is None else cls(ids[0], ids[1])


NO_IDS = BoundIds(ABSENT, ABSENT)


def _replaced(
    sent: str | None, admit: Callable[[Caller, str], str | None], caller: Caller
) -> SessionHeader | None:
    if sent is None:
        return ABSENT
    own = admit(caller, sent)
    return None if own is None else Replace(own, sent)


class UnboundSessions:
    """Admits every id as it is: for questions about a policy, where no server and no key is at hand."""

    def admit(self, _caller: Caller, sent: str) -> str | None:
        """Return the id as it was sent."""
        return sent

    def admit_event(self, _caller: Caller, sent: str) -> str | None:
        """Return the id as it was sent."""
        return sent


class Sessions:
    """Binds session ids and event ids to callers, and verifies bound ones."""

    __slots__ = ("_keys", "_longest")

    def __init__(self, keys: Sequence[bytes], *, longest: int = DEFAULT_LIMITS.name) -> None:
        """Sign with the first key, verify with each.

        Args:
            keys: at least one, each of at least `MIN_KEY` bytes.
            longest: characters of the longest id that a server may mint.

        Raises:
            ValueError: there is no key, or one is too short.
        """
        if not keys or min(map(len, keys)) < MIN_KEY:
            msg = f"a session key of at least {MIN_KEY} bytes is needed"
            raise ValueError(msg)
        self._keys = tuple(keys)
        self._longest = longest

    def bind(self, caller: Caller, session: str) -> str:
        """Return the id by which a caller may use a session.

        Args:
            caller: who opened the session, and at which server.
            session: the server's id.

        Raises:
            ValueError: the server's id cannot be bound.
        """
        if len(session) > self._longest or not _ID.fullmatch(session):
            msg = "a session id must be visible ASCII without a comma, and not too long"
            raise ValueError(msg)
        return self._bound(_SESSION, caller, session)

    def admit(self, caller: Caller, sent: str) -> str | None:
        """Return the server's id of a session that a caller may use; None if it is not this caller's, or no id at all."""
        cache = caller.cache.sessions
        known = cache.get((self, sent))
        if known is None:
            known = self._verified(_SESSION, caller, sent)
            if known is not None:
                cache.put((self, sent), known)
        return known

    def bind_event(self, caller: Caller, event: bytes) -> bytes | None:
        """Return the id by which a caller may resume a stream after an event; None if no header can bring it back.

        Args:
            caller: who reads the stream, and from which server.
            event: the server's id of the event, not empty.
        """
        text = to_text(event)
        if text is None or len(text) > self._longest:
            return None
        return self._bound(_EVENT, caller, text).encode()

    def admit_event(self, caller: Caller, sent: str) -> str | None:
        """Return the server's id of an event that a caller got; None if it is not this caller's, or no id at all."""
        text = self._verified(_EVENT, caller, sent)
        return None if text is None else to_id(text)

    def _bound(self, label: str, caller: Caller, text: str) -> str:
        return _tag(self._keys[0], label, caller, text) + _DOT + text

    def _verified(self, label: str, caller: Caller, sent: str) -> str | None:
        tag, dot, text = sent[:_TAG], sent[_TAG : _TAG + 1], sent[_TAG + 1 :]
        if dot != _DOT or not sent.isascii() or not 0 < len(text) <= self._longest:
            return None
        genuine = any(hmac.compare_digest(tag, _tag(key, label, caller, text)) for key in self._keys)
        return text if genuine else None


def _tag(key: bytes, label: str, caller: Caller, text: str) -> str:
    who = caller.principal
    holder = (who.holder,) if who.holder else ()
    fields = (label, caller.server, who.issuer, who.subject, who.client, *holder, text)
    message = "".join([f"{len(field)}:{field}" for field in fields]).encode()
    return b2a_base64(hmac.digest(key, message, "sha256"), newline=False)[:_TAG].translate(_URL_SAFE).decode()


_CODED = "~"
_plain = re.compile(r"(?!~)[!-~](?:[ -~]*[!-~])?").fullmatch
_has_control = re.compile(r"[\x00-\x1f\x7f-\x9f]").search


def to_text(raw: bytes) -> str | None:
    """Return the text of an id as it stands in a stream; None if no header can bring it back."""
    try:
        value = raw.decode()
    except UnicodeDecodeError:
        return None
    if not value or _has_control(value):
        return None
    return value if _plain(value) else _CODED + base64.urlsafe_b64encode(raw).decode()


def to_id(text: str) -> str:
    """Return the id of a text that `to_text` wrote.

    Raises:
        ValueError: it did not write it.
    """
    return base64.urlsafe_b64decode(text[1:]).decode() if text.startswith(_CODED) else text

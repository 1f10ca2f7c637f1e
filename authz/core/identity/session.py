"""A legacy session id, bound to the caller who opened the session.

An MCP server of the handshake versions mints a session id and accepts it from anyone who knows it (MCP 2025-11-25, Security
Best Practices, "Session Hijacking"). So a client is never given that id as it is, but behind a tag that only we can make:

    TAG.ID      TAG = base64url(HMAC-SHA-256(key, server, issuer, subject, client, ID))     43 characters

Rules of this module:

* Nothing is stored. Any process with the key verifies what another process with that key bound.
* An id that was verified for a caller is cached with the caller, because verifying takes some microseconds.
* The first key signs, every key verifies: so a key is replaced without ending a session.
* Before each field stands its length, so no two different lists of fields are the same bytes.
* A tag is compared as text and in constant time. Base64 of 32 bytes has spare bits in its last character; compared as
  bytes, four spellings of a tag would pass.
* An id is visible ASCII (2025-11-25, Transports, "Session Management") without a comma, because a comma in the header
  means that it was sent twice. What is no such id, or is too long, cannot be bound.
* Who is verified by the name of nobody (`principal.ANONYMOUS`) shares sessions with all who are.
"""

import hmac
import re
from binascii import b2a_base64
from collections.abc import Sequence

import msgspec

from authz.core.identity.principal import Caller
from authz.core.request import DEFAULT_LIMITS

HEADER = "mcp-session-id"
MIN_KEY = 32
"""Least bytes of a key: the output of the hash, below which a key weakens the tag (RFC 2104 section 3)."""

_LABEL = "mcp-authz session 1"
_TAG = 43
_DOT = "."
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_ID = re.compile(r"[\x21-\x2b\x2d-\x7e]+")


class Absent(msgspec.Struct, frozen=True):
    """The request has no session id."""


class Remove(msgspec.Struct, frozen=True):
    """The session id of the request must not go upstream."""


class Replace(msgspec.Struct, frozen=True):
    """The session id of the request is the caller's own.

    Attributes:
        server_id: what goes upstream, as the server minted it.
        client_id: what the client sent and may see in answers.
    """

    server_id: str
    client_id: str


SessionHeader = Absent | Remove | Replace
"""What becomes of a request's session id on its way upstream."""

ABSENT, REMOVE = Absent(), Remove()


class UnboundSessions:
    """Admits every session id as it is: for questions about a policy, where no server and no key is at hand."""

    def admit(self, _caller: Caller, sent: str) -> str | None:
        """Return the id as it was sent."""
        return sent


class Sessions:
    """Binds session ids to callers, and verifies bound ones."""

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
        return _tag(self._keys[0], caller, session) + _DOT + session

    def admit(self, caller: Caller, sent: str) -> str | None:
        """Return the server's id of a session that a caller may use; None if it is not this caller's, or no id at all."""
        cache = caller.cache.sessions
        known = cache.get((self, sent))
        if known is None:
            known = self._verified(caller, sent)
            if known is not None:
                cache.put((self, sent), known)
        return known

    def _verified(self, caller: Caller, sent: str) -> str | None:
        tag, dot, session = sent[:_TAG], sent[_TAG : _TAG + 1], sent[_TAG + 1 :]
        if dot != _DOT or not sent.isascii() or not 0 < len(session) <= self._longest:
            return None
        genuine = any(hmac.compare_digest(tag, _tag(key, caller, session)) for key in self._keys)
        return session if genuine else None


def _tag(key: bytes, caller: Caller, session: str) -> str:
    principal = caller.principal
    fields = (_LABEL, caller.server, principal.issuer, principal.subject, principal.client, session)
    message = "".join([f"{len(field)}:{field}" for field in fields]).encode()
    return b2a_base64(hmac.digest(key, message, "sha256"), newline=False)[:_TAG].translate(_URL_SAFE).decode()

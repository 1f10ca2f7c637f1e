"""A caller's subject as a record may hold it that must not name people: a hash under a key that only the operator has.

Without a key anybody who can guess subjects (they are often mail addresses) could compare. The same subject is the same text
under the same key, so that one caller's records still belong together. `openssl dgst -sha256 -hmac KEY` makes the same.
"""

import hmac

_PREFIX = "hmac:"
_DIGITS = 16
"""Sixty-four bits: two of a hundred million callers share a hash with a chance of one in four thousand, and it fits a table."""


def hashed_subject(subject: str, key: bytes) -> str:
    """Return a subject's hash; the subject itself without a key, and nothing for nobody."""
    if not subject or not key:
        return subject
    return _PREFIX + hmac.digest(key, subject.encode(), "sha256").hex()[:_DIGITS]


def is_hashed(subject: str) -> bool:
    """Return whether a record's subject looks like such a hash, so that it may not be what a token says."""
    return subject.startswith(_PREFIX)

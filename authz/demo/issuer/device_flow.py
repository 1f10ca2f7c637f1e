"""The device authorization grant (RFC 8628), with Auth0's answers.

A code is pending until its user approves or denies it, or it expires. A poll that comes too early lengthens the interval
of this code for good. The first poll after the end of the code gets the result and removes the code. An expired code is
therefore `expired_token` once, and `invalid_grant` after that.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from authz.demo.issuer.grants import OFFLINE, Form, Grant, User, grantable_scopes, refuse, requested_audience

SLOWER_SECONDS = 5.0
"""Seconds that each `slow_down` adds to the interval (RFC 8628 section 3.5)."""

_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"


@dataclass(slots=True, kw_only=True)
class _Pending:
    client: str
    user_code: str
    scope: str
    audience: str
    expires: float
    interval: float
    polled: float = float("-inf")
    user: User | None = None
    denied: bool = False


class DeviceCodes:
    """The device codes that were issued and not yet redeemed."""

    def __init__(
        self, clock: Callable[[], float], *, interval: float, lifetime: float, scope_prefix: str = ""
    ) -> None:
        """Start without any code.

        Args:
            clock: returns the time in seconds.
            interval: seconds between polls at first.
            lifetime: seconds until a code expires.
            scope_prefix: what a client puts before a scope when it requests one.
        """
        self._scope_prefix = scope_prefix
        self._clock = clock
        self._interval = interval
        self._lifetime = lifetime
        self._codes: dict[str, _Pending] = {}

    def begin(self, client: str, form: Form, activate: str) -> dict[str, Any]:
        """Issue a code (RFC 8628 section 3.2); `activate` is the URL where the user confirms it."""
        device_code = secrets.token_urlsafe(32)
        pending = _Pending(
            client=client,
            user_code=_user_code(),
            scope=form.get("scope", ""),
            audience=requested_audience(form),
            expires=self._clock() + self._lifetime,
            interval=self._interval,
        )
        self._codes[device_code] = pending
        return {
            "device_code": device_code,
            "user_code": pending.user_code,
            "verification_uri": activate,
            "verification_uri_complete": f"{activate}?{urlencode({'user_code': pending.user_code})}",
            "expires_in": int(self._lifetime),
            "interval": int(self._interval),
        }

    def answer(self, user_code: str, user: User, *, approve: bool) -> None:
        """Record that the user approves or denies.

        Raises:
            OAuthError: no code with this user code is pending.
        """
        for pending in self._codes.values():
            if pending.user_code == user_code.strip().upper() and self._clock() < pending.expires:
                pending.user, pending.denied = user, not approve
                return
        refuse("invalid_request", "no such code waits for an answer")

    def redeem(self, client: str, form: Form) -> Grant:
        """Return the grant for an approved code (RFC 8628 section 3.4).

        Raises:
            OAuthError: the code is not approved, or not yet (section 3.5).
        """
        code = form.get("device_code", "")
        pending = self._codes.get(code)
        if pending is None or pending.client != client:
            refuse("invalid_grant", "unknown or used device_code")
        now = self._clock()
        if now >= pending.expires:
            del self._codes[code]
            refuse("expired_token", "the code was not confirmed in time")
        self._keep_pace(pending, now)
        if pending.user is None:
            refuse("authorization_pending", "the user has not answered yet")
        del self._codes[code]
        if pending.denied:
            refuse("access_denied", "the user denied the request")
        user = pending.user
        scope = grantable_scopes(pending.scope, user.scopes | {OFFLINE}, self._scope_prefix)
        return Grant(client=client, sub=user.sub, scope=scope, audience=pending.audience, roles=user.roles)

    @staticmethod
    def _keep_pace(pending: _Pending, now: float) -> None:
        early = now - pending.polled < pending.interval
        pending.polled = now
        if early:
            pending.interval += SLOWER_SECONDS
            refuse("slow_down", "poll less often")


def _user_code() -> str:
    letters = "".join(secrets.choice(_LETTERS) for _ in range(8))
    return f"{letters[:4]}-{letters[4:]}"

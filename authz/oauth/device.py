"""The client's side of the device authorization grant (RFC 8628).

Rules of this module:

* The `error` member decides what an answer means, not the status: Auth0 sends 403 and 429 where the RFC says 400.
* The client waits for the interval between an answer and the next poll. `slow_down` adds 5 seconds for good, and a
  poll without an answer doubles the interval (section 3.5).
* The lifetime of the code bounds the whole wait. Every answer other than the two that mean "wait" ends it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import httpx

from authz.oauth.endpoints import Endpoints
from authz.oauth.exchange import OAuthFailure, Unreachable, check_url, exchange, printable_line

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_INTERVAL, _SLOWER = 5.0, 5.0
_LIFETIME, _MAX_LIFETIME = 900.0, 86_400.0

_EXPIRED = "the code expired before it was confirmed; run the command again"
_SENTENCES = MappingProxyType(
    {
        "access_denied": "the request was denied",
        "expired_token": _EXPIRED,
        "invalid_grant": "the issuer no longer knows the code; run the command again",
        "invalid_client": "the issuer does not know this client; is --client-id right?",
        "unauthorized_client": "this client may not use the device flow; enable its Device Code grant",
        "invalid_scope": "the issuer does not know a scope of --scope",
        "invalid_target": "the issuer does not know the API of --audience",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """The client and the token that it requests.

    Attributes:
        client: the OAuth client's id.
        audience: the API identifier.
        scope: scopes, separated by spaces; empty for the issuer's default.
    """

    client: str
    audience: str
    scope: str = ""

    def form(self) -> dict[str, str]:
        """Return the parameters (RFC 8628 section 3.1); Auth0 reads `audience`, others `resource` (RFC 8707)."""
        form = {"client_id": self.client, "audience": self.audience}
        if "://" in self.audience and "#" not in self.audience:
            form["resource"] = self.audience
        return {**form, "scope": self.scope} if self.scope else form


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCode:
    """A code that its user has not confirmed yet (RFC 8628 section 3.2).

    Attributes:
        device_code: the code that the client polls with.
        user_code: the code that the user compares or enters.
        verification_uri: the URL to open.
        verification_uri_complete: the same with the user code in it; empty if the issuer sends none.
        lifetime: seconds until the code expires.
        interval: seconds between polls.
    """

    device_code: str = field(repr=False)
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    lifetime: float
    interval: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PollClock:
    """The clock that polling waits by.

    Attributes:
        now: returns monotonic seconds.
        sleep: sleeps for a number of seconds.
    """

    now: Callable[[], float]
    sleep: Callable[[float], None]


def request_code(http: httpx.Client, endpoints: Endpoints, request: TokenRequest) -> DeviceCode:
    """Request a device code.

    Raises:
        OAuthFailure: the issuer sends none.
    """
    status, answer = exchange(http, endpoints.device, request.form())
    code, user_code = answer.get("device_code"), printable_line(answer.get("user_code"))
    if not isinstance(code, str) or not code or not user_code:
        raise OAuthFailure(_describe_failure(status, answer))
    complete = answer.get("verification_uri_complete")
    # Google and older servers write "url" for "uri".
    uri = answer.get("verification_uri") or answer.get("verification_url")
    return DeviceCode(
        device_code=code,
        user_code=user_code,
        verification_uri=check_url(uri, "the verification_uri"),
        verification_uri_complete=check_url(complete, "the verification_uri_complete") if complete else "",
        lifetime=min(_seconds(answer.get("expires_in"), _LIFETIME), _MAX_LIFETIME),
        interval=_seconds(answer.get("interval"), _INTERVAL),
    )


def poll_token(
    http: httpx.Client, endpoints: Endpoints, request: TokenRequest, code: DeviceCode, clock: PollClock
) -> dict[str, Any]:
    """Poll until the user has answered.

    Returns:
        The token endpoint's answer; its `access_token` is a non-empty string.

    Raises:
        OAuthFailure: the user denied, the code expired, or the issuer refused.
    """
    form = {"grant_type": GRANT, "device_code": code.device_code, "client_id": request.client}
    interval, end = code.interval, clock.now() + code.lifetime
    while clock.now() + interval < end:
        clock.sleep(interval)
        try:
            status, answer = exchange(http, endpoints.token, form)
        except Unreachable:
            interval *= 2
            continue
        if _is_token(status, answer):
            return answer
        if answer.get("error") not in {"authorization_pending", "slow_down"}:
            raise OAuthFailure(_describe_failure(status, answer))
        interval += _SLOWER if answer["error"] == "slow_down" else 0.0
    raise OAuthFailure(_EXPIRED)


def _is_token(status: int, answer: dict[str, Any]) -> bool:
    token = answer.get("access_token")
    kind = answer.get("token_type", "Bearer")
    return (
        status == httpx.codes.OK
        and isinstance(token, str)
        and bool(token)
        and token.isascii()
        and token.isprintable()
        and isinstance(kind, str)
        and kind.lower() == "bearer"
    )


def _describe_failure(status: int, answer: dict[str, Any]) -> str:
    error, description = (printable_line(answer.get(name)) for name in ("error", "error_description"))
    if not error:
        return f"the issuer answered with status {status}, but with no code, token or error"
    sentence = _SENTENCES.get(error, f"the issuer answered with the error {error}")
    return f"{sentence} ({description})" if description else sentence


def _seconds(value: object, default: float) -> float:
    # In Python a bool is an int, but it is not a duration.
    good = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    return float(value) if good and isinstance(value, int | float) else default

"""The device authorization grant (RFC 8628), the client's side.

Rules of this module:

* The `error` member says what an answer means, never the status: Auth0 has 403 and 429 where the RFC has 400.
* Between the receipt of one answer and the next poll lies the interval. `slow_down` lengthens it by 5 seconds for
  good, a poll that was not answered doubles it (section 3.5).
* The code's lifetime bounds everything. Whatever answer is not one of the two that mean "wait" is an end.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import httpx

from authz.oauth.endpoints import Endpoints
from authz.oauth.exchange import OAuthFailure, Unreachable, check_url, exchange, words

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
class Asked:
    """What a token is asked for.

    Attributes:
        client: the OAuth client's id.
        audience: the API identifier.
        scope: scopes, separated by spaces; empty for the issuer's choice.
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
class Code:
    """A code that waits for its user (RFC 8628 section 3.2).

    Attributes:
        device_code: what is polled with.
        user_code: what the user compares or enters.
        where: the URL to open.
        complete: the same with the user code in it; empty when the issuer gives none.
        lifetime: seconds until it expires.
        interval: seconds between polls.
    """

    device_code: str = field(repr=False)
    user_code: str
    where: str
    complete: str
    lifetime: float
    interval: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """How to wait.

    Attributes:
        now: seconds, monotonic.
        sleep: for so many seconds.
    """

    now: Callable[[], float]
    sleep: Callable[[float], None]


def begin(http: httpx.Client, endpoints: Endpoints, asked: Asked) -> Code:
    """Ask for a code.

    Raises:
        OAuthFailure: none is given.
    """
    status, answer = exchange(http, endpoints.device, asked.form())
    code, user_code = answer.get("device_code"), words(answer.get("user_code"))
    if not isinstance(code, str) or not code or not user_code:
        raise OAuthFailure(_sentence(status, answer))
    complete = answer.get("verification_uri_complete")
    # Google and older servers write "url" for "uri".
    where = answer.get("verification_uri") or answer.get("verification_url")
    return Code(
        device_code=code,
        user_code=user_code,
        where=check_url(where, "the verification_uri"),
        complete=check_url(complete, "the verification_uri_complete") if complete else "",
        lifetime=min(_seconds(answer.get("expires_in"), _LIFETIME), _MAX_LIFETIME),
        interval=_seconds(answer.get("interval"), _INTERVAL),
    )


def wait(http: httpx.Client, endpoints: Endpoints, asked: Asked, code: Code, time: Time) -> dict[str, Any]:
    """Poll until the user has answered.

    Returns:
        The token endpoint's answer; `access_token` is a string that is not empty.

    Raises:
        OAuthFailure: the user denied, the code expired, or the issuer refused.
    """
    form = {"grant_type": GRANT, "device_code": code.device_code, "client_id": asked.client}
    interval, end = code.interval, time.now() + code.lifetime
    while time.now() + interval < end:
        time.sleep(interval)
        try:
            status, answer = exchange(http, endpoints.token, form)
        except Unreachable:
            interval *= 2
            continue
        if _is_token(status, answer):
            return answer
        if answer.get("error") not in {"authorization_pending", "slow_down"}:
            raise OAuthFailure(_sentence(status, answer))
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


def _sentence(status: int, answer: dict[str, Any]) -> str:
    error, description = words(answer.get("error")), words(answer.get("error_description"))
    if not error:
        return f"the issuer answers with status {status} and neither a code nor a token nor an error"
    sentence = _SENTENCES.get(error, f"the issuer answers with the error {error}")
    return f"{sentence} ({description})" if description else sentence


def _seconds(value: object, otherwise: float) -> float:
    # A bool is an int in Python and no duration.
    good = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    return float(value) if good and isinstance(value, int | float) else otherwise

"""The refusal of a token: a value, never an exception."""

from dataclasses import dataclass, field

from authz.core.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A token that is not accepted.

    Attributes:
        reason: why, in one word of the closed list.
        detail: fixed text for the operator; never a value from the token.
        issuer: the configured issuer, once `iss` selected one; its keys are what `unknown_key` asks for.
        kid: for `unknown_key`, the name the token gives, None when it names none. The sender chose it: to be looked
            up, never to be logged.
    """

    reason: Reason
    detail: str
    issuer: str = ""
    kid: str | None = field(default=None, repr=False)


def malformed(detail: str) -> Refused:
    """Refuse a token, or a header, for its form."""
    return Refused(reason=Reason.MALFORMED_TOKEN, detail=detail)

"""The problems of Envoy's configuration that the service can see, each with its cure.

A sign says what was seen, not what its cause must be; the cure names the causes in the order of their likelihood.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from authz.config.envoy_version import OLDEST


class Sign(StrEnum):
    """A problem of Envoy's configuration that the service can see."""

    REWRITER_MISSING = "rewriter_missing"
    BODY_NOT_RAW = "body_not_raw"
    BODY_PARTIAL = "body_partial"
    BODY_ABSENT = "body_absent"
    NO_TOKENS = "no_tokens"
    NO_CHECKS = "no_checks"
    OLD_ENVOY = "old_envoy"


class SignRow(NamedTuple):
    """What was seen, and what cures it."""

    seen: str
    cure: str


SIGNS: Mapping[Sign, SignRow] = MappingProxyType(
    {
        Sign.REWRITER_MISSING: SignRow(
            "nobody trims the lists of an Envoy: Checks asked for its rewriter, and it did not come",
            "put the filter mcp-rewrite behind ext_authz again and see that its clusters reach this service "
            "(mcp-authz envoy --part filters, mcp-authz doctor); where other replicas trim what this one decides, "
            "set rewriter: optional",
        ),
        Sign.BODY_NOT_RAW: SignRow(
            "Envoy hands over bodies as text, so other bytes than the server gets; all of them are refused",
            "set with_request_body.pack_as_bytes: true on ext_authz",
        ),
        Sign.BODY_PARTIAL: SignRow(
            "Envoy hands over the beginnings of bodies; all of them are refused",
            "set with_request_body.allow_partial_message: false on ext_authz",
        ),
        Sign.BODY_ABSENT: SignRow(
            "Envoy hands over no bodies; all such requests are refused",
            "set with_request_body on ext_authz, and disable_request_body_buffering nowhere on the route",
        ),
        Sign.NO_TOKENS: SignRow(
            "no request has carried a token for a while",
            "a filter before ext_authz takes it away: set forward: true on jwt_authn, forward_bearer_token on "
            "oauth2, and look for header mutations (mcp-authz doctor); or no client has one, and all is well",
        ),
        Sign.NO_CHECKS: SignRow(
            "Envoy has stopped asking, after steady traffic",
            "see that ext_authz is still in the chain and not disabled on the route (mcp-authz doctor), and that "
            "Envoy is up; or nobody calls at the moment",
        ),
        Sign.OLD_ENVOY: SignRow(
            f"an Envoy asks that is older than {'.'.join(map(str, OLDEST))}, with published vulnerabilities",
            "upgrade it",
        ),
    }
)


class EnvoyProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One problem, as /readyz shows it.

    Attributes:
        name: the sign's word.
        where: the listeners of Envoy it is about; empty if that is not known.
        seen: what was seen.
        cure: what to do.
    """

    name: str
    where: list[str] = []
    seen: str
    cure: str


def problem(sign: Sign, where: Iterable[str] = ()) -> EnvoyProblem:
    """Return a sign as a problem."""
    row = SIGNS[sign]
    return EnvoyProblem(name=sign.value, where=[name for name in where if name], seen=row.seen, cure=row.cure)

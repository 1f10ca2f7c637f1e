"""The closed list of reasons: one word for one cause, the same in HTTP bodies, logs, metrics and documentation.

Rules of this module:

* A reason is the only thing the core says about why. Everything a client sees of a denial (HTTP status,
  JSON-RPC code, text) follows from it through `TABLE`, so no edge decides twice.
* The status is the one outside a session; `denial` says where a legacy session needs another.
* The text is fixed. It names no token, claim, argument or rule.
* `ALLOWED` is in the list because records need the word; it maps to no error.

JSON-RPC codes: -32700 and -32600..-32603 are JSON-RPC 2.0's own; -32020 and -32022 are MCP's
HeaderMismatch and UnsupportedProtocolVersion (2026-07-28); -32001 is what legacy servers answer for a lost session.
Codes of our own lie outside -32768..-32000, as MCP asks of implementations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

CODE_TOKEN = 40100
"""JSON-RPC code of a denial for the token's sake (mirrors HTTP 401)."""
CODE_POLICY = 40300
"""JSON-RPC code of a denial by policy (mirrors HTTP 403)."""
CODE_BUSY = 42900
"""JSON-RPC code of a denial because too much is under way (mirrors HTTP 429)."""
CODE_SERVICE = 50300
"""JSON-RPC code of a denial because the service cannot decide now (mirrors HTTP 503)."""


class Reason(StrEnum):
    """Why a decision fell as it did."""

    MISSING_TOKEN = "missing_token"
    MALFORMED_TOKEN = "malformed_token"
    EXPIRED_TOKEN = "expired_token"
    NOT_YET_VALID = "not_yet_valid"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_KEY = "unknown_key"
    UNKNOWN_ISSUER = "unknown_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    BAD_CLAIMS = "bad_claims"
    INACTIVE_TOKEN = "inactive_token"
    KEYS_UNAVAILABLE = "keys_unavailable"

    BAD_ORIGIN = "bad_origin"
    UNKNOWN_ENDPOINT = "unknown_endpoint"
    BAD_CONTENT_TYPE = "bad_content_type"
    BAD_ENCODING = "bad_encoding"
    BODY_TOO_LARGE = "body_too_large"
    PARTIAL_BODY = "partial_body"
    BAD_JSON = "bad_json"
    TOO_COMPLEX = "too_complex"
    BAD_MESSAGE = "bad_message"
    BATCH = "batch"
    HEADER_MISMATCH = "header_mismatch"
    UNSUPPORTED_VERSION = "unsupported_version"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    UNKNOWN_METHOD = "unknown_method"
    SESSION_MISMATCH = "session_mismatch"
    AMBIGUOUS_URI = "ambiguous_uri"

    ALLOWED = "allowed"
    NO_RULE = "no_rule"
    DENIED_BY_RULE = "denied_by_rule"
    MISSING_SCOPE = "missing_scope"
    MISSING_ROLE = "missing_role"
    ARGS_NOT_ALLOWED = "args_not_allowed"
    RULE_ERROR = "rule_error"
    ITEM_CHANGED = "item_changed"
    ITEM_NOT_LOCKED = "item_not_locked"

    TOO_MANY_STREAMS = "too_many_streams"
    REWRITER_MISSING = "rewriter_missing"
    DEADLINE = "deadline"
    INTERNAL = "internal"


class Group(StrEnum):
    """What a reason is about; denials of one group are answered in one manner."""

    TOKEN = "token"
    REQUEST = "request"
    POLICY = "policy"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """What follows from a reason: its group, HTTP status, JSON-RPC code and the fixed public text."""

    group: Group
    status: int
    code: int
    text: str


def _rows() -> dict[Reason, ReasonRow]:
    token, request, policy, service = Group.TOKEN, Group.REQUEST, Group.POLICY, Group.SERVICE
    r = Reason
    return {
        r.MISSING_TOKEN: ReasonRow(token, 401, CODE_TOKEN, "a bearer token is required"),
        r.MALFORMED_TOKEN: ReasonRow(
            token, 401, CODE_TOKEN, "the access token is not a signed JWT of the expected form"
        ),
        r.EXPIRED_TOKEN: ReasonRow(token, 401, CODE_TOKEN, "the access token expired"),
        r.NOT_YET_VALID: ReasonRow(token, 401, CODE_TOKEN, "the access token is not valid yet"),
        r.BAD_SIGNATURE: ReasonRow(token, 401, CODE_TOKEN, "the access token's signature does not verify"),
        r.UNKNOWN_KEY: ReasonRow(
            token, 401, CODE_TOKEN, "the access token was signed with a key its issuer does not publish"
        ),
        r.UNKNOWN_ISSUER: ReasonRow(token, 401, CODE_TOKEN, "the access token's issuer is not accepted here"),
        r.WRONG_AUDIENCE: ReasonRow(
            token, 401, CODE_TOKEN, "the access token was issued for another audience"
        ),
        r.BAD_CLAIMS: ReasonRow(token, 401, CODE_TOKEN, "the access token's claims are not acceptable"),
        r.INACTIVE_TOKEN: ReasonRow(
            token, 401, CODE_TOKEN, "the issuer says that the access token is not active"
        ),
        r.KEYS_UNAVAILABLE: ReasonRow(service, 503, CODE_SERVICE, "the issuer's keys are not available"),
        r.BAD_ORIGIN: ReasonRow(request, 403, -32600, "this origin may not call here"),
        r.UNKNOWN_ENDPOINT: ReasonRow(request, 403, -32600, "no MCP server answers at this host and path"),
        r.BAD_CONTENT_TYPE: ReasonRow(request, 415, -32600, "content-type must be application/json in UTF-8"),
        r.BAD_ENCODING: ReasonRow(request, 415, -32600, "the request body must not be content-encoded"),
        r.BODY_TOO_LARGE: ReasonRow(request, 413, -32600, "request body too large"),
        r.PARTIAL_BODY: ReasonRow(request, 400, -32600, "the request body is incomplete"),
        r.BAD_JSON: ReasonRow(request, 400, -32700, "the request body is not strict JSON"),
        r.TOO_COMPLEX: ReasonRow(
            request, 400, -32600, "the request body holds more values or names than are read"
        ),
        r.BAD_MESSAGE: ReasonRow(request, 400, -32600, "the request body is not a JSON-RPC message of MCP"),
        r.BATCH: ReasonRow(request, 400, -32600, "JSON-RPC batches are not accepted"),
        r.HEADER_MISMATCH: ReasonRow(request, 400, -32020, "the MCP headers and the request body disagree"),
        r.UNSUPPORTED_VERSION: ReasonRow(request, 400, -32022, "this protocol version is not supported"),
        r.METHOD_NOT_ALLOWED: ReasonRow(request, 405, -32600, "only POST, GET and DELETE are answered here"),
        r.UNKNOWN_METHOD: ReasonRow(request, 404, -32601, "method not found"),
        r.SESSION_MISMATCH: ReasonRow(request, 404, -32001, "session not found"),
        r.AMBIGUOUS_URI: ReasonRow(
            request, 400, -32602, "a server could read this resource's URI as another one"
        ),
        r.ALLOWED: ReasonRow(policy, 200, 0, ""),
        r.NO_RULE: ReasonRow(policy, 403, CODE_POLICY, "no rule allows this"),
        r.DENIED_BY_RULE: ReasonRow(policy, 403, CODE_POLICY, "a rule denies this"),
        r.MISSING_SCOPE: ReasonRow(
            policy, 403, CODE_POLICY, "the access token lacks a scope that this needs"
        ),
        r.MISSING_ROLE: ReasonRow(
            policy, 403, CODE_POLICY, "the caller lacks a role or group that this needs"
        ),
        r.ARGS_NOT_ALLOWED: ReasonRow(policy, 403, CODE_POLICY, "these arguments are not allowed"),
        r.RULE_ERROR: ReasonRow(policy, 403, CODE_POLICY, "a rule could not be evaluated"),
        r.ITEM_CHANGED: ReasonRow(
            policy, 403, CODE_POLICY, "the server has changed this since it was approved"
        ),
        r.ITEM_NOT_LOCKED: ReasonRow(policy, 403, CODE_POLICY, "this was not approved at this server"),
        r.TOO_MANY_STREAMS: ReasonRow(service, 429, CODE_BUSY, "too many streams are open; try again later"),
        r.REWRITER_MISSING: ReasonRow(
            service,
            503,
            CODE_SERVICE,
            "lists cannot be trimmed for the caller here, so none is sent; try again later",
        ),
        r.DEADLINE: ReasonRow(service, 503, CODE_SERVICE, "the decision came too late"),
        r.INTERNAL: ReasonRow(service, 503, CODE_SERVICE, "the request could not be decided"),
    }


TABLE: Mapping[Reason, ReasonRow] = MappingProxyType(_rows())

"""What a span says of a decision: by the conventions for MCP and GenAI where they have a name, else under `mcp_authz`.

Never a token, an argument or a claim, not even the caller's name: spans leave for a place that more people read than the
audit log, and `mcp_authz.decision_id` leads from here to the record.
"""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType

from authz.core.decision import clip
from authz.core.mcp.item import Kind
from authz.core.mcp.methods import HTTP_METHODS, METHODS
from authz.edge.tracing.spans import CheckSpan

Value = str | int | bool
ITEM_ATTRIBUTES: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.TOOL: "gen_ai.tool.name",
        Kind.PROMPT: "gen_ai.prompt.name",
        Kind.RESOURCE: "mcp.resource.uri",
        Kind.TASK: "mcp_authz.task",
    }
)
"""What an item is called by its kind, in spans and in log records."""
_RESPONSE = "response"
"""The method of a client's response, which has none."""
_DIGITS = 16
_MAX_ID = 128


def method_attributes(method: str) -> dict[str, Value]:
    """Return the attribute for what was called: a method of MCP, or of HTTP where there is no message."""
    if not method or method == _RESPONSE:
        return {}
    return {"http.request.method" if method in HTTP_METHODS else "mcp.method.name": clip(method)}


def span_name(method: str) -> str:
    """Return the name of a Check's span, of which there are few: a method that nobody knows is not named."""
    return f"Check {method}" if method in METHODS or method in HTTP_METHODS else "Check"


def check_attributes(span: CheckSpan, *, authorization: bool) -> dict[str, Value]:
    """Return the attributes of a Check.

    Args:
        span: the Check.
        authorization: whether to add those that are only drafted, `gen_ai.agent.authorization`.
    """
    decision, facts = span.decision, span.facts
    found: dict[str, Value] = {
        **method_attributes(decision.method),
        "mcp_authz.decision": decision.verdict,
        "mcp_authz.reason": decision.reason.value,
        "mcp_authz.decision_id": facts.decision_id,
        "mcp_authz.policy": facts.policy,
    }
    if decision.item is not None:
        found[ITEM_ATTRIBUTES[decision.item.kind]] = clip(decision.item.name)
    texts = {
        "mcp_authz.server": decision.server,
        "mcp_authz.rule": decision.rule,
        "mcp.protocol.version": clip(decision.version),
        "mcp.session.id": hashed_session(span.session),
        "mcp_authz.shadows": ",".join(decision.shadows),
    }
    found |= {name: text for name, text in texts.items() if text}
    if decision.request_id is not None:
        found["jsonrpc.request.id"] = clip(str(decision.request_id))[:_MAX_ID]
    if not decision.allowed:
        found["error.type"] = decision.reason.value
        found["http.response.status_code"] = facts.status
    return found | (_authorization(span) if authorization else {})


def _authorization(span: CheckSpan) -> dict[str, Value]:
    """Return the attributes of the draft for decisions about agents."""
    decision = span.decision
    found: dict[str, Value] = {
        "gen_ai.operation.name": "execute_authorization",
        "gen_ai.agent.authorization.outcome": decision.verdict,
        "gen_ai.agent.authorization.policy.version": span.facts.policy,
    }
    if decision.rule:
        found["gen_ai.agent.authorization.policy.name"] = decision.rule
    if not decision.allowed:
        found["gen_ai.agent.authorization.reason"] = decision.reason.value
    return found


def hashed_session(session: str) -> str:
    """Return what stands for a session: who knows its id could try to use it. The id has a tag, so nobody can guess it."""
    return hashlib.sha256(session.encode()).hexdigest()[:_DIGITS] if session else ""

"""A denied `tools/call` as a tool result, whose text a language model can read.

An agent framework turns a JSON-RPC error into an exception: some abort the run, and with it the results of parallel
calls, others tell their model to try again. A result with `isError` reaches the model as what the tool said.

The text is fixed but for scopes, which a challenge names too. It names no rule, role, claim or argument.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from authz.core.decision import Decision
from authz.core.mcp.methods import is_modern
from authz.core.reasons import TABLE, Reason

_HOPELESS = "Calling it again will not help; go on without it, or tell the user."
_ADVICE: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.NO_RULE: _HOPELESS,
        Reason.DENIED_BY_RULE: _HOPELESS,
        Reason.MISSING_ROLE: _HOPELESS,
        Reason.RULE_ERROR: _HOPELESS,
        Reason.MISSING_SCOPE: "It needs a new token with that scope: the user has to sign in again and grant it.",
        Reason.ARGS_NOT_ALLOWED: "The tool may be allowed with other arguments.",
    }
)
"""What a model can do about a denial."""


def tool_refusal(decision: Decision, decision_id: str, hidden: str) -> dict[str, Any]:
    """Return the result of a call that policy denies.

    Args:
        decision: the denial.
        decision_id: names it in records.
        hidden: the text of an unknown name, if the denial must look like one; else empty.
    """
    result: dict[str, Any] = {
        "content": [{"type": "text", "text": hidden or _explain(decision)}],
        "isError": True,
    }
    if is_modern(decision.version):
        result["resultType"] = "complete"
    if not hidden:
        rule = {"rule": decision.rule} if decision.rule else {}
        result["_meta"] = {"reason": str(decision.reason), **rule, "decision_id": decision_id}
    return result


def _explain(decision: Decision) -> str:
    """Say what is missing, and what can be done about it."""
    held = () if decision.principal is None else decision.principal.scopes
    missing = [scope for scope in decision.scopes if scope not in held]
    named = f" ({' '.join(missing)})" if missing else ""
    if decision.misfit is not None:
        named = f" ({decision.misfit})"
    return f"access denied: {TABLE[decision.reason].text}{named}. {_ADVICE.get(decision.reason, _HOPELESS)}"

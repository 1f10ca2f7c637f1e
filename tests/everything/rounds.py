"""The everything server's tools that need several rounds (2026-07-28): a call answers with questions, the client calls
again with answers.

A client is asked only for what it declared. Answers that are missing or wrong are asked for again, answers that
nobody asked for are ignored. State is sealed by the SDK, so what comes back is what was sent, or the request fails.
"""

from collections.abc import Mapping
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from tests.everything.answers import Call, said, text
from tests.everything.tools import Tool

Questions = Mapping[str, types.InputRequest]
Answers = Mapping[str, types.InputResponse]

_NEEDS: Mapping[str, str] = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}
"""Which capability of the client a question needs."""
_ANSWERS: Mapping[str, tuple[type[types.Result], ...]] = {
    "elicitation/create": (types.ElicitResult,),
    "sampling/createMessage": (types.CreateMessageResult, types.CreateMessageResultWithTools),
    "roots/list": (types.ListRootsResult,),
}


def elicit(words: str, name: str, kind: str = "string") -> types.ElicitRequest:
    """Ask the user for one value."""
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    params = types.ElicitRequestFormParams(message=words, requested_schema=schema)
    return types.ElicitRequest(params=params)


def sample(words: str, tokens: int) -> types.CreateMessageRequest:
    """Ask the client's model."""
    message = types.SamplingMessage(role="user", content=text(words))
    params = types.CreateMessageRequestParams(messages=[message], max_tokens=tokens)
    return types.CreateMessageRequest(params=params)


def roots() -> types.ListRootsRequest:
    """Ask for the client's roots."""
    return types.ListRootsRequest(params=types.RequestParams())


def ask(call: Call, questions: Questions, state: str | None = None) -> types.InputRequiredResult:
    """Answer with questions.

    Raises:
        MCPError: the client did not declare what they need.
    """
    missing = {need: {} for need in _needs(questions) if getattr(call.capabilities, need) is None}
    if missing:
        raise MCPError(
            types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            "the client cannot answer this",
            {"requiredCapabilities": missing},
        )
    return types.InputRequiredResult(input_requests=dict(questions), request_state=state)


def _needs(questions: Questions) -> list[str]:
    return [_NEEDS[question.method] for question in questions.values()]


def answers(call: Call, questions: Questions) -> Answers | None:
    """Give the answers to these questions, None when one is missing, refused or of another kind."""
    given = {key: call.inputs.get(key) for key in questions}
    for key, question in questions.items():
        answer = given[key]
        if (
            not isinstance(answer, _ANSWERS[question.method])
            or getattr(answer, "action", "accept") != "accept"
        ):
            return None
    return given


def value(answer: Any, name: str) -> Any:
    """Read one value of a form."""
    return (answer.content or {}).get(name)


_NAME = {"user_name": elicit("What is your name?", "name")}
_CAPITAL = {"capital_question": sample("What is the capital of France?", 100)}
_ROOTS = {"client_roots": roots()}
_CONFIRM = {"confirm": elicit("Please confirm", "ok", "boolean")}
_EVERYTHING = {**_NAME, "greeting": sample("Generate a greeting", 50), **_ROOTS}
_STEPS = (
    {"step1": elicit("Step 1: What is your name?", "name")},
    {"step2": elicit("Step 2: What is your favorite color?", "color")},
)
_CONTEXT = {"user_context": elicit("What context should the prompt use?", "context")}


async def _name(call: Call) -> types.CallToolResult | types.InputRequiredResult:
    given = answers(call, _NAME)
    if given is None or not value(given["user_name"], "name"):
        return ask(call, _NAME)
    return said(f"Hello, {value(given['user_name'], 'name')}!")


async def _capital(call: Call) -> types.CallToolResult | types.InputRequiredResult:
    given = answers(call, _CAPITAL)
    if given is None:
        return ask(call, _CAPITAL)
    return said(f"The model says: {given['capital_question'].content.text}")


async def _roots(call: Call) -> types.CallToolResult | types.InputRequiredResult:
    given = answers(call, _ROOTS)
    if given is None:
        return ask(call, _ROOTS)
    return said(f"Roots: {', '.join(str(root.uri) for root in given['client_roots'].roots)}")


async def _state(call: Call) -> types.CallToolResult | types.InputRequiredResult:
    if answers(call, _CONFIRM) is None or call.params.request_state != "asked":
        return ask(call, _CONFIRM, "asked")
    return said("state-ok")


async def _many(call: Call) -> types.CallToolResult | types.InputRequiredResult:
    given = answers(call, _EVERYTHING)
    if given is None or call.params.request_state != "asked":
        return ask(call, _EVERYTHING, "asked")
    return said(f"{value(given['user_name'], 'name')}, {len(given['client_roots'].roots)} roots")


async def _steps(call: Call) -> types.CallToolResult | types.InputRequiredResult:
    step = int(call.params.request_state or 0)
    if step == 0 or answers(call, _STEPS[step - 1]) is None:
        return ask(call, _STEPS[max(step, 1) - 1], str(max(step, 1)))
    if step < len(_STEPS):
        return ask(call, _STEPS[step], str(step + 1))
    return said("all steps are done")


async def _declared(call: Call) -> types.CallToolResult | types.InputRequiredResult:
    known = {
        key: question
        for key, question in _EVERYTHING.items()
        if getattr(call.capabilities, _NEEDS[question.method]) is not None
    }
    if not known:
        return said("the client can answer nothing")
    return ask(call, known) if answers(call, known) is None else said("thank you")


async def _streaming(call: Call) -> types.CallToolResult | types.InputRequiredResult:
    await call.context.session.report_progress(0, 1)
    return await _name(call)


async def prompt(call: Call) -> types.GetPromptResult | types.InputRequiredResult:
    """The prompt that needs a round."""
    given = answers(call, _CONTEXT)
    if given is None:
        return ask(call, _CONTEXT)
    words = f"Use this context: {value(given['user_context'], 'context')}"
    return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=text(words))])


_ASKS = "test_input_required_result"
TOOLS: Mapping[str, Tool] = {
    f"{_ASKS}_elicitation": Tool("Asks the user", _name),
    f"{_ASKS}_sampling": Tool("Asks the client's model", _capital),
    f"{_ASKS}_list_roots": Tool("Asks for roots", _roots),
    f"{_ASKS}_request_state": Tool("Asks, and keeps its state with the client", _state),
    f"{_ASKS}_tampered_state": Tool("Asks, and keeps its state with the client", _state),
    f"{_ASKS}_multiple_inputs": Tool("Asks three things at once", _many),
    f"{_ASKS}_multi_round": Tool("Asks twice, one after the other", _steps),
    f"{_ASKS}_capabilities": Tool("Asks for whatever the client can answer", _declared),
    "test_streaming_elicitation": Tool("Reports progress, then asks the user", _streaming),
}

"""The everything server's tools that ask the client something in the middle of a call (2025-11-25 and before)."""

import json
from collections.abc import Mapping
from typing import Any

import mcp_types as types

from tests.everything.answers import Call, said
from tests.everything.tools import Handler, Tool, strings


async def _sample(call: Call) -> types.CallToolResult:
    question = types.TextContent(type="text", text=call.arguments["prompt"])
    answer = await call.context.session.create_message(
        [types.SamplingMessage(role="user", content=question)],
        max_tokens=100,
        related_request_id=call.context.request_id,
    )
    return said(f"LLM response: {getattr(answer.content, 'text', '')}")


async def _form(call: Call, words: str, schema: Mapping[str, Any]) -> str:
    answer = await call.context.session.elicit_form(words, dict(schema), call.context.request_id)
    return f"action={answer.action}, content={json.dumps(answer.content)}"


async def _elicit(call: Call) -> types.CallToolResult:
    schema = strings("username", "email")
    return said(f"User response: {await _form(call, call.arguments['message'], schema)}")


def _completed(words: str, properties: Mapping[str, Any]) -> Handler:
    async def run(call: Call) -> types.CallToolResult:
        schema = {"type": "object", "properties": dict(properties), "required": []}
        return said(f"Elicitation completed: {await _form(call, words, schema)}")

    return run


def _titled(key: str, ending: str) -> dict[str, Any]:
    ordinals = ("First", "Second", "Third")
    return {
        key: [
            {"const": f"value{at}", "title": f"{word} {ending}"} for at, word in enumerate(ordinals, start=1)
        ]
    }


_OPTIONS = ["option1", "option2", "option3"]

_DEFAULTS: Mapping[str, Any] = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}

_CHOICES: Mapping[str, Any] = {
    "untitledSingle": {"type": "string", "enum": _OPTIONS},
    "titledSingle": {"type": "string", **_titled("oneOf", "Option")},
    "legacyEnum": {
        "type": "string",
        "enum": ["opt1", "opt2", "opt3"],
        "enumNames": ["Option One", "Option Two", "Option Three"],
    },
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": _OPTIONS}},
    "titledMulti": {"type": "array", "items": _titled("anyOf", "Choice")},
}

TOOLS: Mapping[str, Tool] = {
    "test_sampling": Tool("Lets the client's model answer", _sample, strings("prompt")),
    "test_elicitation": Tool("Lets the user answer", _elicit, strings("message")),
    "test_elicitation_sep1034_defaults": Tool(
        "Asks with a default for each type", _completed("Please check these", _DEFAULTS)
    ),
    "test_elicitation_sep1330_enums": Tool(
        "Asks with each form of a choice", _completed("Please choose", _CHOICES)
    ),
}

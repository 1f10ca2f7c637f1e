"""The everything server's prompts, resources and completions."""

import base64
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from tests.everything import rounds
from tests.everything.answers import PNG, Call, image, resource, text

Handler = Callable[[Call], Awaitable[types.GetPromptResult | types.InputRequiredResult]]


@dataclass(frozen=True)
class Prompt:
    """A prompt: what the list says of it, and what it gives."""

    description: str
    run: Handler
    arguments: tuple[str, ...] = ()

    def listed(self, name: str) -> types.Prompt:
        """Describe it as `prompts/list` does."""
        arguments = [
            types.PromptArgument(name=argument, description=f"Test argument {argument}", required=True)
            for argument in self.arguments
        ]
        return types.Prompt(name=name, description=self.description, arguments=arguments or None)


def _messages(*blocks: types.ContentBlock) -> types.GetPromptResult:
    return types.GetPromptResult(
        messages=[types.PromptMessage(role="user", content=block) for block in blocks]
    )


async def _simple(call: Call) -> types.GetPromptResult:
    return _messages(text("This is a simple prompt for testing."))


async def _arguments(call: Call) -> types.GetPromptResult:
    one, two = (call.arguments.get(name, "") for name in ("arg1", "arg2"))
    return _messages(text(f"Prompt with arguments: arg1='{one}', arg2='{two}'"))


async def _embedded(call: Call) -> types.GetPromptResult:
    embedded = resource(call.arguments["resourceUri"], "Embedded resource content for testing.")
    return _messages(embedded, text("Please process the embedded resource above."))


async def _image(call: Call) -> types.GetPromptResult:
    return _messages(image(), text("Please analyze the image above."))


PROMPTS: Mapping[str, Prompt] = {
    "test_simple_prompt": Prompt("A prompt without arguments", _simple),
    "test_prompt_with_arguments": Prompt("A prompt with two arguments", _arguments, ("arg1", "arg2")),
    "test_prompt_with_embedded_resource": Prompt("A prompt with a resource", _embedded, ("resourceUri",)),
    "test_prompt_with_image": Prompt("A prompt with a picture", _image),
    "test_input_required_result_prompt": Prompt("A prompt that asks the user first", rounds.prompt),
}

_TEXT, _BINARY, _WATCHED = "test://static-text", "test://static-binary", "test://watched-resource"

RESOURCES = (
    types.Resource(uri=_TEXT, name="static text", description="A text", mime_type="text/plain"),
    types.Resource(uri=_BINARY, name="static binary", description="A picture", mime_type="image/png"),
    types.Resource(uri=_WATCHED, name="watched", description="One to subscribe to", mime_type="text/plain"),
)
TEMPLATES = (
    types.ResourceTemplate(
        uri_template="test://template/{id}/data",
        name="template",
        description="A document for each id",
        mime_type="application/json",
    ),
)
_FROM_TEMPLATE = re.compile(r"test://template/([^/]+)/data")
_TEXTS = {
    _TEXT: "This is the content of the static text resource.",
    _WATCHED: "This is the content of the watched resource.",
}


def read(uri: str) -> types.ReadResourceResult:
    """Read a resource.

    Raises:
        MCPError: there is none of this URI.
    """
    contents: Any = None
    if uri in _TEXTS:
        contents = types.TextResourceContents(uri=uri, mime_type="text/plain", text=_TEXTS[uri])
    elif uri == _BINARY:
        blob = base64.b64encode(PNG).decode()
        contents = types.BlobResourceContents(uri=uri, mime_type="image/png", blob=blob)
    elif found := _FROM_TEMPLATE.fullmatch(uri):
        value = {"id": found[1], "templateTest": True, "data": f"Data for ID: {found[1]}"}
        contents = types.TextResourceContents(uri=uri, mime_type="application/json", text=json.dumps(value))
    if contents is None:
        raise MCPError(types.INVALID_PARAMS, "Resource not found", {"uri": uri})
    return types.ReadResourceResult(contents=[contents])


_WORDS = ("paris", "park", "party", "test://template/1/data")


def complete(params: types.CompleteRequestParams) -> types.CompleteResult:
    """Complete an argument from a few words."""
    values = [word for word in _WORDS if word.startswith(params.argument.value)]
    return types.CompleteResult(completion=types.Completion(values=values, total=len(values), has_more=False))

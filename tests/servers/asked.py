"""What a server is asked: everything that it lists, in one fixed order, and what was heard of each question.

The client is the official SDK's, so it answers the server's own questions as a real one does. What is kept are the
messages as they came, before the SDK made anything of them.
"""

import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import mcp_types as types
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

LEGACY, MODERN = "2025-11-25", "2026-07-28"
_MODES = {LEGACY: "legacy", MODERN: "auto"}
_PATIENCE = 30.0
_PAGES = 20

Message = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """One thing that is asked.

    Attributes:
        kind: `list`, `tool`, `prompt`, `resource`, `template` or `session`.
        name: of the thing, a URI for resources and the list's method for lists.
        label: unique in a run, for people.
    """

    kind: str
    name: str
    label: str


@dataclass
class Heard:
    """What came while a question was open, and what came at any time beside answers and progress."""

    answers: dict[Question, list[Message]] = field(default_factory=dict)
    besides: list[Message] = field(default_factory=list)


@dataclass(frozen=True)
class Offer:
    """What a server lists, item by item as it came: the questions are made of it."""

    tools: Sequence[Message]
    prompts: Sequence[Message]
    resources: Sequence[Message]
    templates: Sequence[Message]


class Run:
    """A connected client that writes down what it hears."""

    def __init__(self, client: Client, incoming: list[Message]) -> None:
        self.client = client
        self.heard = Heard()
        self._incoming = incoming

    async def ask(self, question: Question, act: Callable[[], Awaitable[Any]]) -> Any:
        """Ask one question; gives the answer, or None where it was refused."""
        answer = None
        try:
            with anyio.fail_after(_PATIENCE):
                answer = await act()
        except (MCPError, TimeoutError, RuntimeError, ValueError) as error:
            self._incoming.append({"raised": type(error).__name__})
        self._sort(question)
        return answer

    def _sort(self, question: Question) -> None:
        kept = self.heard.answers.setdefault(question, [])
        for message in self._incoming:
            method = str(message.get("method", ""))
            loose = method.startswith("notifications/") and method != "notifications/progress"
            (self.heard.besides if loose else kept).append(message)
        self._incoming.clear()

    async def settle(self, wanted: int) -> None:
        """Wait, for a while at most, until as many messages came beside the answers as are wanted."""
        with anyio.move_on_after(5.0):
            while self._count() < wanted:  # noqa: ASYNC110 - the transport appends, and tells nobody
                await anyio.sleep(0.05)
        self._sort(Question("session", "end", "end"))

    def _count(self) -> int:
        return len(self.heard.besides) + len(self._incoming)


@contextlib.asynccontextmanager
async def _listening(url: str, http: httpx2.AsyncClient, incoming: list[Message]) -> AsyncIterator[Any]:
    async with streamable_http_client(url, http_client=http) as (reading, writing):
        onward, received = anyio.create_memory_object_stream[Any](100)

        async def pump() -> None:
            async with onward:
                async for item in reading:
                    incoming.append(_written(item))
                    await onward.send(item)

        async with anyio.create_task_group() as group:
            group.start_soon(pump)
            yield received, writing
            group.cancel_scope.cancel()


def _written(item: Any) -> Message:
    if isinstance(item, Exception):
        return {"broken": type(item).__name__}
    return dict(item.message.model_dump(by_alias=True, mode="json", exclude_unset=True))


async def _sampled(*_: Any) -> types.CreateMessageResult:
    content = types.TextContent(type="text", text="sampled")
    return types.CreateMessageResult(role="assistant", content=content, model="scripted")


async def _elicited(_: Any, params: Any) -> types.ElicitResult:
    schema = getattr(params, "requested_schema", None)
    if schema is None:
        return types.ElicitResult(action="accept")
    return types.ElicitResult(action="accept", content=arguments(schema, every=True))


async def _roots(*_: Any) -> types.ListRootsResult:
    return types.ListRootsResult(roots=[types.Root(uri="file:///roots/one", name="one")])


@contextlib.asynccontextmanager
async def connected(url: str, token: str, version: str) -> AsyncIterator[Run]:
    """Connect in the era of a version."""
    incoming: list[Message] = []
    headers = {"authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, timeout=_PATIENCE) as http,
        Client(
            _listening(url, http, incoming),
            mode=_MODES[version],
            cache=None,
            sampling_callback=_sampled,
            elicitation_callback=_elicited,
            list_roots_callback=_roots,
        ) as client,
    ):
        run = Run(client, incoming)
        run._sort(Question("session", "connect", "connect"))
        yield run


async def lists(run: Run) -> Offer:
    """Read all lists, page by page."""
    client = run.client
    declared = client.server_capabilities
    found: dict[str, list[Message]] = {}
    for member, method, wanted, ask in (
        ("tools", "tools/list", declared.tools, client.list_tools),
        ("prompts", "prompts/list", declared.prompts, client.list_prompts),
        ("resources", "resources/list", declared.resources, client.list_resources),
        ("resourceTemplates", "resources/templates/list", declared.resources, client.list_resource_templates),
    ):
        found[member] = []
        cursor: str | None = None
        for page in range(_PAGES if wanted is not None else 0):
            question = Question("list", method, f"{method}, page {page + 1}")
            answer = await run.ask(question, lambda ask=ask, cursor=cursor: ask(cursor=cursor))
            for message in run.heard.answers[question]:
                found[member] += message.get("result", {}).get(member, [])
            cursor = getattr(answer, "next_cursor", None)
            if cursor is None:
                break
    return Offer(found["tools"], found["prompts"], found["resources"], found["resourceTemplates"])


def arguments(schema: Mapping[str, Any], *, every: bool = False) -> dict[str, Any]:
    """Make arguments that fit a simple schema: the required ones, or every one."""
    properties = schema.get("properties", {})
    names = list(properties) if every else schema.get("required", [])
    return {name: _value(properties.get(name, {})) for name in names}


def _value(schema: Mapping[str, Any]) -> Any:
    if "default" in schema:
        return schema["default"]
    for choices in ("enum", "oneOf", "anyOf"):
        if schema.get(choices):
            first = schema[choices][0]
            return first.get("const", "one") if isinstance(first, dict) else first
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    simple = {"string": "one", "integer": 1, "number": 1, "boolean": True, "array": []}
    return arguments(schema, every=True) if kind == "object" else simple.get(kind, "one")


def expanded(template: str) -> str:
    """Give one URI of a template."""
    return re.sub(r"\{[^}]*\}", "1", template)


async def everything(
    run: Run, offer: Offer, given: Mapping[str, dict[str, Any]], skipped: Sequence[str]
) -> None:
    """Ask for everything in an offer.

    Args:
        run: the connection.
        offer: what the server itself lists.
        given: arguments of tools whose schema does not say enough.
        skipped: tools that are not called.
    """
    client = run.client

    async def progressed(*_: Any) -> None:
        """Ask for progress; what comes is heard below."""

    for tool in offer.tools:
        name = tool["name"]
        if name not in skipped:
            values = given.get(name, arguments(tool["inputSchema"]))
            await run.ask(
                Question("tool", name, f"tools/call {name}"),
                lambda n=name, v=values: client.call_tool(n, v, progress_callback=progressed),
            )
    await run.ask(
        Question("tool", "no such tool", "tools/call no such tool"), lambda: client.call_tool("no such tool")
    )
    for prompt in offer.prompts:
        await _prompt(run, prompt)
    for resource in offer.resources:
        await _resource(run, resource["uri"])
    for template in offer.templates:
        await _template(run, template["uriTemplate"])
    if client.protocol_version == LEGACY:
        await run.ask(Question("session", "ping", "ping"), client.send_ping)
        await run.ask(
            Question("session", "level", "logging/setLevel"), lambda: client.set_logging_level("debug")
        )


async def _prompt(run: Run, prompt: Message) -> None:
    name, client = prompt["name"], run.client
    names = [argument["name"] for argument in prompt.get("arguments") or []]
    values = dict.fromkeys(names, "one")
    await run.ask(Question("prompt", name, f"prompts/get {name}"), lambda: client.get_prompt(name, values))
    for argument in names if client.server_capabilities.completions else ():
        reference = types.PromptReference(type="ref/prompt", name=name)
        await run.ask(
            Question("prompt", name, f"completion/complete {name} {argument}"),
            lambda r=reference, a=argument: client.complete(r, {"name": a, "value": "p"}),
        )


async def _resource(run: Run, uri: str) -> None:
    client = run.client
    await run.ask(Question("resource", uri, f"resources/read {uri}"), lambda: client.read_resource(uri))
    offered = client.server_capabilities.resources
    if client.protocol_version == LEGACY and offered and offered.subscribe:
        for method, act in (
            ("subscribe", client.subscribe_resource),
            ("unsubscribe", client.unsubscribe_resource),
        ):
            await run.ask(Question("resource", uri, f"resources/{method} {uri}"), lambda act=act: act(uri))


async def _template(run: Run, template: str) -> None:
    client, uri = run.client, expanded(template)
    await run.ask(Question("resource", uri, f"resources/read {uri}"), lambda: client.read_resource(uri))
    for argument in (
        re.findall(r"\{[+#./;?&]?(\w+)", template) if client.server_capabilities.completions else ()
    ):
        reference = types.ResourceTemplateReference(type="ref/resource", uri=template)
        await run.ask(
            Question("template", template, f"completion/complete {template} {argument}"),
            lambda r=reference, a=argument: client.complete(r, {"name": a, "value": "1"}),
        )

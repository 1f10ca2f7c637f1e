"""How a driver in Python plays its stories: `DRIVER URL ERA STORIES`, the token in `TOKEN`.

STORIES is JSON, by name: the headers of a connection and its steps, which are

* `{"do": "list"}`: the names of the tools;
* `{"do": "call", "tools": [[NAME, ARGUMENTS], …]}`: calls, at the same time when they are several;
* `{"do": "on"}`: one more call, by which the connection shows that it lives.

What the user of the client sees of each is told in words: `result: …`, `refused: …` for a tool's result that is an
error, `raised: …` for an exception of one call, `ended: …` for one that took the connection along. After that the
driver connects again, as a user would, and makes its last step there.

This module needs nothing but the standard library: it runs in environments of their own.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

PATIENCE = 20.0
"""Seconds after which a call is given up."""


class Client(Protocol):
    """A connected client."""

    version: str

    async def tools(self) -> list[str]:
        """Give the names of the tools."""

    async def call(self, calls: list[tuple[str, dict[str, Any]]]) -> list[str]:
        """Make calls at the same time, and say what the user sees of each."""


Connect = Callable[[str, str, Mapping[str, str]], AbstractAsyncContextManager[Any]]


def words(error: BaseException) -> str:
    """Say an error as its type and text, of a group the first one's."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


async def seen(work: Awaitable[str]) -> str:
    """Say what the user sees of one call."""
    try:
        return await asyncio.wait_for(work, PATIENCE)
    except Exception as error:  # noqa: BLE001 - whatever the client raises is what is told
        return f"raised: {words(error)}"


async def together(calls: list[tuple[str, dict[str, Any]]], one: Callable[..., Awaitable[str]]) -> list[str]:
    """Make calls at the same time."""
    return list(await asyncio.gather(*(seen(one(name, arguments)) for name, arguments in calls)))


def main(connect: Connect) -> None:
    """Play all stories and print what was seen."""
    url, era, stories = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    told: dict[str, Any] = {"version": "", "stories": {}}
    for name, story in stories.items():
        headers = {"authorization": f"Bearer {os.environ['TOKEN']}", **story["headers"]}
        # A loop for each: what a dead connection leaves behind cancels nothing of the next one.
        told["stories"][name] = asyncio.run(
            _play(lambda h=headers: connect(url, era, h), story["steps"], told)
        )
    sys.stdout.write(json.dumps(told))


async def _play(connect: Callable[[], Any], steps: list[dict[str, Any]], told: dict[str, Any]) -> list[str]:
    seen_here: list[str] = []
    left = list(steps)
    try:
        async with connect() as client:
            told["version"] = client.version
            while left:
                seen_here += await _step(client, left[0])
                left.pop(0)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        if left:
            return [*seen_here, f"ended: {words(error)}", await _again(connect)]
    return seen_here


async def _step(client: Any, step: dict[str, Any]) -> list[str]:
    if step["do"] == "list":
        return [await seen(_listed(client))]
    if step["do"] == "call":
        return list(await client.call([(name, arguments) for name, arguments in step["tools"]]))
    (answer,) = await client.call([("echo", {"message": "still here"})])
    if "still here" not in answer:
        raise RuntimeError(answer)
    return ["on"]


async def _listed(client: Any) -> str:
    return "result: " + ", ".join(sorted(await client.tools()))


async def _again(connect: Callable[[], Any]) -> str:
    # In a task of its own, because what ended may have left this one cancelled.
    async def run() -> str:
        async with connect() as client:
            await _step(client, {"do": "on"})
            return "on, connected again"

    return await asyncio.create_task(seen(run()))

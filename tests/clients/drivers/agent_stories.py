"""How a driver of an agent framework plays its stories: each call is a run of an agent with a scripted model.

There is no language model in it. The user's message is JSON, the calls to make; the scripted model makes them at once,
reads what comes back, and says that it is done. What it read of each call is told as `model reads: …`.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import stories

Calls = list[tuple[str, dict[str, Any]]]
Run = Callable[[str], Awaitable[list[str]]]
"""One run of an agent: from the user's message to what the model read of each call, in their order."""

DONE = "done"
"""What the scripted model says when it read the results."""


def asked(message: str) -> Calls:
    """Read the calls of a user's message."""
    return [(name, arguments) for name, arguments in json.loads(message)]


class Agent:
    """A client for `stories`, made of runs."""

    def __init__(self, run: Run, names: Callable[[], Awaitable[list[str]]], version: str = "") -> None:
        self._run = run
        self._names = names
        self.version = version

    async def tools(self) -> list[str]:
        """Give the names of the tools that the agent has."""
        return await self._names()

    async def call(self, calls: Calls) -> list[str]:
        """Run the agent once with these calls."""
        outcome: list[str] = []

        async def run() -> str:
            outcome.extend(await self._run(json.dumps(calls)))
            return ""

        lost = await stories.seen(run())
        # A run that raises loses the results of all its calls.
        return [lost] * len(calls) if lost else [f"model reads: {text}" for text in outcome]

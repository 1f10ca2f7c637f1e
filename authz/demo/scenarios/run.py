"""All scenarios in order: each yields rows with the expected and the actual result on the running processes.

The order matters in one place. A token with an unknown key makes a service fetch keys at most once per cool-down of the
key store. The scenario that rotates keys therefore comes before the one that sends such a token, and the outage of the
issuer comes after the restart of the service, which resets the cool-down.
"""

from collections.abc import AsyncIterator

from authz.demo.scenarios.changes import issuer_outage, policy_edit, rotation, service_outage
from authz.demo.scenarios.locked import tool_lock
from authz.demo.scenarios.login import login
from authz.demo.scenarios.requests import alone, bad_tokens, bodies, calls, lists, near_misses, without_token
from authz.demo.scenarios.result import ALL, Scenario, ScenarioRow
from authz.demo.stack import Stack

__all__ = ["ALL", "SCENARIOS", "ScenarioRow", "run_all"]

SCENARIOS: tuple[Scenario, ...] = (
    alone,
    without_token,
    login,
    rotation,
    bad_tokens,
    lists,
    near_misses,
    calls,
    bodies,
    policy_edit,
    service_outage,
    issuer_outage,
    tool_lock,
)


async def run_all(stack: Stack) -> AsyncIterator[ScenarioRow]:
    """Run all scenarios and yield their rows."""
    for scenario in SCENARIOS:
        async for row in scenario(stack):
            yield row

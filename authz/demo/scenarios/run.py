"""The story: what is expected of the gateway, and what was seen on the running parts, row by row.

The order of the chapters matters in one place. A token that names an unknown key makes a service ask its issuer at most
once in a while (the key store's cool-down), so the chapter that rotates keys comes before the one that sends such a
token, and the outage of the issuer after the restart of the service, which begins anew.
"""

from collections.abc import AsyncIterator

from authz.demo.scenarios.changes import issuer_outage, policy_edit, rotation, service_outage
from authz.demo.scenarios.login import login
from authz.demo.scenarios.requests import alone, bad_tokens, bodies, calls, lists, near_misses, without_token
from authz.demo.scenarios.result import ALL, Chapter, ScenarioRow
from authz.demo.stack import Stack

__all__ = ["ALL", "CHAPTERS", "ScenarioRow", "tell"]

CHAPTERS: tuple[Chapter, ...] = (
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
)


async def tell(stack: Stack) -> AsyncIterator[ScenarioRow]:
    """Run the whole story."""
    for chapter in CHAPTERS:
        async for row in chapter(stack):
            yield row

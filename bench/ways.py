"""The ways that a list goes: untouched, looked through with nothing to cut, and with every second tool cut."""

import json
from dataclasses import dataclass

from bench.catalogue import HEADER, SIZES, name_of
from bench.client import body_of, status_of
from bench.stack import POLICY, SERVICE
from bench.workload import CALLERS, Mint, list_request


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way for a list to go.

    Attributes:
        name: what the table calls it.
        backend: whose listener.
        scope: what the callers' tokens have.
        share: the part of the tools that arrives.
    """

    name: str
    backend: str
    scope: str
    share: float


WAYS = (
    Way(name="untrimmed", backend="bare", scope="every:tool", share=1.0),
    Way(name="nothing to cut", backend=SERVICE, scope="every:tool", share=1.0),
    Way(name="half cut", backend=SERVICE, scope="profile", share=0.5),
)


def policy_text() -> str:
    """Give the policy: every second tool is everybody's, and all of them are for the scope `every:tool`."""
    head = POLICY.read_text("utf-8").partition("    rules:\n")[0]
    names = ", ".join(name_of(number) for number in range(0, SIZES[-1], 2))
    return (
        head.replace("http://127.0.0.1:9/mcp", "${BENCH_UPSTREAM}")
        + f"    rules:\n      - allow: {{tools: [{names}]}}\n"
        + '      - allow: {tools: ["*"]}\n        scopes: [every:tool]\n'
    )


def requests_for(mint: Mint, size: int, way: Way) -> list[bytes]:
    """Make a list request of each caller."""
    grants = {"scope": way.scope, "https://mcp.example.com/roles": ["staff"]}
    header = f"{HEADER}: {size}\r\n"
    return [list_request(n, mint.token(way.name, n, grants), header) for n in range(CALLERS)]


def verified(answer: bytes, size: int, way: Way) -> int:
    """Give the length of a list's body, which must hold exactly the tools that it should."""
    body = body_of(answer)
    names = [tool["name"] for tool in json.loads(body)["result"]["tools"]] if status_of(answer) == 200 else []
    step = round(1 / way.share)
    if names != [name_of(number) for number in range(0, size, step)]:
        msg = f"{way.name}: expected every tool in {step} of {size}, got {len(names)}: {answer[:300]!r}"
        raise RuntimeError(msg)
    return len(body)

"""The variants of a list: untouched, examined with nothing to remove, and with every second tool removed."""

import json
from dataclasses import dataclass

from bench.catalogue import HEADER, SIZES, name_of
from bench.client import body_of, status_of
from bench.stack import POLICY, SERVICE
from bench.workload import CALLERS, Mint, list_request


@dataclass(frozen=True, slots=True, kw_only=True)
class ListVariant:
    """One variant.

    Attributes:
        name: what the table calls it.
        backend: whose listener it passes.
        scope: what the callers' tokens have.
        share: the part of the tools that arrives.
    """

    name: str
    backend: str
    scope: str
    share: float


LIST_VARIANTS = (
    ListVariant(name="untrimmed", backend="bare", scope="every:tool", share=1.0),
    ListVariant(name="nothing to cut", backend=SERVICE, scope="every:tool", share=1.0),
    ListVariant(name="half cut", backend=SERVICE, scope="profile", share=0.5),
)


def policy_text() -> str:
    """Return the policy: every second tool is for everyone, and all of them for the scope `every:tool`."""
    head = POLICY.read_text("utf-8").partition("    rules:\n")[0]
    names = ", ".join(name_of(number) for number in range(0, SIZES[-1], 2))
    return (
        head.replace("http://127.0.0.1:9/mcp", "${BENCH_UPSTREAM}")
        + f"    rules:\n      - allow: {{tools: [{names}]}}\n"
        + '      - allow: {tools: ["*"]}\n        scopes: [every:tool]\n'
    )


def requests_for(mint: Mint, size: int, variant: ListVariant) -> list[bytes]:
    """Return a list request of each caller."""
    grants = {"scope": variant.scope, "https://mcp.example.com/roles": ["staff"]}
    header = f"{HEADER}: {size}\r\n"
    return [list_request(n, mint.token(variant.name, n, grants), header) for n in range(CALLERS)]


def verified(answer: bytes, size: int, variant: ListVariant) -> int:
    """Return the length of a list's body, which must hold exactly the expected tools.

    Raises:
        RuntimeError: it holds others.
    """
    body = body_of(answer)
    names = [tool["name"] for tool in json.loads(body)["result"]["tools"]] if status_of(answer) == 200 else []
    step = round(1 / variant.share)
    if names != [name_of(number) for number in range(0, size, step)]:
        msg = f"{variant.name}: expected every tool in {step} of {size}, got {len(names)}: {answer[:300]!r}"
        raise RuntimeError(msg)
    return len(body)

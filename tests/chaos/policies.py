"""The policy files of a run: two good ones, which differ on every server, and some that cannot be used.

`A` is in force at the start. `B` takes a tool and a resource away from each server and gives another one. So an answer
shows which of them decided it, and an answer by a file that is no longer in force is noticed.
"""

import random
from collections.abc import Mapping
from types import MappingProxyType

SERVERS = ("alpha", "beta", "gamma")
TOOLS = ("echo", "read", "write", "purge", "report", "forbidden")
PROMPTS = ("greet", "secret")
OPEN, HALF, CLOSED = "note:///open", "note:///half", "note:///closed"
RESOURCES = (OPEN, HALF, CLOSED)
"""One that every policy allows, one that only `A` allows, and one that none allows."""
KEY_SECONDS = 5
"""Longest time between two fetches of the issuer's keys."""
COOLDOWN_SECONDS = 1
"""Shortest time between two fetches that unknown key ids cause."""

_HEAD = f"""\
workers: 2
limits: {{body_bytes: 65536}}
keys: {{min_age_seconds: {KEY_SECONDS}, max_age_seconds: {KEY_SECONDS}, default_age_seconds: {KEY_SECONDS}, cooldown_seconds: {COOLDOWN_SECONDS}, timeout_seconds: 2}}
sessions: {{key_file: session.key}}
issuers:
  demo:
    issuer: ${{ISSUER}}
    jwks_uri: ${{ISSUER}}.well-known/jwks.json
    audiences: ["https://mcp-oauth-demo"]
    claims: {{roles: "https://mcp-demo/roles"}}
servers:
"""
_SERVER = """\
  {name}:
    resource: ${{FRONT}}/{name}
    upstream: ${{UPSTREAM}}/{name}
    issuers: [demo]
{rules}
"""
_ALPHA = """\
    rules:
      - allow: {{tools: [echo, {swap}], prompts: [greet], resources: {resources}}}
      - allow: {{tools: [read]}}
        scopes: [files:read]
      - allow: {{tools: [write]}}
        scopes: [files:write]
        args: args.path.startsWith("/inbox/") && !args.path.contains("..")"""
_BETA = """\
    rules:
      - allow: {{tools: ["*"], resources: {resources}}}
        roles: [admin]
      - deny: {{tools: [forbidden, {swap}]}}
      - allow: {{tools: [echo], prompts: ["*"]}}
        scopes: [files:read]"""
_GAMMA = """\
    hide: true
    rules:
      - allow: {{tools: [echo], resources: {resources}}}
        when: '"files:read" in scopes'
      - allow: {{tools: [{swap}]}}
        when: 'jwt.sub == "bob"'"""


def _text(swap: tuple[str, str, str], resources: str) -> str:
    rules = (_ALPHA, _BETA, _GAMMA)
    servers = (
        _SERVER.format(name=name, rules=rule.format(swap=item, resources=resources))
        for name, rule, item in zip(SERVERS, rules, swap, strict=True)
    )
    return _HEAD + "".join(servers)


A = _text(("report", "purge", "write"), f'["{OPEN}", "{HALF}"]')
B = _text(("purge", "report", "read"), f'["{OPEN}"]')

_BAD: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "misspelt key": ("rules:", "rulez:"),
        "no YAML": ("servers:\n", "servers: [\n"),
        "unknown issuer": ("issuers: [demo]", "issuers: [nobody]"),
        "CEL that does not parse": ('"files:read" in scopes', '"files:read" in in scopes'),
        "missing variable": ("${FRONT}/alpha", "${NOWHERE}/alpha"),
    }
)
"""What makes a file unusable: a text of the good one, and what stands in its place."""


def bad(rng: random.Random) -> str:
    """Return a file that cannot be used: a good one with one mistake, a part of one, or nothing."""
    good = rng.choice((A, B))
    name = rng.choice((*_BAD, "empty", "cut"))
    if name == "empty":
        return ""
    if name == "cut":
        return good[: good.index("gamma:") + len("gamma:")]
    return good.replace(*_BAD[name])

"""Whole Checks, in one process without gRPC, under policies and catalogues of growing size.

A Check here is what the service does between the bytes of a CheckRequest and the bytes of its answer, metrics and audit
record included. Every size gets the same number of calls, for all its names in a random order that differs from size to
size, by the same callers and with different arguments each time; so neither order nor a frequent name helps the larger.
"""

import asyncio
import dataclasses
import itertools
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from envoy.service.auth.v3 import external_auth_pb2

from authz.config.settings import Settings
from authz.core.mcp.item import Kind
from authz.core.policy.policy import Policy
from authz.core.policy.rule import Effect, Rule, Selector
from authz.core.servers import Directory
from authz.edge.envoy.ext_authz import Checker
from bench.catalogue import name_of
from bench.samples import growth
from bench.stages import NO_CALL, checker, checks, settings_of
from bench.workload import CALLERS, FULL, Mint, check_request, http_request

RULES = (10, 100, 1_000, 10_000)
TOOLS = (5, 50, 500, 5_000)
CALLS = 10_000
"""Calls of one round: as many as the largest policy has names."""
SLICES = 10
"""Turns of a round, so that sizes are compared within a fraction of a second."""
_RULES_OF_A_CATALOGUE = 5
_pb: Any = external_auth_pb2


def one_rule_a_name(settings: Settings, size: int) -> Settings:
    """Return settings with `size` rules, each about one name: the allow rules of the bench policy in turn."""
    allows = _allows(settings)
    return _with_rules(settings, [_rule(allows, number, (name_of(number),)) for number in range(size)])


def few_rules(settings: Settings, size: int) -> Settings:
    """Return settings in which a few rules share `size` names."""
    allows = _allows(settings)
    names = [name_of(number) for number in range(size)]
    shares = [tuple(names[number::_RULES_OF_A_CATALOGUE]) for number in range(_RULES_OF_A_CATALOGUE)]
    return _with_rules(settings, [_rule(allows, number, share) for number, share in enumerate(shares)])


def _allows(settings: Settings) -> list[Rule]:
    rules = settings.directory.servers[0].policy.rules
    return [rule for rule in rules if rule.effect is Effect.ALLOW]


def _rule(allows: list[Rule], number: int, names: tuple[str, ...]) -> Rule:
    pattern = allows[number % len(allows)]
    return dataclasses.replace(pattern, name=f"rule-{number}", selector=Selector.of({Kind.TOOL: names}))


def _with_rules(settings: Settings, rules: list[Rule]) -> Settings:
    server = dataclasses.replace(settings.directory.servers[0], policy=Policy(tuple(rules)))
    names = frozenset[str]().union(*(rule.selector.exact[Kind.TOOL] for rule in rules))
    return dataclasses.replace(settings, directory=Directory((server,)), tools={server.name: names})


def calls(mint: Mint, names: list[str], count: int, seed: int) -> list[bytes]:
    """Return `count` serialised CheckRequests for all names in random order, over and over, by the same callers."""
    chance = random.Random(seed)
    tokens = [mint.token("sizes", number, FULL) for number in range(CALLERS)]
    order = (names * (count // len(names) + 1))[:count]
    chance.shuffle(order)
    return [check_request(_request(chance, tokens, number, name)) for number, name in enumerate(order)]


def _request(chance: random.Random, tokens: list[str], number: int, name: str) -> bytes:
    arguments = {"filename": f"/inbox/{chance.randrange(10**6)}.txt", "limit": chance.randrange(1000)}
    return http_request(number, name, arguments, chance.choice(tokens))


def by_size(
    make: Callable[[Settings, int], Settings], sizes: tuple[int, ...], rounds: int, count: int = CALLS
) -> list[dict[str, Any]]:
    """Time allowed calls under settings of each size."""
    mint = Mint()
    with ExitStack() as stack:
        passes = {}
        for size in sizes:
            service = stack.enter_context(checker(mint, make(settings_of(mint), size)))
            requests = calls(mint, [name_of(number) for number in range(size)], count, size)
            _must_allow(service, requests[:100])
            asyncio.run(checks(service, iter(requests), len(requests)))
            passes[size] = _turn(service, [requests[number::SLICES] for number in range(SLICES)])
        return growth(passes, rounds * SLICES)


def _must_allow(service: Checker, requests: list[bytes]) -> None:
    answers = [asyncio.run(service.check(request, NO_CALL)) for request in requests]
    if any(_pb.CheckResponse.FromString(answer).status.code for answer in answers):
        msg = "every call that is timed must be allowed"
        raise RuntimeError(msg)


def _turn(service: Checker, slices: list[list[bytes]]) -> Callable[[], float]:
    """Return a function that makes the next slice of the calls."""
    following = itertools.cycle(slices)

    def once() -> float:
        requests = next(following)
        began = time.process_time()
        asyncio.run(checks(service, iter(requests), len(requests)))
        return (time.process_time() - began) / len(requests)

    return once


def measure(rounds: int, count: int = CALLS) -> dict[str, Any]:
    """Measure both; return the part as it goes into the JSON document."""
    return {
        "rules": by_size(one_rule_a_name, RULES, rounds, count),
        "tools": by_size(few_rules, TOOLS, rounds, count),
    }

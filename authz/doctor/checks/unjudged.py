"""Checks of the filter that refuses what the rewriter was asked to judge and has not: is it there, and can it hear it?"""

from collections.abc import Iterator, Mapping

from authz.core.response.commands import JUDGED, JUDGED_BY
from authz.doctor import expected
from authz.doctor.filters import Filter
from authz.doctor.inventory import FilterChain
from authz.doctor.model import CheckCase, Find, Hit, Insert, Move
from authz.doctor.node import Node
from authz.doctor.routes import scopes

_CONDITIONS = frozenset(
    {
        (expected.DECISIONS, "decision", "allow", True),
        (expected.DECISIONS, "rewrite", True, True),
        (JUDGED_BY, JUDGED, True, False),
    }
)
"""Namespace, key and value of metadata, and whether it must or must not be there."""


def waits_for_judgement(each: Filter) -> bool:
    """Return whether a filter answers exactly in the place of what the rewriter was asked to judge and has not."""
    rules = list(each.config.at("custom_response_matcher", "matcher_list", "matchers").items())
    if each.kind != "custom_response" or len(rules) != 1:
        return False
    conditions = list(rules[0].at("predicate", "and_matcher", "predicate").items())
    return len(conditions) == len(_CONDITIONS) and {_condition(one) for one in conditions} == _CONDITIONS


def _condition(predicate: Node) -> tuple[str, str, str | bool, bool]:
    negated = predicate.at("not_matcher")
    asked = (negated if negated.present else predicate).at("single_predicate")
    read, match = asked.at("input", "typed_config"), asked.at("custom_match", "typed_config")
    keys = [step.at("key").text for step in read.at("path").items()]
    value = match.at("value", "string_match", "exact").text or match.at("value", "bool_match").flag
    # Both ways to negate can stand in one condition, and then it is none.
    return read.at("filter").text, ".".join(keys), value, negated.present == match.at("invert").flag


def place_of_rewriter(chain: FilterChain) -> int:
    """Return the index behind ext_authz and behind what waits for the rewriter's judgement."""
    before = [each.index for each in chain.filters if each is chain.authz or waits_for_judgement(each)]
    return max(before, default=-1) + 1


def _waiting(chain: FilterChain) -> Filter | None:
    return next((each for each in chain.of("custom_response") if waits_for_judgement(each)), None)


def _passes(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        if not chain.authz or chain.unseen or chain.authz.config.at("shadow_mode").flag:
            continue
        waiting = _waiting(chain)
        if not waiting:
            edit = Insert(chain.filter_list.path, chain.authz.index + 1, expected.UNJUDGED_FILTER)
            yield Hit(chain.filter_list, f"in {chain.name}", (edit,))
        elif waiting.node.at("disabled").flag:
            yield Hit.drop(waiting.node.at("disabled"), f"filter {waiting.name}")
    names = {each.name for chain in case.inventory.guarded if (each := _waiting(chain))}
    for scope in scopes(case.inventory.guarded):
        yield from (Hit.drop(entry, f"on {scope.name}") for name, entry in scope.entries() if name in names)


def _unheard(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        waiting, rewriter = _waiting(chain), chain.rewriter
        if not waiting or not rewriter or rewriter.unseen:
            continue
        if _comes_first(chain, rewriter) and waiting.index > rewriter.index:
            yield Hit(
                waiting.node,
                f"comes after {rewriter.name}",
                (Move(chain.filter_list.path, waiting.index, rewriter.index),),
            )
        for config in (rewriter.config, *rewriter.pools):
            named = config.at("metadata_options", "receiving_namespaces", "untyped")
            if JUDGED_BY not in [each.text for each in named.items()]:
                yield Hit.put(named, [*(each.text for each in named.items()), JUDGED_BY])


def _comes_first(chain: FilterChain, rewriter: Filter) -> bool:
    """Return whether the order of a chain's filters is known, and ext_authz comes before the rewriter in it."""
    return not chain.partial and chain.authz is not None and chain.authz.index < rewriter.index


CHECKS: Mapping[str, Find] = {"unjudged-passes": _passes, "rewriter-unheard": _unheard}

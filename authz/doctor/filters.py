"""HTTP filters of a chain: what each one is, inside the wrappers that may surround it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from authz.doctor.expected import DECISIONS
from authz.doctor.node import Node

_HTTP = "envoy.extensions.filters.http."
_METADATA_INPUT = "envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput"
_METADATA_MATCH = "envoy.extensions.matching.input_matchers.metadata.v3.Metadata"
_GUARDS = ("ext_authz", "ext_proc", "header_mutation")
_ANSWER_INPUTS = "envoy.type.matcher.v3.HttpResponse"
"""How the types of inputs begin that look at an answer, which no client writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One HTTP filter.

    Attributes:
        node: its element in `http_filters`.
        index: its position in the chain.
        name: its configured name, under which routes override it.
        kind: the package of its type, such as `ext_authz`, `lua` or `router`; for a wrapped ext_authz or ext_proc,
            its own.
        typed: the Any with its configuration, without wrappers.
        config: the message in that Any.
        wrapper: the matcher around it; absent if there is none.
        unseen: whether the configuration is not in the file.
        pools: the other ext_proc configurations in a matcher that chooses between several; `config` is the last.
    """

    node: Node
    index: int
    name: str
    kind: str
    typed: Node
    config: Node
    wrapper: Node
    unseen: bool = False
    pools: tuple[Node, ...] = ()

    def inputs(self) -> list[Node]:
        """Return what the matcher around it looks at."""
        return [node.at("typed_config") for node in self.wrapper.walk() if node.key == "input"]

    @property
    def reads_decision(self) -> bool:
        """Whether the matcher around it looks at the flag that ext_authz sets for lists."""
        return any(_is_flag(node) for node in self.inputs())

    @property
    def runs_on_decision(self) -> bool:
        """Whether it runs exactly where ext_authz set the flag."""
        trees = [each for each in self.wrapper.walk() if each.key in {"xds_matcher", "matcher"}]
        matchers = [each for tree in trees for each in tree.at("matcher_list", "matchers").items()]
        rules = [each for each in matchers if not _is_about_answers(each)]
        if not rules or any(len(_inputs(each)) != 1 for each in rules):
            return False
        *pools, last = rules
        asked = last.at("predicate", "single_predicate")
        places = [each.path[: len(last.path)] for each in (self.config, *self.pools)]
        here = last.path in places and len(places) == len(rules)
        return here and _asks_for_true(asked) and _is_key(asked, "rewrite") and _are_pools(pools)

    @property
    def runs_on_allow(self) -> bool:
        """Whether it runs on every allowed request: always, or exactly where ext_authz said so."""
        rules = [each for node in self.wrapper.walk() if node.key == "matchers" for each in node.items()]
        return not self.wrapper.present or (len(rules) == 1 and _is_of_allow(rules[0]))

    @property
    def sees_answers(self) -> bool:
        """Whether it also runs on redirects and challenges that ext_authz did not ask about."""
        rules = [each for node in self.wrapper.walk() if node.key == "matchers" for each in node.items()]
        return any(
            _is_about_answers(each) and {node.text for node in each.at("predicate").walk()} >= _OF_ITSELF
            for each in rules
        )


_OF_ITSELF = frozenset({"3xx", "401", "407", "www-authenticate", "proxy-authenticate"})
"""Statuses and headers by which an answer speaks of the server itself."""


def _is_of_allow(rule: Node) -> bool:
    asked = rule.at("predicate", "single_predicate")
    match = asked.at("custom_match", "typed_config")
    said = match.at("value", "string_match", "exact").text == "allow" and not match.at("invert").flag
    return _is_key(asked, "decision") and said


def _are_pools(rules: Sequence[Node]) -> bool:
    """Return whether each of the other rules runs where ext_authz chose a pool."""
    return all(_is_key(each.at("predicate", "single_predicate"), "pool") for each in rules)


def _inputs(rule: Node) -> list[Node]:
    return [node.at("typed_config") for node in rule.at("predicate").walk() if node.key == "input"]


def _is_about_answers(rule: Node) -> bool:
    """Return whether a rule looks at answers, and at what ext_authz decided: it runs besides and never instead."""
    decided, *answers = _inputs(rule) or [rule]
    keys = [step.at("key").text for step in decided.at("path").items()]
    of_authz = decided.type == _METADATA_INPUT and decided.at("filter").text == DECISIONS
    both = rule.at("predicate", "and_matcher").present and bool(answers)
    return both and of_authz and keys == ["decision"] and all(_is_of_answer(each) for each in answers)


def _is_of_answer(node: Node) -> bool:
    return node.type.startswith(_ANSWER_INPUTS)


def _is_key(predicate: Node, key: str) -> bool:
    """Return whether a predicate looks at a key that ext_authz sets."""
    node = predicate.at("input", "typed_config")
    keys = [step.at("key").text for step in node.at("path").items()]
    return node.type == _METADATA_INPUT and node.at("filter").text == DECISIONS and keys == [key]


def _is_flag(node: Node) -> bool:
    keys = [step.at("key").text for step in node.at("path").items()]
    return node.type == _METADATA_INPUT and node.at("filter").text == DECISIONS and keys == ["rewrite"]


def _asks_for_true(predicate: Node) -> bool:
    match = predicate.at("custom_match", "typed_config")
    return (
        match.type == _METADATA_MATCH and match.at("value", "bool_match").flag and not match.at("invert").flag
    )


def kind_of(node: Node) -> str:
    """Return the package of a message's type: `lua` for envoy.extensions.filters.http.lua.v3.Lua."""
    parts = node.type.split(".")
    return parts[-3] if len(parts) >= 3 else ""


def read_filters(listed: Node, discovered: Sequence[Node]) -> Iterator[Filter]:
    """Read a list of filters.

    Args:
        listed: the `http_filters`.
        discovered: filter configurations that a `config_dump` lists apart from the chain.
    """
    for index, node in enumerate(listed.items()):
        yield _filter(node, index, discovered)


def _filter(node: Node, index: int, discovered: Sequence[Node]) -> Filter:
    name, typed, unseen = node.at("name").text, node.at("typed_config"), False
    if node.at("config_discovery").present:
        known = [each.at("typed_config") for each in discovered if each.at("name").text == name]
        typed = (known or [node.at("config_discovery", "default_config")])[0]
        unseen = not known
    answers = [
        each.path
        for rule in typed.walk()
        if rule.key == "matchers"
        for each in rule.items()
        if _is_about_answers(each)
    ]
    guards = [
        each
        for each in typed.walk()
        if each.type.startswith(_HTTP)
        and kind_of(each) in _GUARDS
        and not any(each.path[: len(path)] == path for path in answers)
    ]
    pooled = len(guards) > 1 and {kind_of(each) for each in guards} == {"ext_proc"}
    inner = guards[-1 if pooled else 0] if guards else typed
    return Filter(
        node=node,
        index=index,
        name=name,
        kind=kind_of(inner) or name.rpartition(".")[2],
        typed=inner,
        config=inner.unpacked(),
        wrapper=Node(None, typed.path) if inner.path == typed.path else typed.unpacked(),
        unseen=unseen,
        pools=tuple(each.unpacked() for each in guards[:-1]) if pooled else (),
    )

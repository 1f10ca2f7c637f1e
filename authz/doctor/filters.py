"""HTTP filters of a chain: what each one is, inside the wrappers that may surround it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from authz.doctor.expected import DECISIONS
from authz.doctor.node import Node

_HTTP = "envoy.extensions.filters.http."
_METADATA_INPUT = "envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput"
_METADATA_MATCH = "envoy.extensions.matching.input_matchers.metadata.v3.Metadata"
_GUARDS = ("ext_authz", "ext_proc")


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
        if not matchers or len(matchers) != len(self.inputs()):
            return False
        *pools, last = matchers
        asked = last.at("predicate", "single_predicate")
        here = self.config.path[: len(last.path)] == last.path
        return here and _asks_for_true(asked) and _is_key(asked, "rewrite") and self._are_pools(pools)

    def _are_pools(self, rules: Sequence[Node]) -> bool:
        """Return whether each of the other rules runs an ext_proc of its own where ext_authz chose a pool."""
        asked = [each.at("predicate", "single_predicate") for each in rules]
        return all(_is_key(each, "pool") for each in asked) and len(self.pools) == len(rules)


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
    guards = [each for each in typed.walk() if each.type.startswith(_HTTP) and kind_of(each) in _GUARDS]
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

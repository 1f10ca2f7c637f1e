"""Checks of a single field, which are most of them: where it stands, what it must be, and what to write there."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from authz.doctor.inventory import FilterChain
from authz.doctor.model import Check, CheckCase, Hit, Put, Severity
from authz.doctor.node import Node
from authz.render.yaml_writer import emit

Where = Callable[[CheckCase], Iterable[Node]]
Good = Callable[[Node], bool]


def lines(field: str, value: Any) -> str:
    """Write a field with its value as the YAML to paste; dots in its name are levels."""
    for name in reversed(field.split(".")):
        value = {name: value}
    return emit(value)


def field(
    id_: str, severity: Severity, where: Where, name: str, good: Good, right: Any
) -> Callable[..., Check]:
    """Make a check of one field.

    Args:
        id_: the check's name.
        severity: how bad it is.
        where: gives the messages that have the field.
        name: the field, dotted when it is a field of a field.
        good: tells whether its value will do; called with an absent node, too.
        right: what to write there.

    Returns:
        What makes the check from `what` and `risk`.
    """
    names = name.split(".")

    def find(case: CheckCase) -> Iterator[Hit]:
        for message in where(case):
            node = message.at(*names)
            if not good(node):
                yield Hit(node, said(node), (Put(node.path, right),))

    def make(what: str, risk: str) -> Check:
        return Check(id=id_, severity=severity, what=what, risk=risk, cure=lines(name, right), find=find)

    return make


def said(node: Node) -> str:
    """Say what stands there, when it is short enough to be said."""
    if not node.present:
        return "absent"
    text = str(node.value).lower() if isinstance(node.value, bool) else str(node.value)
    return f"is {text}" if not isinstance(node.value, dict | list) and len(text) <= 60 else ""


def on(node: Node) -> bool:
    """Whether a boolean is true."""
    return node.flag


def off(node: Node) -> bool:
    """Whether a boolean is false or absent."""
    return not node.flag


def present(node: Node) -> bool:
    """Whether anything is there; an empty mapping is nothing."""
    return bool(node.value)


def authz(case: CheckCase) -> Iterator[Node]:
    """Give the ext_authz configuration of each chain."""
    return (chain.authz.config for chain in case.survey.guarded if chain.authz and not chain.authz.unseen)


def rewriters(case: CheckCase) -> Iterator[Node]:
    """Give the ext_proc configuration of each guarded chain."""
    return (
        chain.rewriter.config for chain in case.survey.guarded if chain.rewriter and not chain.rewriter.unseen
    )


def managers(case: CheckCase) -> Iterator[Node]:
    """Give the connection manager of each guarded chain, as far as it is in the file."""
    return (chain.manager for chain in case.survey.guarded if chain.manager.present)


def hosts(chain: FilterChain) -> Iterator[Node]:
    """Give the virtual hosts of a chain."""
    return (host for table in chain.tables for host in table.at("virtual_hosts").items())


def overrides(node: Node, kind: str) -> Iterator[tuple[str, Node, Node]]:
    """Give the per-filter settings of a route, host or table that are of a kind: filter's name, entry, its message.

    An entry may be the message itself or wrapped in a FilterConfig.
    """
    for name, entry in node.at("typed_per_filter_config").members():
        inner = (
            entry.at("config").unpacked()
            if entry.type.endswith("route.v3.FilterConfig")
            else entry.unpacked()
        )
        if entry.type.endswith(kind) or inner.type.endswith(kind):
            yield name, entry, inner


def merged(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Join mappings; a later one wins."""
    return {key: value for part in parts for key, value in part.items()}

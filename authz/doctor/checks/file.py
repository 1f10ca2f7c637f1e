"""Checks of the file as a whole: admin interface, version, and what could not be examined."""

import re
from collections.abc import Iterator, Mapping

from authz.doctor.expected import MINIMUM
from authz.doctor.model import CheckCase, Find, Hit, Put
from authz.doctor.node import Node, camel
from authz.doctor.parts import bootstraps


def _version(node: Node) -> tuple[int, ...]:
    """Return the version of a Node message; empty if it names none."""
    built = node.at("user_agent_build_version", "version")
    if built.present:
        parts = [built.at(name).number or 0 for name in ("major_number", "minor_number", "patch")]
        return tuple(int(part) for part in parts)
    found = re.match(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})", node.at("user_agent_version").text)
    return tuple(map(int, found.groups())) if found else ()


def _old(case: CheckCase) -> Iterator[Hit]:
    for bootstrap in bootstraps(case):
        version = _version(bootstrap.at("node"))
        if version and version < MINIMUM:
            yield Hit(bootstrap.at("node"), f"is {'.'.join(map(str, version))}")


def _unseen(case: CheckCase) -> Iterator[Hit]:
    inventory = case.inventory
    if case.more:
        yield Hit(inventory.root, "the documents after the first, which Envoy does not read")
    yield from (Hit(node, what) for node, what in inventory.unseen)
    if inventory.root.at("documents").present:
        return
    if not any(chain.whole for chain in inventory.chains):
        yield Hit(inventory.root, "listeners and filters")
    elif not inventory.all_clusters and not inventory.root.at("dynamic_resources", "cds_config").present:
        yield Hit(inventory.root, "clusters")


REPEATED = "key-repeated"


def _repeated(case: CheckCase) -> Iterator[Hit]:
    root = case.inventory.root
    for path in case.repeated:
        yield Hit(Node(None, path), f"{path[-1]} appears twice", (Put(path, root.at(*path).value),))
    for node in root.walk():
        names = node.value if isinstance(node.value, dict) else {}
        twins = sorted(name for name in names if camel(name) != name and camel(name) in names)
        yield from (Hit(node.at(name), f"{name} and {camel(name)}") for name in twins)


CHECKS: Mapping[str, Find] = {
    "envoy-old": _old,
    REPEATED: _repeated,
    "not-seen": _unseen,
}

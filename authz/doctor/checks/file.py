"""Checks of the file as a whole: admin interface, version, and what could not be looked at."""

import re
from collections.abc import Iterator

from authz.doctor import expected as pieces
from authz.doctor.checks.connection_manager import is_local
from authz.doctor.model import Check, CheckCase, Hit, Put, Severity
from authz.doctor.node import Node, camel

ERROR, WARNING, _ = Severity

_OLDEST = ".".join(map(str, pieces.MINIMUM))


def _bootstraps(case: CheckCase) -> Iterator[Node]:
    yield case.survey.root
    for dumped in case.survey.root.at("configs").items():
        if dumped.at("bootstrap").present:
            yield dumped.at("bootstrap")


def _admin(case: CheckCase) -> Iterator[Hit]:
    for bootstrap in _bootstraps(case):
        node = bootstrap.at("admin", "address", "socket_address", "address")
        if node.present and not is_local(node.text):
            yield Hit(node, f"at {node.text}", (Put(node.path, "127.0.0.1"),))


def _version(node: Node) -> tuple[int, ...]:
    """Read the version of a Node message; empty where it names none."""
    built = node.at("user_agent_build_version", "version")
    if built.present:
        parts = [built.at(name).number or 0 for name in ("major_number", "minor_number", "patch")]
        return tuple(int(part) for part in parts)
    found = re.match(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})", node.at("user_agent_version").text)
    return tuple(map(int, found.groups())) if found else ()


def _old(case: CheckCase) -> Iterator[Hit]:
    for bootstrap in _bootstraps(case):
        version = _version(bootstrap.at("node"))
        if version and version < pieces.MINIMUM:
            yield Hit(bootstrap.at("node"), f"is {'.'.join(map(str, version))}")


def _unseen(case: CheckCase) -> Iterator[Hit]:
    if case.more:
        yield Hit(case.survey.root, "the documents after the first, which Envoy does not read")
    for part in case.survey.unseen:
        yield Hit(part.node, part.what)
    if not any(True for _ in _what_to_see(case)):
        yield Hit(case.survey.root, "listeners and filters")
    elif not case.survey.all_clusters and not case.survey.root.at("dynamic_resources", "cds_config").present:
        yield Hit(case.survey.root, "clusters")


def _repeated(case: CheckCase) -> Iterator[Hit]:
    for path in case.repeated:
        yield Hit(
            Node(None, path), f"{path[-1]} stands twice", (Put(path, case.survey.root.at(*path).value),)
        )
    for node in case.survey.root.walk():
        names = [name for name, _ in node.members()]
        twins = [name for name in names if camel(name) != name and camel(name) in names]
        yield from (Hit(node.at(name), f"{name} and {camel(name)}") for name in twins)


def _what_to_see(case: CheckCase) -> Iterator[Node]:
    return (chain.manager for chain in case.survey.chains if chain.whole)


CHECKS: tuple[Check, ...] = (
    Check(
        id="admin-public",
        severity=ERROR,
        what="Envoy's admin interface listens to other machines",
        risk="Whoever reaches it reads the configuration, drains listeners and stops Envoy.",
        cure="admin:\n  address: {socket_address: {address: 127.0.0.1, port_value: 9901}}   # or leave admin out\n",
        find=_admin,
    ),
    Check(
        id="envoy-old",
        severity=ERROR,
        what=f"this Envoy is older than {_OLDEST}",
        risk="Its ext_authz has published holes (CVE-2026-50572, CVE-2026-73547), and paths with parameters get around "
        "routes (CVE-2026-73511, CVE-2026-73551, CVE-2026-73553).",
        cure=f"# run Envoy {_OLDEST} or newer\n",
        find=_old,
    ),
    Check(
        id="key-repeated",
        severity=WARNING,
        what="a key stands twice in one mapping",
        risk="Envoy takes the last one, so a setting that can be read in the file is not in force.",
        cure="# keep one of the two\n",
        find=_repeated,
    ),
    Check(
        id="not-seen",
        severity=WARNING,
        what="the file names a part that is not in it",
        risk="Nothing can be said about that part; look at Envoy's /config_dump to see all that is in force.",
        cure="# curl -s http://127.0.0.1:9901/config_dump > dump.json; mcp-authz doctor dump.json\n",
        find=_unseen,
    ),
)

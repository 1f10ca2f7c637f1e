"""What is merged, as plain values: routes, filters, clusters and settings, by the names that the file leaves free.

Rules of this module:

* One setting on the whole route configuration exempts every route from ext_authz, and each MCP route is judged by one
  of its own, which counts before it. So no route of the file is touched.
* On the MCP routes, filters of the file that could change what is judged, or answer in place of the service, are
  switched off. Filters that only count, limit or log go on (`GOES_ON`).
* Settings of the connection manager and of the virtual host that would harm MCP (limits on streams, retries, upgrades)
  are overridden on the MCP routes, and stay for the others.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from authz.core.servers import Server
from authz.core.transport import OVERRIDES
from authz.doctor import expected
from authz.doctor.data import load_data
from authz.doctor.filters import Filter
from authz.doctor.node import Node
from authz.merge.target import MergeTarget
from authz.render.bootstrap import sections
from authz.render.decided import EXT_AUTHZ
from authz.render.model import METADATA_PATH, Chain
from authz.render.yaml_writer import Path, Tree

Tag = dict[str, Any]

OWN_NAME = "mcp-authz"
"""The name of ext_authz where the usual one is taken, of new virtual hosts, and of the internal listener."""
GOES_ON: frozenset[str] = frozenset(load_data("filter_kinds.yaml")["unchanging"])
"""Kinds of filters that leave a request as it is, and so run for MCP, too."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The renderer's parts for a chain.

    Attributes:
        tree: the sections of `--part filters`.
        said: the comments on them by path.
        authz: the name that ext_authz gets in the file.
    """

    tree: dict[str, Any]
    said: Mapping[Path, str]
    authz: str

    @property
    def filters(self) -> list[Tag]:
        """The filters, ext_authz under the name that it gets."""
        listed: list[Tag] = copy.deepcopy(self.tree["http_filters"])
        return [{**each, "name": self.authz} if each["name"] == EXT_AUTHZ else each for each in listed]

    @property
    def clusters(self) -> list[Tag]:
        """The clusters."""
        listed: list[Tag] = self.tree["clusters"]
        return listed

    def endpoints(self, name: str) -> list[Tag]:
        """Return copies of the rendered routes to a server, those for preflights included."""
        cluster = f"mcp-{name}"
        every = (host["routes"] for host in self.tree["virtual_hosts"])
        found = (
            [each for each in routes if each.get("route", {}).get("cluster") == cluster] for routes in every
        )
        return copy.deepcopy(next(routes for routes in found if routes))

    def route(self, name: str) -> Tag:
        """Return a copy of the rendered route of a name."""
        routes = (each for host in self.tree["virtual_hosts"] for each in host["routes"])
        return copy.deepcopy(next(each for each in routes if each["name"] == name))


def rendered(chain: Chain, authz: str) -> Rendered:
    """Render the parts of a chain, for an ext_authz of a name."""
    tree, said = sections(chain)
    return Rendered(tree, said, authz)


def authz_name(filters: Iterable[Filter]) -> str:
    """Return the name for ext_authz: the usual one, unless another filter has it, whose settings would be ours, too."""
    return OWN_NAME if any(each.name == EXT_AUTHZ for each in filters) else EXT_AUTHZ


def switched_off(filters: Iterable[Filter]) -> list[Filter]:
    """Return the filters of a file that do not run on the MCP routes."""
    return [each for each in filters if each.kind not in GOES_ON]


def server_routes(target: MergeTarget, parts: Rendered, server: Server, *, judged: bool = True) -> list[Tag]:
    """Return the routes of a server for a virtual host that has other routes, too: its metadata, and its endpoint.

    Args:
        target: where they go.
        parts: what was rendered.
        server: the server.
        judged: whether ext_authz is in the target's own chain.
    """
    endpoints = parts.endpoints(server.name)
    cors = _without_authz(endpoints[-1])
    metadata = parts.route("metadata") | {
        "name": f"mcp-{server.name}-metadata",
        "match": {"path": metadata_path(server)},
        "typed_per_filter_config": cors | ({parts.authz: expected.UNGUARDED} if judged else {}),
    }
    for endpoint in endpoints:
        guard = {parts.authz: expected.GUARDED} if judged else {}
        endpoint["typed_per_filter_config"] = _without_authz(endpoint) | guard
        endpoint["request_headers_to_remove"] = list(OVERRIDES)
    return [beside_others(target, route) for route in (metadata, *endpoints)]


def metadata_path(server: Server) -> str:
    """Return the path of a server's metadata (RFC 9728 section 3.1)."""
    return METADATA_PATH + (server.path if server.path != "/" else "")


def _without_authz(route: Tag) -> Tag:
    own = route.get("typed_per_filter_config", {})
    return {name: entry for name, entry in own.items() if name != EXT_AUTHZ}


def beside_others(target: MergeTarget, route: Tag) -> Tag:
    """Return a route that keeps what the file says for its other routes away from MCP."""
    manager, action = target.chain.manager, route.get("route", {})
    kinds = [each.at("upgrade_type").text for each in manager.at("upgrade_configs").items()]
    kinds += ["CONNECT"] if manager.at("http2_protocol_options", "allow_connect").flag else []
    if kinds and action:
        action["upgrade_configs"] = [
            {"upgrade_type": kind, "enabled": False} for kind in dict.fromkeys(kinds)
        ]
    if action and manager.at("common_http_protocol_options", "max_stream_duration").present:
        action["max_stream_duration"] = {"max_stream_duration": "0s"}
    if action and any(host.at("retry_policy").present for host in target.table.at("virtual_hosts").items()):
        action["retry_policy"] = {}
    off = {each.name: expected.OFF for each in switched_off(target.chain.filters)}
    return {**route, "typed_per_filter_config": {**route.get("typed_per_filter_config", {}), **off}}


def last_route(target: MergeTarget, parts: Rendered, *, judged: bool = True) -> Tag:
    """Return the route that ends a virtual host of our own."""
    config = {"typed_per_filter_config": {parts.authz: expected.GUARDED}} if judged else {}
    return beside_others(target, {**parts.route("none"), **config})


def local_replies(parts: Rendered, paths: Iterable[str]) -> list[Tag]:
    """Return the mappers of Envoy's own replies, for requests to the servers' paths alone."""
    mappers: list[Tag] = copy.deepcopy(
        parts.tree["http_connection_manager"].get("local_reply_config", {}).get("mappers", [])
    )
    here = {
        "header_filter": {
            "header": {"name": ":path", "string_match": {"safe_regex": {"regex": _paths(paths)}}}
        }
    }
    return [{**each, "filter": {"and_filter": {"filters": [each["filter"], here]}}} for each in mappers]


def _paths(paths: Iterable[str]) -> str:
    plain = "-_~/"
    quoted = (
        "".join(c if c.isalnum() or c in plain else f"\\{c}" for c in path) for path in sorted(set(paths))
    )
    return f"({'|'.join(quoted)})([?].*)?"


def identity_headers() -> Tag:
    """Return what removes the identity headers of clients, and nothing that an API beside MCP may use."""
    strip: Tag = copy.deepcopy(expected.STRIP)
    mutations = strip["typed_config"]["mutations"]
    strip["typed_config"]["mutations"] = [each for each in mutations if each.get("remove") not in OVERRIDES]
    return strip


def manager_settings(manager: Node) -> Iterator[tuple[Node, Tree]]:
    """Yield the settings of a connection manager that change for every route, as they are, with their new value."""
    for name in ("normalize_path", "merge_slashes"):
        if not manager.at(name).flag:
            yield manager.at(name), True
    slashes = manager.at("path_with_escaped_slashes_action")
    if slashes.enum(*_SLASHES) not in _SLASHES[2:]:
        yield slashes, "REJECT_REQUEST"
    underscores = manager.at("common_http_protocol_options", "headers_with_underscores_action")
    if underscores.enum("ALLOW", "REJECT_REQUEST", "DROP_HEADER") != "ALLOW":
        yield underscores, "ALLOW"
    if not manager.at("use_remote_address").present:
        yield manager.at("use_remote_address"), True
    if not manager.at("internal_address_config").present:
        yield manager.at("internal_address_config"), expected.MANAGER["internal_address_config"]


_SLASHES = (
    "IMPLEMENTATION_SPECIFIC_DEFAULT",
    "KEEP_UNCHANGED",
    "REJECT_REQUEST",
    "UNESCAPE_AND_REDIRECT",
    "UNESCAPE_AND_FORWARD",
)

"""The internal listener that MCP gets with `--isolate`, and the way to it.

The outer connection manager accepts the connection and routes by host and path; all that guards MCP is inside. The inner
one takes the client's address and scheme from the outer one, which it is always behind, and keeps its request id, so that
both access logs name the same request.
"""

from typing import Any

from authz.core.servers import Server
from authz.doctor.inventory import Inventory
from authz.merge.parts import OWN_NAME, Tag, metadata_path
from authz.render.comments import comments_on
from authz.render.listener import listener
from authz.render.model import Chain
from authz.render.serialize import plain
from authz.render.yaml_writer import Path

DOOR = "mcp-authz-listener"
"""The cluster that leads to the internal listener."""
_EXT = "type.googleapis.com/envoy.extensions"
_EXTENSION = "envoy.bootstrap.internal_listener"


def inner_listener(chain: Chain) -> tuple[Tag, dict[Path, str]]:
    """Return the rendered listener as an internal one, and the comments on it."""
    tree, said = plain(listener(chain), comments_on(chain.options))
    made: dict[str, Any] = {"name": OWN_NAME, "internal_listener": {}}
    made |= {key: value for key, value in tree.items() if key not in {"name", "address"}}
    (filters,) = made["filter_chains"]
    (network,) = filters["filters"]
    network["typed_config"] |= {"xff_num_trusted_hops": 1, "preserve_external_request_id": True}
    return made, {path: text for path, text in said.items() if path[:1] != ("address",)}


def internal_extension(inventory: Inventory) -> list[Tag]:
    """Return what allows internal listeners, unless the file has it."""
    listed = inventory.root.at("bootstrap_extensions").items()
    if any(each.at("name").text == _EXTENSION for each in listed):
        return []
    typed = {"@type": f"{_EXT}.bootstrap.internal_listener.v3.InternalListener"}
    return [{"name": _EXTENSION, "typed_config": typed}]


def internal_cluster() -> Tag:
    """Return the cluster that leads to the internal listener."""
    endpoint = {"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": OWN_NAME}}}}
    plain_bytes = {"@type": f"{_EXT}.transport_sockets.raw_buffer.v3.RawBuffer"}
    return {
        "name": DOOR,
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": DOOR, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {
            "thresholds": [{"max_connections": 8192, "max_pending_requests": 1024, "max_requests": 8192}]
        },
        "transport_socket": {
            "name": "envoy.transport_sockets.internal_upstream",
            "typed_config": {
                "@type": f"{_EXT}.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
                "transport_socket": {
                    "name": "envoy.transport_sockets.raw_buffer",
                    "typed_config": plain_bytes,
                },
            },
        },
    }


def door(server: Server) -> list[Tag]:
    """Return the outer routes of a server: its metadata, and its endpoint, whose streams only the inner listener ends."""
    paths = {f"mcp-{server.name}-metadata": metadata_path(server), f"mcp-{server.name}": server.path}
    return [
        {
            "name": name,
            "match": {"path": path},
            "route": {"cluster": DOOR, "timeout": "0s", "idle_timeout": "660s"},
        }
        for name, path in paths.items()
    ]

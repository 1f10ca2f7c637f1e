"""Renders a chain as Envoy's configuration: a whole bootstrap, or only the parts for an existing one.

Importing this module costs most of a second (typed messages for all of Envoy's API); the serving path never does.
"""

from collections.abc import Mapping

from envoy_data_plane.envoy.config.bootstrap.v3 import Admin, Bootstrap, BootstrapStaticResources
from envoy_data_plane.envoy.config.core.v3 import Node
from envoy_data_plane.envoy.config.overload.v3 import OverloadManager, ResourceMonitor
from envoy_data_plane.envoy.extensions.resource_monitors.downstream_connections.v3 import (
    DownstreamConnectionsConfig,
)

from authz.render.clusters import clusters, socket
from authz.render.comments import FILTERS, PLAIN, SECTIONS, SHADOW, WHOLE, comments_on
from authz.render.extensions import guards
from authz.render.listener import hardening, listener
from authz.render.model import Chain
from authz.render.options import WatchedSecret
from authz.render.routes import virtual_hosts
from authz.render.serialize import any_of, plain
from authz.render.stats import admin_cluster, stats_listener
from authz.render.yaml_writer import Path, Tree, emit


def message(chain: Chain) -> Bootstrap:
    """Build the bootstrap as a typed message, before it becomes text."""
    admin = Admin(address=socket(chain.admin, default_host="127.0.0.1")) if chain.admin else None
    resources = BootstrapStaticResources(listeners=[listener(chain)], clusters=clusters(chain))
    if chain.options.stats is not None and chain.admin is not None:
        resources.listeners.append(stats_listener(chain.options.stats))
        resources.clusters.append(admin_cluster(chain.admin))
    watched = isinstance(chain.options.clients, WatchedSecret)
    return Bootstrap(
        node=Node(id="mcp", cluster="mcp") if watched else None,
        admin=admin,
        static_resources=resources,
        overload_manager=_overload(chain),
    )


def _overload(chain: Chain) -> OverloadManager:
    open_at_once = DownstreamConnectionsConfig(
        max_active_downstream_connections=chain.options.max_connections
    )
    monitor = ResourceMonitor(
        name="envoy.resource_monitors.global_downstream_max_connections", typed_config=any_of(open_at_once)
    )
    return OverloadManager(resource_monitors=[monitor])


def bootstrap(chain: Chain) -> str:
    """Render a complete, commented bootstrap in YAML; the same chain gives the same bytes."""
    tree, comments = plain(message(chain), comments_on(chain.options))
    return _text(chain, WHOLE if chain.options.clients else WHOLE + PLAIN, tree, comments)


def filters(chain: Chain) -> str:
    """Render only what an operator pastes into an existing chain, as YAML with one section for each place.

    The sections are `http_connection_manager` (settings to merge), `http_filters` (before the router),
    `virtual_hosts` and `clusters`.
    """
    tree, comments = sections(chain)
    return _text(chain, FILTERS, tree, comments | {(name,): text for name, text in SECTIONS.items()})


def sections(chain: Chain) -> tuple[dict[str, Tree], dict[Path, str]]:
    """Return the sections of `filters` as plain values, and the comments on them by path."""
    parts = {
        "http_connection_manager": hardening(chain),
        "http_filters": guards(chain),
        "virtual_hosts": virtual_hosts(chain),
        "clusters": clusters(chain),
    }
    return plain(parts, comments_on(chain.options))


def _text(chain: Chain, head: str, tree: dict[str, Tree], comments: Mapping[Path, str]) -> str:
    head = SHADOW + head if chain.options.shadow else head
    opening = "".join(f"# {line}".rstrip() + "\n" for line in head.splitlines())
    return opening + "\n" + emit(tree, comments)

"""A chain to Envoy's configuration: a whole bootstrap, or only what goes into an existing one.

Importing this costs most of a second (typed messages for all of Envoy's API); the serving path never does.
"""

from collections.abc import Mapping
from typing import Any

from betterproto2 import Message
from envoy_data_plane.envoy.config.bootstrap.v3 import Admin, Bootstrap, BootstrapStaticResources
from envoy_data_plane.envoy.config.overload.v3 import OverloadManager, ResourceMonitor
from envoy_data_plane.envoy.extensions.resource_monitors.downstream_connections.v3 import (
    DownstreamConnectionsConfig,
)

from authz.render.clusters import clusters, socket
from authz.render.comments import FILTERS, PLAIN, SECTIONS, SHADOW, WHOLE, notes
from authz.render.extensions import guards
from authz.render.listener import hardening, listener
from authz.render.model import Chain
from authz.render.routes import virtual_hosts
from authz.render.serialize import any_of, plain
from authz.render.yaml_writer import Path, emit


def message(chain: Chain) -> Bootstrap:
    """The bootstrap as a typed message, before it becomes text."""
    admin = Admin(address=socket(chain.admin, default_host="127.0.0.1")) if chain.admin else None
    resources = BootstrapStaticResources(listeners=[listener(chain)], clusters=clusters(chain))
    return Bootstrap(admin=admin, static_resources=resources, overload_manager=_overload(chain))


def _overload(chain: Chain) -> OverloadManager:
    open_at_once = DownstreamConnectionsConfig(
        max_active_downstream_connections=chain.options.max_connections
    )
    monitor = ResourceMonitor(
        name="envoy.resource_monitors.global_downstream_max_connections", typed_config=any_of(open_at_once)
    )
    return OverloadManager(resource_monitors=[monitor])


def bootstrap(chain: Chain) -> str:
    """A complete, commented bootstrap in YAML; the same chain gives the same bytes."""
    return _text(chain, WHOLE if chain.options.clients else WHOLE + PLAIN, message(chain))


def filters(chain: Chain) -> str:
    """Only what an operator pastes into an existing chain, as YAML with one section for each place.

    The sections are `http_connection_manager` (settings to merge), `http_filters` (before the router),
    `virtual_hosts` and `clusters`.
    """
    sections = {
        "http_connection_manager": hardening(chain),
        "http_filters": guards(chain),
        "virtual_hosts": virtual_hosts(chain),
        "clusters": clusters(chain),
    }
    return _text(chain, FILTERS, sections, {(name,): text for name, text in SECTIONS.items()})


def _text(
    chain: Chain, head: str, value: Mapping[str, Any] | Message, said: Mapping[Path, str] | None = None
) -> str:
    tree, comments = plain(value, notes(chain.options))
    head = SHADOW + head if chain.options.shadow else head
    opening = "".join(f"# {line}".rstrip() + "\n" for line in head.splitlines())
    return opening + "\n" + emit(tree, comments | dict(said or {}))

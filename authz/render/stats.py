"""Envoy's statistics for Prometheus: a listener of its own that answers one path, from the admin interface.

The admin interface can end Envoy and show its configuration, so nobody but Envoy reaches it: a Unix socket, and from
outside exactly one of its paths.
"""

from datetime import timedelta

from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.route.v3 import (
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpFilter,
)

from authz.render.address import Address
from authz.render.clusters import plain_cluster, socket
from authz.render.serialize import any_of

ADMIN = "envoy_admin"
PATH = "/stats/prometheus"


def stats_listener(address: Address) -> Listener:
    """Return the listener that Prometheus asks."""
    only = Route(match=RouteMatch(path=PATH), route=RouteAction(cluster=ADMIN))
    host = VirtualHost(name="stats", domains=["*"], routes=[only])
    manager = HttpConnectionManager(
        stat_prefix="stats",
        route_config=RouteConfiguration(name="stats", virtual_hosts=[host]),
        http_filters=[HttpFilter(name="envoy.filters.http.router", typed_config=any_of(Router()))],
        stream_idle_timeout=timedelta(seconds=30),
        request_headers_timeout=timedelta(seconds=10),
    )
    network = Filter(name="envoy.filters.network.http_connection_manager", typed_config=any_of(manager))
    return Listener(
        name="stats",
        ignore_global_conn_limit=True,
        address=socket(address, default_host="0.0.0.0"),  # noqa: S104  the documented meaning of ":port"
        filter_chains=[FilterChain(filters=[network])],
    )


def admin_cluster(admin: Address) -> Cluster:
    """Return the cluster that reaches the admin interface."""
    return plain_cluster(ADMIN, admin)

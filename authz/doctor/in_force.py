"""Which setting of a filter is in force on a route.

Rules of this module, as Envoy 1.40 has them:

* Of the settings under a filter's name, the one at the closest level counts: route, virtual host, route configuration.
* A FilterConfig with `disabled` switches any filter off. Without it, it holds the filter's own setting.
* A setting of ext_authz under a name that no filter has is read as one of ours: its author believes that it counts.
"""

from authz.doctor.filters import Filter
from authz.doctor.inventory import FilterChain
from authz.doctor.node import Node
from authz.doctor.routes import ChainRoute, Scope, scopes

_PER_ROUTE = "ExtAuthzPerRoute"


def levels(route: ChainRoute) -> list[Node]:
    """Return what a route takes settings of filters from, the closest first."""
    return [route.node, route.host, *route.chain.tables]


def setting(route: ChainRoute, name: str) -> Node:
    """Return the setting that is in force on a route for the filter of a name; absent if there is none."""
    found = (_entry(level, name) for level in levels(route))
    return next((entry for entry in found if entry.present), Node(None))


def _entry(level: Node, name: str) -> Node:
    return next((each for key, each in Scope(node=level).entries() if key == name), Node(None))


def content(entry: Node) -> Node:
    """Return the filter's own message in a setting, which a FilterConfig may wrap."""
    return (entry.at("config") if entry.type.endswith("FilterConfig") else entry).unpacked()


def switched_off(entry: Node) -> bool:
    """Whether a setting switches its filter off."""
    return entry.at("disabled").flag or content(entry).at("disabled").flag


def runs(filter_: Filter, route: ChainRoute) -> bool:
    """Whether a filter runs on a route."""
    entry = setting(route, filter_.name)
    return not (switched_off(entry) if entry.present else filter_.node.at("disabled").flag)


def authz_settings(level: Node, chain: FilterChain) -> list[Node]:
    """Return the settings of our ext_authz at a level."""
    own = chain.authz.name if chain.authz else ""
    others = {each.name for each in chain.filters} - {own}
    named = [(key, entry) for key, entry in Scope(node=level).entries() if key not in others]
    return [
        entry
        for key, entry in named
        if content(entry).type.endswith(_PER_ROUTE) or (key == own and entry.type.endswith("FilterConfig"))
    ]


def exemption(route: ChainRoute) -> Node:
    """Return the setting that exempts a route from ext_authz; absent if none does."""
    weighted = route.node.at("route", "weighted_clusters", "clusters").items()
    for level in weighted:
        for entry in authz_settings(level, route.chain):
            if switched_off(entry):
                return entry
    for level in levels(route):
        found = authz_settings(level, route.chain)
        if found:
            return next((entry for entry in found if switched_off(entry)), Node(None))
    return Node(None)


def exempting(chain: FilterChain) -> list[tuple[Scope, Node]]:
    """Return every setting of a chain that exempts something from ext_authz, with its level."""
    return [
        (scope, entry)
        for scope in scopes([chain])
        for entry in authz_settings(scope.node, chain)
        if switched_off(entry)
    ]

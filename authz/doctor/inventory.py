"""What is in a file: chains (a connection manager with its filters and routes), clusters, and what could not be seen.

Rules of this module:

* Messages are found by their type wherever they are: in a bootstrap, an LDS answer, a `config_dump`, a bare listener.
  The four sections that `mcp-authz envoy --part filters` writes are a chain, too.
* Of a `config_dump` only what is in effect counts: no draining or warming state, and no second copy in its bootstrap.
* What is named but not in the file (RDS, ECDS, CDS, ...) is noted as not seen; no check concludes anything from its absence.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from authz.doctor.filters import Filter, read_filters
from authz.doctor.kubernetes import exempting_entries, pieces
from authz.doctor.node import Node, Path

_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_TCP = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
_ROUTES = "envoy.config.route.v3.RouteConfiguration"
_CLUSTER = "envoy.config.cluster.v3.Cluster"
_DUMPS = ("ListenersConfigDump", "ClustersConfigDump")
_ROOTS = ("static_resources", "dynamic_resources", "admin", "configs", "resources", "filter_chains")
_NOT_IN_EFFECT = frozenset({"draining_state", "warming_state", "error_state", "dynamic_warming_clusters"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterChain:
    """One connection manager.

    Attributes:
        manager: the HttpConnectionManager; absent if the file has only filters or only routes.
        listener: the listener around it; absent if the file is a part.
        filters: its HTTP filters, in order.
        filter_list: the list that contains them.
        tables: route configurations whose routes it uses, as far as they are in the file.
        authz: the ext_authz filter that calls the service.
        rewriter: the ext_proc filter that calls the service.
        partial: whether it is put together from documents, which do not have all of it.
    """

    manager: Node
    listener: Node
    filters: tuple[Filter, ...]
    filter_list: Node
    tables: tuple[Node, ...]
    authz: Filter | None
    rewriter: Filter | None
    partial: bool = False

    @property
    def name(self) -> str:
        """What it is called in a report."""
        if self.partial:
            return "documents"
        named = self.listener.at("name").text or self.manager.at("stat_prefix").text
        return f"listener {named}" if self.listener.present else f"part {named}".strip()

    def of(self, kind: str) -> list[Filter]:
        """Return the filters of a kind."""
        return [each for each in self.filters if each.kind == kind]

    @property
    def unseen(self) -> bool:
        """Whether a filter's configuration is not in the file."""
        return self.partial or any(each.unseen for each in self.filters)

    @property
    def whole(self) -> bool:
        """Whether it has filters, not only routes."""
        return self.manager.present or self.filter_list.present


def _authz(filters: Iterable[Filter]) -> Filter | None:
    """Choose the ext_authz that calls the service: of several, the last one that gets bodies."""
    found = [each for each in filters if each.kind == "ext_authz"]
    return _last([each for each in found if each.config.at("with_request_body").present] or found)


def _rewriter(filters: Iterable[Filter]) -> Filter | None:
    """Choose the ext_proc that calls the service: preferably one that depends on ext_authz's metadata."""
    found = [each for each in filters if each.kind == "ext_proc"]
    return _last([each for each in found if each.reads_decision] or found)


def _last(found: list[Filter]) -> Filter | None:
    return found[-1] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """A file as the checks see it.

    Attributes:
        root: the whole tree.
        chains: every connection manager.
        clusters: clusters by name.
        all_clusters: whether the file would contain every cluster.
        unseen: each place that names a part outside the file, with that part.
        partial: places at which what is absent says nothing.
        exempting: settings of Kubernetes documents that exempt routes from ext_authz.
        tcp_proxies: every TCP proxy; no filter sees the requests that it passes on.
    """

    root: Node
    chains: tuple[FilterChain, ...]
    clusters: Mapping[str, Node]
    all_clusters: bool
    unseen: tuple[tuple[Node, str], ...]
    partial: tuple[Path, ...] = ()
    exempting: tuple[Node, ...] = ()
    tcp_proxies: tuple[Node, ...] = ()

    @property
    def of_envoy(self) -> bool:
        """Whether the file is Envoy's at all."""
        return bool(self.chains or self.clusters or self.partial) or any(
            self.root.at(key).present for key in _ROOTS
        )

    @property
    def guarded(self) -> list[FilterChain]:
        """The chains that have an ext_authz filter, and parts of chains, which may belong to such a chain."""
        return [chain for chain in self.chains if chain.authz or chain.partial or not chain.whole]


def take_inventory(root: Node) -> Inventory:
    """Find everything in a file."""
    if root.at("documents").present:
        return _of_documents(root)
    found = _InventoryBuilder(root, list(_in_effect(root)))
    chains = tuple(found.chains())
    clusters = {node.at("name").text: node for node in found.clusters() if isinstance(node.value, dict)}
    return Inventory(
        root=root,
        chains=chains,
        clusters=clusters,
        all_clusters=found.sees_clusters(),
        unseen=tuple(found.unseen()),
        tcp_proxies=tuple(found.of_type(_TCP)),
    )


def _of_documents(root: Node) -> Inventory:
    """Return what Kubernetes documents say, as chains: one with all filters, and one for each further guard."""
    found = pieces(root)
    filters = [piece.filter for piece in found if piece.filter]
    placed = tuple(replace(each, index=at) for at, each in enumerate(filters))
    managers = [piece.node for piece in found if piece.kind == "manager"] or [Node(None)]
    first = _partial_chain(managers[0], placed)
    guards = (each for each in placed if each.kind in {"ext_authz", "ext_proc"})
    more = (
        [each for each in guards if each is not first.authz and each is not first.rewriter] if placed else []
    )
    chains = [first, *(_partial_chain(each, ()) for each in managers[1:])]
    chains += [_partial_chain(Node(None), (each,)) for each in more]
    clusters = {piece.node.at("name").text: piece.node for piece in found if piece.kind == "cluster"}
    return Inventory(
        root=root,
        chains=tuple(chains) if found else (),
        clusters=clusters,
        all_clusters=False,
        unseen=((root, "what the gateway makes of these documents"),),
        partial=tuple(piece.node.path for piece in found if piece.partial),
        exempting=tuple(
            entry for piece in found if piece.kind == "route" for entry in exempting_entries(piece)
        ),
    )


def _partial_chain(manager: Node, filters: tuple[Filter, ...]) -> FilterChain:
    return FilterChain(
        manager=manager,
        listener=Node(None),
        filters=filters,
        filter_list=Node(None),
        tables=(),
        authz=_authz(filters),
        rewriter=_rewriter(filters),
        partial=True,
    )


def _in_effect(root: Node) -> Iterator[Node]:
    """Yield the nodes of the tree, except what a `config_dump` repeats or no longer uses."""
    dumped = any(each.type.endswith(_DUMPS) for each in root.at("configs").items())
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        inner = [
            child
            for key, child in node.members()
            if key not in _NOT_IN_EFFECT and not (dumped and _is_copy(child))
        ]
        waiting += reversed(inner or list(node.items()))


def _is_copy(node: Node) -> bool:
    """Whether this part of a `config_dump` appears again where it is used."""
    return node.path[-2:] == ("bootstrap", "static_resources") or node.key == "static_route_configs"


@dataclass(slots=True)
class _InventoryBuilder:
    """Finds chains and clusters among the nodes in effect, and notes what is missing on the way."""

    root: Node
    nodes: list[Node]
    typed: dict[str, list[Node]] = field(default_factory=dict)
    used: set[tuple[str | int, ...]] = field(default_factory=set)
    missing: list[tuple[Node, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for node in self.nodes:
            if isinstance(node.value, dict) and node.type:
                self.typed.setdefault(node.type, []).append(node.unpacked())

    def of_type(self, name: str) -> list[Node]:
        return self.typed.get(name, [])

    def chains(self) -> Iterator[FilterChain]:
        for manager in self.of_type(_MANAGER):
            yield self._chain(manager, self._listener(manager), manager.at("http_filters"))
        yield from self._part()
        for table in self._tables():
            if table.path not in self.used:
                yield self._chain(Node(None, table.path), Node(None), Node(None, table.path), [table])

    def _part(self) -> Iterator[FilterChain]:
        """Yield the chain of a file that is not a whole message: a connection manager, or the renderer's sections."""
        manager, filters = self.root.at("http_connection_manager"), self.root.at("http_filters")
        if self.root.type or not (manager.present or filters.present):
            return
        if self.root.at("route_config").present or self.root.at("rds").present:
            yield self._chain(self.root, Node(None), filters)
        else:
            yield self._chain(manager, Node(None), filters, self._tables()[-1:])

    def _chain(
        self, manager: Node, listener: Node, filters: Node, tables: list[Node] | None = None
    ) -> FilterChain:
        tables = self._own_tables(manager) if tables is None else tables
        for table in tables:
            self.used.add(table.path)
            self._unseen_routes(table)
        read = tuple(read_filters(filters, self.of_type("envoy.config.core.v3.TypedExtensionConfig")))
        ecds = [each for each in read if each.unseen]
        self.missing += [(each.node, f"the content of filter {each.name} (ECDS)") for each in ecds]
        return FilterChain(
            manager=manager,
            listener=listener,
            filters=read,
            filter_list=filters,
            tables=tuple(tables),
            authz=_authz(read),
            rewriter=_rewriter(read),
        )

    def _listener(self, manager: Node) -> Node:
        """Return the innermost listener around a connection manager."""
        around, node = Node(None), self.root
        for step in manager.path:
            node = Node(node.value[step], (*node.path, step))
            if node.at("filter_chains").present or node.at("default_filter_chain").present:
                around = node
        return around

    def _tables(self) -> list[Node]:
        own = [self.root] if self.root.at("virtual_hosts").present else []
        return [*self.of_type(_ROUTES), *own]

    def _own_tables(self, manager: Node) -> list[Node]:
        if manager.at("route_config").present:
            return [manager.at("route_config")]
        name = manager.at("rds", "route_config_name").text
        found = [node for node in self._tables() if name and node.at("name").text == name]
        if not found:
            what = f"route configuration {name} (RDS)" if name else "the routes"
            self.missing.append((manager.at("rds" if name else "scoped_routes"), what))
        return found[:1]

    def _unseen_routes(self, table: Node) -> None:
        if table.at("vhds").present:
            self.missing.append((table.at("vhds"), "virtual hosts (VHDS)"))
        trees = [host.at("matcher") for host in table.at("virtual_hosts").items()]
        self.missing += [(tree, "the routes of a matcher tree") for tree in trees if tree.present]

    def clusters(self) -> Iterator[Node]:
        yield from self.of_type(_CLUSTER)
        for path in (("static_resources", "clusters"), ("clusters",)):
            yield from self.root.at(*path).items()
        for node in self.nodes:
            if node.path[-1:] == ("static_resources",) and len(node.path) > 1:
                yield from node.at("clusters").items()

    def sees_clusters(self) -> bool:
        if self.root.at("configs").present:
            return any(node.type.endswith("ClustersConfigDump") for node in self.nodes)
        own = self.root.at("clusters").present or self.root.at("static_resources").present
        return own and not self.root.at("dynamic_resources", "cds_config").present

    def unseen(self) -> Iterator[tuple[Node, str]]:
        yield from self.missing
        dynamic = self.root.at("dynamic_resources")
        for key, what in (("lds_config", "listeners (LDS)"), ("cds_config", "clusters (CDS)")):
            if dynamic.at(key).present:
                yield dynamic.at(key), what

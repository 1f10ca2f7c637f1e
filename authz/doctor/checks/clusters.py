"""Checks of the clusters that reach the service."""

from collections.abc import Iterator
from dataclasses import dataclass

from authz.doctor import expected as pieces
from authz.doctor.checks.connection_manager import is_local
from authz.doctor.field_checks import lines, overrides, said
from authz.doctor.model import Check, CheckCase, Edit, Hit, Put, Severity
from authz.doctor.node import Node
from authz.doctor.routes import copied_cluster, scopes
from authz.render.yaml_writer import emit

ERROR, WARNING, HINT = Severity


@dataclass(frozen=True, slots=True)
class _Use:
    """A filter's reference to a cluster."""

    node: Node
    user: str

    @property
    def name(self) -> str:
        return self.node.text


def _uses(case: CheckCase) -> Iterator[_Use]:
    for chain in case.survey.guarded:
        for user, found in (("ext_authz", chain.authz), ("ext_proc", chain.rewriter)):
            if found and found.config.at("grpc_service", "envoy_grpc").present:
                yield _Use(found.config.at("grpc_service", "envoy_grpc", "cluster_name"), user)
    for _, scope in scopes(case.survey.guarded):
        for kind, field, user in _OVERRIDES:
            for _, _, message in overrides(scope, kind):
                node = message.at(field, "grpc_service", "envoy_grpc", "cluster_name")
                if node.present:
                    yield _Use(node, user)


_OVERRIDES = (
    ("ExtAuthzPerRoute", "check_settings", "ext_authz"),
    ("ExtProcPerRoute", "overrides", "ext_proc"),
)


def _unknown(case: CheckCase) -> Iterator[Hit]:
    for use in _uses(case):
        if case.survey.all_clusters and use.name not in case.survey.clusters:
            yield Hit(use.node, f"{use.user} asks {use.name or 'no cluster'}")


def _clusters(case: CheckCase, user: str = "") -> Iterator[Node]:
    """Give the clusters that reach the service, each once."""
    seen: set[str] = set()
    for use in _uses(case):
        if use.name in case.survey.clusters and use.name not in seen and user in {"", use.user}:
            seen.add(use.name)
            yield case.survey.clusters[use.name]


def _shared(case: CheckCase) -> Iterator[Hit]:
    asked = {use.name for use in _uses(case) if use.user == "ext_authz"}
    for use in _uses(case):
        if use.user == "ext_proc" and use.name in asked:
            yield Hit(use.node, f"both use {use.name}", _own_cluster(case, use))


def _own_cluster(case: CheckCase, use: _Use) -> tuple[Edit, ...]:
    """Give what points ext_proc at a cluster of its own, a copy of the shared one where there is none yet."""
    name = "rewriter" if use.name != "rewriter" else "rewriter-lists"
    there = name in case.survey.clusters
    copied = copied_cluster(case.survey, use.name, name)
    return (Put(use.node.path, name), *copied) if there or copied else ()


def _no_http2(case: CheckCase) -> Iterator[Hit]:
    for cluster in _clusters(case):
        options = cluster.at("typed_extension_protocol_options", pieces.HTTP2_KEY)
        spoken = any(node.key == "http2_protocol_options" for node in options.walk())
        if not spoken and not cluster.at("http2_protocol_options").present:
            yield Hit(cluster, f"cluster {cluster.at('name').text}", (Put(options.path, dict(pieces.HTTP2)),))


def _no_health(case: CheckCase) -> Iterator[Hit]:
    for cluster in _clusters(case, "ext_authz"):
        node = cluster.at("health_checks")
        if not any(True for _ in node.items()):
            yield Hit(
                node, f"cluster {cluster.at('name').text}", (Put(node.path, [dict(pieces.HEALTH_CHECK)]),)
            )


def _panic(case: CheckCase) -> Iterator[Hit]:
    for cluster in _clusters(case, "ext_authz"):
        threshold = cluster.at("common_lb_config", "healthy_panic_threshold")
        node = threshold.at("value")
        if threshold.value is None or (node.number or 0) != 0:
            detail = f"{said(node)} in cluster {cluster.at('name').text}; absent is 50"
            yield Hit(threshold, detail, (Put(threshold.path, {"value": 0}),))


def _plain_grpc(case: CheckCase) -> Iterator[Hit]:
    for cluster in _clusters(case):
        addresses = [node.at("address").text for node in cluster.walk() if node.key == "socket_address"]
        away = [address for address in addresses if address and not is_local(address)]
        if away and not cluster.at("transport_socket").present:
            yield Hit(cluster, f"cluster {cluster.at('name').text} at {', '.join(away)}")


CHECKS: tuple[Check, ...] = (
    Check(
        id="cluster-unknown",
        severity=ERROR,
        what="ext_authz or ext_proc asks a cluster that does not exist",
        risk="Every request is refused, or passes where failure_mode_allow is set; Envoy's own validation says nothing.",
        cure="grpc_service:\n  envoy_grpc: {cluster_name: authz}   # the name of a cluster in this file\n",
        find=_unknown,
    ),
    Check(
        id="cluster-shared",
        severity=WARNING,
        what="ext_authz and ext_proc share one cluster",
        risk="Each open event stream of a list takes room from the Checks of all requests, until those get 503.",
        cure="grpc_service:\n  envoy_grpc: {cluster_name: rewriter}   # a copy of the cluster under its own name\n",
        find=_shared,
    ),
    Check(
        id="cluster-http2",
        severity=ERROR,
        what="the service's cluster does not speak HTTP/2",
        risk="gRPC does not work without it: every request is refused.",
        cure=emit({"typed_extension_protocol_options": {pieces.HTTP2_KEY: dict(pieces.HTTP2)}}),
        find=_no_http2,
    ),
    Check(
        id="cluster-health",
        severity=WARNING,
        what="the service is not health-checked",
        risk="Envoy asks a worker that is starting, draining or dead, and clients get 503 that another would have "
        "answered.",
        cure=emit({"health_checks": [dict(pieces.HEALTH_CHECK)]}),
        find=_no_health,
    ),
    Check(
        id="cluster-panic",
        severity=WARNING,
        what="with few healthy workers Envoy asks the unhealthy, too",
        risk="Requests wait for workers that do not answer, instead of getting 503 at once.",
        cure=lines("common_lb_config.healthy_panic_threshold", {"value": 0}),
        find=_panic,
    ),
    Check(
        id="cluster-plain",
        severity=HINT,
        what="the service is asked over the network without TLS",
        risk="Tokens can be read on the way from Envoy to the service.",
        cure="# use a Unix socket, or give the cluster a transport_socket\n",
        find=_plain_grpc,
    ),
)

"""Checks of the clusters that reach the service."""

from collections.abc import Iterator, Mapping

from authz.doctor import expected
from authz.doctor.field_checks import is_local
from authz.doctor.inventory import Inventory
from authz.doctor.model import CheckCase, Edit, Find, Hit, Insert, Put
from authz.doctor.node import Node
from authz.doctor.parts import cluster_name, cluster_uses, clusters


def _unknown(case: CheckCase) -> Iterator[Hit]:
    for user, node in cluster_uses(case):
        if case.inventory.all_clusters and node.text not in case.inventory.clusters:
            yield Hit(node, f"{user} asks {node.text or 'no cluster'}")


def _shared(case: CheckCase) -> Iterator[Hit]:
    asked = {node.text for user, node in cluster_uses(case) if user == "ext_authz"}
    for user, node in cluster_uses(case):
        if user == "ext_proc" and node.text in asked:
            yield Hit(node, f"both use {node.text}", _own_cluster(case.inventory, node))


def _own_cluster(inventory: Inventory, used: Node) -> tuple[Edit, ...]:
    """Return what points ext_proc at a cluster of its own, a copy of the shared one if there is none yet."""
    name = "rewriter" if used.text != "rewriter" else "rewriter-lists"
    copied = copied_cluster(inventory, used.text, name)
    return (Put(used.path, name), *copied) if copied or name in inventory.clusters else ()


def copied_cluster(inventory: Inventory, name: str, new: str) -> tuple[Insert, ...]:
    """Return what adds a copy of a cluster under a new name; nothing if the name is taken or there is no original."""
    cluster = inventory.clusters.get(name)
    if cluster is None or new in inventory.clusters or not isinstance(cluster.path[-1], int):
        return ()
    copy = {**cluster.value, "name": new}
    if cluster.at("load_assignment", "cluster_name").present:
        assignment = cluster.at("load_assignment")
        copy[assignment.path[-1]] = {**assignment.value, assignment.at("cluster_name").path[-1]: new}
    return (Insert(cluster.path[:-1], cluster.path[-1] + 1, copy),)


def _no_http2(case: CheckCase) -> Iterator[Hit]:
    for cluster in clusters(case, "ext_authz", "ext_proc"):
        options = cluster.at("typed_extension_protocol_options", expected.HTTP2_KEY)
        spoken = any(node.key == "http2_protocol_options" for node in options.walk())
        if not spoken and not cluster.at("http2_protocol_options").present:
            right = expected.CLUSTER["typed_extension_protocol_options"][expected.HTTP2_KEY]
            yield Hit(cluster, cluster_name(cluster), (Put(options.path, right),))


def _plain_grpc(case: CheckCase) -> Iterator[Hit]:
    for cluster in clusters(case, "ext_authz", "ext_proc"):
        addresses = [node.at("address").text for node in cluster.walk() if node.key == "socket_address"]
        away = [address for address in addresses if address and not is_local(address)]
        if away and not cluster.at("transport_socket").present:
            yield Hit(cluster, f"{cluster_name(cluster)} at {', '.join(away)}")


CHECKS: Mapping[str, Find] = {
    "cluster-unknown": _unknown,
    "cluster-shared": _shared,
    "cluster-http2": _no_http2,
    "cluster-plain": _plain_grpc,
}

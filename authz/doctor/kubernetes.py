"""Kubernetes documents that change Envoy's configuration, read as the pieces of a chain that they say something about.

Rules of this module:

* EnvoyFilter (Istio) and EnvoyPatchPolicy (Envoy Gateway) hold Envoy's own messages. A patch that merges, or that sets one
  field, says nothing about the other fields: it is partial, and what is absent there is no finding.
* SecurityPolicy and EnvoyExtensionPolicy (Envoy Gateway) have words of their own, which become the fields that Envoy
  Gateway makes of them. Where a patch replaces the whole filter, the patch counts for what the policy does not say.
* Which filter stands before which follows from where it is inserted. Routes are not in these documents.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from authz.doctor.filters import Filter, read_filters
from authz.doctor.node import Node, Path

_HTTP = "type.googleapis.com/envoy.extensions.filters.http."
_AUTHZ, _PROC = f"{_HTTP}ext_authz.v3.ExtAuthz", f"{_HTTP}ext_proc.v3.ExternalProcessor"
_MANAGER = "HttpConnectionManager"
_ROUTES = frozenset({"HTTP_ROUTE", "VIRTUAL_HOST", "ROUTE_CONFIGURATION"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One thing that a document says.

    Attributes:
        node: the message.
        kind: `filter`, `manager`, `cluster` or `route`.
        place: for a filter, whether it comes before ext_authz (-1), is one of the guards (0), or comes after them (1).
        partial: whether fields that are absent say nothing.
        filter: the filter.
    """

    node: Node
    kind: str
    place: int = 0
    partial: bool = False
    filter: Filter | None = None


def documents(root: Node) -> Iterator[Node]:
    """Yield every Kubernetes object of a file, those of a List included."""
    for document in root.at("documents").items():
        listed = document.at("kind").text.endswith("List") and document.at("items").present
        yield from document.at("items").items() if listed else (document,)


def pieces(root: Node) -> list[Piece]:
    """Return what the documents of a file say."""
    found = [piece for each in documents(root) for piece in _READ.get(each.at("kind").text, _nothing)(each)]
    whole = any(piece.filter and piece.filter.kind == "ext_authz" and not piece.partial for piece in found)
    found = found if whole else [_alone(piece) for piece in found]
    return sorted(found, key=lambda piece: piece.place)


def _alone(piece: Piece) -> Piece:
    """Return an ext_authz without a patch that replaces it, with what Envoy Gateway can not say: that bodies are bytes."""
    if piece.filter is None or piece.filter.kind != "ext_authz" or piece.node.path[-1:] != ("extAuth",):
        return piece
    body = piece.node.at("with_request_body").value
    bytes_ = {"with_request_body": {**body, "pack_as_bytes": False} if body else {}}
    return _translated({**piece.node.value, **bytes_}, piece.node)


def _nothing(_: Node) -> Iterator[Piece]:
    return iter(())


def _filter(node: Node, at: Path, *, place: int, partial: bool, typed: str = "typed_config") -> Piece:
    """Return an element of `http_filters`.

    Args:
        node: the element, at any path.
        at: the path at which it is in the file.
        place: before or after ext_authz, unless it is one of the guards.
        partial: whether what is absent says nothing.
        typed: the key under which the file has its `typed_config`.
    """
    (read,) = read_filters(Node([node.value]), ())

    def put(each: Node) -> Node:
        below = (typed, *each.path[2:]) if each.path[1:2] == ("typed_config",) else each.path[1:]
        return Node(each.value, (*at, *below))

    filter_ = replace(
        read,
        node=put(read.node),
        typed=put(read.typed),
        config=put(read.config),
        wrapper=put(read.wrapper),
        pools=tuple(map(put, read.pools)),
    )
    guard = 0 if read.kind in {"ext_authz", "ext_proc"} else place
    return Piece(node=filter_.config, kind="filter", place=guard, partial=partial, filter=filter_)


def _envoy_filter(document: Node) -> Iterator[Piece]:
    for patch in document.at("spec", "configPatches").items():
        target, value = patch.at("applyTo").text, patch.at("patch", "value")
        operation = patch.at("patch", "operation").text
        partial = operation == "MERGE"
        if target == "HTTP_FILTER" and operation != "REMOVE":
            anchor = [node.at("name").text for node in patch.at("match").walk() if node.key == "sub_filter"]
            yield _filter(value, value.path, place=_place(operation, "".join(anchor)), partial=partial)
        elif target == "NETWORK_FILTER" and value.at("typed_config").type.endswith(_MANAGER):
            yield Piece(node=value.at("typed_config"), kind="manager", partial=partial)
        elif target == "CLUSTER" and value.present:
            yield Piece(node=value, kind="cluster", partial=partial)
        elif target in _ROUTES:
            yield Piece(node=value, kind="route", partial=True)


def _place(operation: str, anchor: str) -> int:
    after = anchor.endswith(".router") or (anchor.endswith("ext_authz") and operation == "INSERT_AFTER")
    return 1 if after and operation != "INSERT_FIRST" else -1


def _patch_policy(document: Node) -> Iterator[Piece]:
    for patch in document.at("spec", "jsonPatches").items():
        operation = patch.at("operation")
        value, path = operation.at("value"), operation.at("path").text.strip("/").split("/")
        found = f"{operation.at('jsonPath').text} {operation.at('path').text}"
        if not value.present:
            continue
        if path[-1] == "typed_config" and "http_filters" in found:
            whole = Node({"name": found, "typed_config": value.value})
            yield _filter(whole, operation.path, place=1, partial=False, typed=str(value.path[-1]))
        else:
            yield from _field(found, path, value)


def _field(found: str, path: list[str], value: Node) -> Iterator[Piece]:
    """Yield the message of which a patch sets one field."""
    names = path[path.index("typed_config") + 1 :] if "typed_config" in path else path
    message: Any = value.value
    for name in reversed(names):
        message = {name: message}
    if "ext_authz" in found:
        yield _translated({"@type": _AUTHZ, **message}, value)
    elif "ext_proc" in found:
        yield _translated({"@type": _PROC, **message}, value)
    elif "http_connection_manager" in found and "http_filters" not in found:
        yield Piece(node=Node(message, value.path), kind="manager", partial=True)
    elif "typed_per_filter_config" in found:
        yield Piece(node=Node(message, value.path), kind="route", partial=True)


def _translated(message: dict[str, Any], at: Node) -> Piece:
    """Return a guard of which a document says some fields."""
    kind = "ext_authz" if message["@type"] == _AUTHZ else "ext_proc"
    return _named(kind, kind, Node(message, at.path), at)


def _named(name: str, kind: str, typed: Node, at: Node, place: int = 0) -> Piece:
    node, absent = Node(None, at.path), Node(None, at.path)
    filter_ = Filter(node=node, index=0, name=name, kind=kind, typed=typed, config=typed, wrapper=absent)
    return Piece(node=typed, kind="filter", place=place, partial=True, filter=filter_)


def _given(node: Node, fields: Mapping[str, Callable[[Any], dict[str, Any]]]) -> dict[str, Any]:
    """Return Envoy's fields for those of a policy that are there."""
    message: dict[str, Any] = {}
    for name, fields_of in fields.items():
        if node.at(name).present:
            message |= fields_of(node.at(name).value)
    return message


def _security_policy(document: Node) -> Iterator[Piece]:
    node = document.at("spec", "extAuth")
    if isinstance(node.value, dict):
        yield _translated({"@type": _AUTHZ, **_given(node, _EXT_AUTH)}, node)
    for name, kind in (("oidc", "oauth2.v3.OAuth2"), ("basicAuth", "basic_auth.v3.BasicAuth")):
        if document.at("spec", name).present:
            yield _other(name, kind, document.at("spec", name), -1)


def _extension_policy(document: Node) -> Iterator[Piece]:
    for node in document.at("spec", "extProc").items():
        yield _translated({"@type": _PROC, **_given(node, _EXT_PROC)}, node)
    for name, kind in (("lua", "lua.v3.Lua"), ("wasm", "wasm.v3.Wasm")):
        for node in document.at("spec", name).items():
            yield _other(name, kind, node, 1)


def _other(name: str, kind: str, node: Node, place: int) -> Piece:
    """Return a filter that Envoy Gateway adds for a part of a policy."""
    piece = _named(name, kind.partition(".")[0], Node({"@type": _HTTP + kind}, node.path), node, place)
    return piece if piece.filter is None else replace(piece, filter=replace(piece.filter, node=node))


def _mode(value: Any) -> dict[str, Any]:
    response = value.get("response") if isinstance(value, dict) else None
    if not isinstance(response, dict):
        return {"processing_mode": {"response_header_mode": "SKIP"}}
    body = _BODIES.get(str(response.get("body")), "NONE")
    asked = {"request_header_mode": "SEND"} if "request" in value else {"request_header_mode": "SKIP"}
    return {"processing_mode": {**asked, "response_header_mode": "SEND", "response_body_mode": body}}


_BODIES = {
    "Streamed": "STREAMED",
    "Buffered": "BUFFERED",
    "BufferedPartial": "BUFFERED_PARTIAL",
    "FullDuplexStreamed": "FULL_DUPLEX_STREAMED",
}
_EXT_AUTH: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "failOpen": lambda value: {"failure_mode_allow": value},
    "statusOnError": lambda value: {"status_on_error": {"code": value}},
    "recomputeRoute": lambda value: {"clear_route_cache": value},
    "http": lambda value: {"http_service": value},
    "timeout": lambda value: {"grpc_service": {"timeout": _seconds(value)}},
    "bodyToExtAuth": lambda value: {
        "with_request_body": {
            "max_request_bytes": value.get("maxRequestBytes") if isinstance(value, dict) else 0
        }
    },
    "headersToExtAuth": lambda value: {
        "allowed_headers": {
            "patterns": [{"exact": str(name).lower()} for name in (value if isinstance(value, list) else [])]
        }
    },
}
_EXT_PROC: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "failOpen": lambda value: {"failure_mode_allow": value},
    "statusOnError": lambda value: {"status_on_error": {"code": value}},
    "processingMode": _mode,
    "metadata": lambda value: {
        "metadata_options": {
            "forwarding_namespaces": {
                "untyped": value.get("accessibleNamespaces") if isinstance(value, dict) else []
            }
        }
    },
}


def _seconds(value: Any) -> str:
    """Return a duration of Kubernetes as Envoy writes it: 600ms is 0.6s."""
    text = str(value)
    return f"{float(text[:-2]) / 1000:g}s" if text.endswith("ms") and text[:-2].isdigit() else text


_READ: Mapping[str, Callable[[Node], Iterator[Piece]]] = {
    "EnvoyFilter": _envoy_filter,
    "EnvoyPatchPolicy": _patch_policy,
    "SecurityPolicy": _security_policy,
    "EnvoyExtensionPolicy": _extension_policy,
}


def exempting_entries(piece: Piece) -> Iterator[Node]:
    """Yield the settings by which a patch of routes exempts them from ext_authz."""
    for node in piece.node.walk():
        if node.key != "typed_per_filter_config":
            continue
        for name, entry in node.members():
            mine = "ext_authz" in name or entry.type.endswith("ExtAuthzPerRoute")
            if mine and any(each.key == "disabled" and each.flag for each in entry.walk()):
                yield entry

"""Checks of the connection manager: what is done to a request before the first filter sees it."""

from collections.abc import Iterator

from authz.doctor import expected as pieces
from authz.doctor.field_checks import field, lines, managers, on, present
from authz.doctor.model import Check, CheckCase, Hit, Insert, Put, Severity
from authz.doctor.node import Node
from authz.render.yaml_writer import emit

ERROR, WARNING, HINT = Severity


def _refuses_slashes(node: Node) -> bool:
    names = (
        "IMPLEMENTATION_SPECIFIC_DEFAULT",
        "KEEP_UNCHANGED",
        "REJECT_REQUEST",
        "UNESCAPE_AND_REDIRECT",
        "UNESCAPE_AND_FORWARD",
    )
    return node.enum(*names) in {"REJECT_REQUEST", "UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD"}


def _refuses_underscores(node: Node) -> bool:
    return node.enum("ALLOW", "REJECT_REQUEST", "DROP_HEADER") in {"REJECT_REQUEST", "DROP_HEADER"}


def _identity(case: CheckCase) -> Iterator[Hit]:
    for manager in managers(case):
        early = manager.at("early_header_mutation_extensions")
        removed = {node.text.lower() for node in early.walk() if node.key == "remove"}
        missing = [name for name in pieces.IDENTITY_HEADERS if name not in removed]
        if missing:
            strip = {**pieces.STRIP, "typed_config": _strip(missing)}
            at = len(early.value) if isinstance(early.value, list) else 0
            yield Hit(early, f"{', '.join(missing)} not removed", (Insert(early.path, at, strip),))


def _strip(names: list[str]) -> dict[str, object]:
    return {**pieces.STRIP["typed_config"], "mutations": [{"remove": name} for name in names]}


def _claims_logged(case: CheckCase) -> Iterator[Hit]:
    for chain in case.survey.guarded:
        for log in (chain.manager.at("access_log"), chain.listener.at("access_log")):
            for node in log.walk():
                if f"DYNAMIC_METADATA({pieces.DECISIONS})" in node.text:
                    yield Hit(node)


def _plain_http(case: CheckCase) -> Iterator[Hit]:
    for chain in case.survey.guarded:
        address = chain.listener.at("address", "socket_address", "address").text
        secure = any(node.key == "transport_socket" for node in chain.listener.walk())
        if address and not is_local(address) and not secure:
            yield Hit(chain.listener.at("address"), f"{chain.name} at {address}")


def is_local(address: str) -> bool:
    """Tell whether an address is of this machine alone."""
    return address.startswith("127.") or address in {"::1", "localhost"}


def _slow(case: CheckCase) -> Iterator[Hit]:
    for manager in managers(case):
        for name, right in (("request_timeout", "30s"), ("request_headers_timeout", "10s")):
            if not manager.at(name).seconds:
                yield Hit(manager.at(name), f"{name} is not set", (Put(manager.at(name).path, right),))


CHECKS: tuple[Check, ...] = (
    Check(
        id="identity-headers",
        severity=WARNING,
        what="a client's own identity headers are not removed at the door",
        risk="Where ext_authz does not run or does not remove them, the MCP server takes a client's word for who it is.",
        cure=emit({"early_header_mutation_extensions": [dict(pieces.STRIP)]}),
        find=_identity,
    ),
    field("path-normalisation", ERROR, managers, "normalize_path", on, True)(
        "paths are not normalised",
        "/x/../mcp is one path to the route and another to the server, so what is judged is not what is served.",
    ),
    field("path-slashes", WARNING, managers, "merge_slashes", on, True)(
        "repeated slashes are not merged",
        "//mcp is one path to the route and another to the server.",
    ),
    field(
        "path-escaped-slashes",
        WARNING,
        managers,
        "path_with_escaped_slashes_action",
        _refuses_slashes,
        "REJECT_REQUEST",
    )(
        "escaped slashes in paths are kept",
        "/x%2f..%2fmcp is one path to the route and another to a server that unescapes it.",
    ),
    field(
        "header-underscores",
        WARNING,
        managers,
        "common_http_protocol_options.headers_with_underscores_action",
        _refuses_underscores,
        "REJECT_REQUEST",
    )(
        "header names with underscores are let through",
        "Many servers read x_mcp_subject as x-mcp-subject.",
    ),
    field("client-address", WARNING, managers, "use_remote_address", on, True)(
        "the peer's address is not taken for the client's",
        "Envoy believes x-envoy-* and x-forwarded-for headers that clients send; leave it so only behind an Envoy "
        "that drops them.",
    ),
    field(
        "internal-clients",
        WARNING,
        managers,
        "internal_address_config",
        present,
        dict(pieces.NOBODY_INTERNAL),
    )(
        "clients in private networks count as internal",
        "Envoy believes their x-envoy-* headers, with which they change timeouts and retries.",
    ),
    Check(
        id="log-claims",
        severity=WARNING,
        what="the access log holds the whole metadata of ext_authz",
        risk="Claims of the callers' tokens end up in the log.",
        cure='sub: "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:sub)%"   # single keys, one by one\n',
        find=_claims_logged,
    ),
    Check(
        id="slow-requests",
        severity=HINT,
        what="nothing limits how slowly a request may come in",
        risk="Slow clients hold connections and buffers.",
        cure=lines("request_timeout", "30s") + lines("request_headers_timeout", "10s"),
        find=_slow,
    ),
    Check(
        id="plain-http",
        severity=HINT,
        what="the listener speaks plain HTTP to other machines",
        risk="Tokens can be read on the way, unless TLS ends in front of Envoy.",
        cure="# give the filter chain a transport_socket, or end TLS in front\n",
        find=_plain_http,
    ),
)

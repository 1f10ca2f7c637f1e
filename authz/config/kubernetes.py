"""A stream of Kubernetes documents -> settings: which servers there are, and which policies speak about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authz.config.agentgateway import KIND, Reading, read_policy
from authz.config.build import digest, named_tools, normal_origins
from authz.config.document import Document
from authz.config.native import Limits as LimitsModel
from authz.config.native import Listen
from authz.config.problems import ConfigError, Problem
from authz.config.settings import Cors, Settings
from authz.core.message import Limits
from authz.core.policy import Policy
from authz.core.server import ANY, Directory, Server

DEFAULT_PATH = "/mcp"
_SEEN = frozenset({KIND, "AgentgatewayBackend", "HTTPRoute", "Gateway"})


def is_kubernetes(document: Document) -> bool:
    """Tell whether a document is a Kubernetes object."""
    value = document.value
    return isinstance(value, dict) and "apiVersion" in value and "kind" in value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """One MCP server behind the gateway, as backend and route describe it."""

    backend: str
    name: str
    path: str = DEFAULT_PATH
    hosts: frozenset[str] = frozenset({ANY})
    upstream: str = ""


def build_kubernetes(
    documents: Sequence[Document], text: str, *, resource: str, jwks: Mapping[str, str]
) -> Settings:
    """Build settings from documents of which at least one is an AgentgatewayPolicy.

    Args:
        documents: the stream.
        text: its text, which gives the policy its digest.
        resource: the public URL of the server, empty to follow the request's host.
        jwks: `iss` to a key set URL that replaces the document's.

    Raises:
        ConfigError: a document says something that cannot be honoured.
    """
    reading = Reading()
    policies = [document for document in documents if _kind(document) == KIND]
    for document in policies:
        read_policy(document, reading, jwks)
    _complete(documents, policies, reading)
    targets = _targets(documents, policies, reading)
    servers = tuple(_server(target, reading, resource) for target in targets)
    if reading.problems:
        raise ConfigError(reading.problems)
    limits, listen = LimitsModel(), Listen()
    return Settings(
        grpc=listen.grpc,
        http=listen.http,
        directory=Directory(servers),
        keys=reading.keys,
        upstreams={target.name: target.upstream for target in targets if target.upstream},
        cors={target.name: reading.cors or Cors() for target in targets},
        tools={server.name: named_tools(server.policy) for server in servers},
        limits=Limits(depth=limits.depth, name=limits.name_chars, items=limits.items),
        max_body=limits.body_bytes,
        max_list=limits.list_bytes,
        max_event=limits.event_bytes,
        check_seconds=limits.check_ms / 1000,
        tokens=limits.tokens,
        digest=digest(text),
        warnings=tuple(reading.warnings),
    )


def _kind(document: Document) -> str:
    return str(document.value.get("kind", "")) if isinstance(document.value, dict) else ""


def _complete(documents: Sequence[Document], policies: Sequence[Document], reading: Reading) -> None:
    """Refuse a stream without a policy or without token verification; mention documents that are not read."""
    file = documents[0].file
    if not policies:
        reading.problems.append(Problem(file=file, message=f"holds no {KIND}", cure="add one"))
    elif not reading.trusts and not reading.problems:
        message = "no document verifies tokens, so anybody would get in"
        cure = "add traffic.jwtAuthentication with a provider"
        reading.problems.append(policies[0].problem(("spec", "traffic", "jwtAuthentication"), message, cure))
    for document in documents:
        if _kind(document) not in _SEEN:
            what = _kind(document) or "a document without kind"
            reading.warnings.append(document.problem((), f"{what} is not read"))


def _targets(documents: Sequence[Document], policies: Sequence[Document], reading: Reading) -> list[_Target]:
    backends = [document for document in documents if _kind(document) == "AgentgatewayBackend"]
    routes = [document for document in documents if _kind(document) == "HTTPRoute"]
    if not backends:
        name = _name(policies[0]) if policies else "mcp"
        return [_Target(backend="", name=name)]
    return [_target(backend, routes, reading) for backend in backends]


def _target(backend: Document, routes: Sequence[Document], reading: Reading) -> _Target:
    name = _name(backend)
    listed = _dig(backend.value, "spec", "mcp", "targets")
    targets = listed if isinstance(listed, list) else []
    if len(targets) != 1:
        message = (
            "one target is needed: several behind one endpoint are multiplexed by agentgateway, not by Envoy"
        )
        reading.problems.append(backend.problem(("spec", "mcp", "targets"), message, "split the backend"))
        return _Target(backend=name, name=name)
    static = _dig(targets[0], "static") or {}
    path = static.get("path") or DEFAULT_PATH
    host, port = static.get("host") or _dig(static, "backendRef", "name"), static.get("port", 80)
    hosts, route_path = _routed(name, routes)
    return _Target(
        backend=name,
        name=str(targets[0].get("name") or name),
        path=route_path or DEFAULT_PATH,
        hosts=hosts,
        upstream=f"http://{host}:{port}{path}" if host else "",
    )


def _routed(backend: str, routes: Sequence[Document]) -> tuple[frozenset[str], str]:
    """Give the hosts and the path under which routes lead to a backend."""
    for route in routes:
        for rule in _dig(route.value, "spec", "rules") or []:
            refs = _dig(rule, "backendRefs") or []
            if not any(_dig(ref, "name") == backend for ref in refs):
                continue
            hosts = frozenset(str(host).lower() for host in _dig(route.value, "spec", "hostnames") or [ANY])
            matches = _dig(rule, "matches") or [{}]
            path = str(_dig(matches[0], "path", "value") or "")
            return hosts, path if path != "/" else ""
    return frozenset({ANY}), ""


def _server(target: _Target, reading: Reading, resource: str) -> Server:
    rules = tuple(rule for backend, rule in reading.rules if backend in {"", target.backend})
    return Server(
        name=target.name,
        hosts=target.hosts,
        path=target.path,
        resource=resource,
        trusts=reading.trusts,
        policy=Policy(rules, open_when_empty=True),
        origins=normal_origins(reading.origins),
    )


def _name(document: Document) -> str:
    return str(_dig(document.value, "metadata", "name") or "mcp")


def _dig(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value

"""A stream of Kubernetes documents -> settings: which servers there are, and which policies speak about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authz.config.addresses import check_http_url, check_path
from authz.config.agentgateway.policy import BACKEND, KIND, read_policy
from authz.config.agentgateway.reader import UNREAD, UNREAD_CURE, ReadResult
from authz.config.agentgateway.target_refs import check_bindings
from authz.config.native.build import digest, named_tools, normal_origins
from authz.config.native.limits import LimitsModel, bounds_of
from authz.config.native.model import Listen
from authz.config.problems import ConfigError, Problem
from authz.config.settings import Cors, Settings
from authz.config.yaml_document import Document
from authz.core.policy.policy import Policy
from authz.core.servers import ANY, Directory, Server

DEFAULT_PATH = "/mcp"
_SEEN = frozenset({KIND, BACKEND, "HTTPRoute", "Gateway"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """One MCP server behind the gateway, as backend and route describe it."""

    backend: str
    name: str
    path: str = DEFAULT_PATH
    hosts: frozenset[str] = frozenset({ANY})
    upstream: str = ""


def build_kubernetes(
    documents: Sequence[Document],
    text: str,
    *,
    resource: str,
    jwks: Mapping[str, str],
    allow_anonymous: bool = False,
) -> Settings:
    """Build settings from documents of which at least one is an AgentgatewayPolicy.

    Args:
        documents: the stream.
        text: its text, which gives the policy its digest.
        resource: the public URL of the server, empty to follow the request's host.
        jwks: `iss` to a key set URL that replaces the document's.
        allow_anonymous: whether `mode: Optional` and `mode: Permissive` are accepted.

    Raises:
        ConfigError: a document says something that cannot be honoured.
    """
    reading = ReadResult()
    policies = [document for document in documents if _kind(document) == KIND]
    for document in policies:
        read_policy(document, reading, jwks, allow_anonymous=allow_anonymous)
    for issuer in sorted(jwks.keys() - reading.trusts.keys()):
        cure = "write the issuer as the document does, slash included"
        reading.problems.append(Problem(file="--jwks", message=f"no provider is {issuer}", cure=cure))
    _complete(documents, policies, reading)
    places = _targets(documents, policies, reading)
    check_bindings(policies, [place.backend for place in places], reading)
    servers = tuple(_server(place, reading, resource) for place in places)
    directory = _directory(servers, documents[0].file, reading)
    if reading.problems:
        raise ConfigError(reading.problems)
    listen = Listen()
    return Settings(
        grpc=listen.grpc,
        http=listen.http,
        directory=directory,
        keys=reading.keys,
        upstreams={place.name: place.upstream for place in places if place.upstream},
        cors={place.name: reading.cors or Cors() for place in places},
        tools={server.name: named_tools(server.policy) for server in servers},
        digest=digest(text),
        warnings=tuple(reading.warnings),
        insecure_hosts=frozenset(reading.insecure_hosts),
        **bounds_of(LimitsModel()),
    )


def _kind(document: Document) -> str:
    return str(document.value.get("kind", "")) if isinstance(document.value, dict) else ""


def _complete(documents: Sequence[Document], policies: Sequence[Document], reading: ReadResult) -> None:
    """Refuse a stream without a policy or without token verification; mention documents that are not read."""
    file = documents[0].file
    if not policies:
        reading.problems.append(Problem(file=file, message=f"holds no {KIND}", cure="add one"))
    elif not reading.trusts and not reading.problems:
        message = "no document verifies tokens, so anybody would get in"
        cure = "add traffic.jwtAuthentication with a provider"
        reading.problems.append(policies[0].problem(("spec", "traffic", "jwtAuthentication"), message, cure))
    for document in documents:
        if not _kind(document):
            cure = "keep Kubernetes documents and native files apart"
            reading.problems.append(document.problem((), "a document without kind", cure))
        elif _kind(document) not in _SEEN:
            reading.warnings.append(document.problem((), f"{_kind(document)} is not read"))
    if policies and not reading.rules:
        message = "no rule anywhere, so every valid token may use everything"
        reading.warnings.append(
            policies[0].problem(("spec", "backend"), message, "add backend.mcp.authorization")
        )


def _directory(servers: tuple[Server, ...], file: str, reading: ReadResult) -> Directory:
    names = [server.name for server in servers]
    for name in sorted({name for name in names if names.count(name) > 1}):
        message, cure = f"two targets are named {name}", "give them different names"
        reading.problems.append(Problem(file=file, message=message, cure=cure))
    try:
        return Directory(servers)
    except ValueError as error:
        cure = "route them by different hosts or paths"
        reading.problems.append(Problem(file=file, message=str(error), cure=cure))
        return Directory(())


def _targets(
    documents: Sequence[Document], policies: Sequence[Document], reading: ReadResult
) -> list[_Target]:
    backends = [document for document in documents if _kind(document) == BACKEND]
    routes = [document for document in documents if _kind(document) == "HTTPRoute"]
    if not backends:
        name = _name(policies[0]) if policies else "mcp"
        return [_Target(backend="", name=name)]
    return [_target(backend, routes, reading) for backend in backends]


def _target(backend: Document, routes: Sequence[Document], reading: ReadResult) -> _Target:
    name = _name(backend)
    listed = _items(backend.value, "spec", "mcp", "targets")
    if len(listed) != 1:
        message = (
            "one target is needed: several behind one endpoint are multiplexed by agentgateway, not by Envoy"
        )
        reading.problems.append(backend.problem(("spec", "mcp", "targets"), message, "split the backend"))
        return _Target(backend=name, name=name)
    for path in (("spec", "policies"), ("spec", "mcp", "targets", 0, "static", "policies")):
        if path in backend.places:
            reading.problems.append(backend.problem(path, UNREAD, UNREAD_CURE))
    static = _dig(listed[0], "static")
    host, port = _dig(static, "host") or _dig(static, "backendRef", "name"), _dig(static, "port") or 80
    hosts, route_path = _routed(name, routes)
    return _Target(
        backend=name,
        name=str(_dig(listed[0], "name") or name),
        path=_checked_path(backend, route_path or DEFAULT_PATH, reading),
        hosts=hosts,
        upstream=_upstream(backend, f"http://{host}:{port}{_dig(static, 'path') or DEFAULT_PATH}", reading)
        if host
        else "",
    )


def _checked_path(backend: Document, path: str, reading: ReadResult) -> str:
    try:
        return check_path(path)
    except ValueError as error:
        message = f"the HTTPRoute to {_name(backend)} has another path than Envoy sees: {error}"
        reading.problems.append(backend.problem((), message))
        return DEFAULT_PATH


def _upstream(backend: Document, url: str, reading: ReadResult) -> str:
    try:
        return check_http_url(url)
    except ValueError as error:
        reading.problems.append(backend.problem(("spec", "mcp", "targets", 0, "static"), str(error)))
        return ""


def _routed(backend: str, routes: Sequence[Document]) -> tuple[frozenset[str], str]:
    """Give the hosts and the path under which routes lead to a backend."""
    for route in routes:
        for rule in _items(route.value, "spec", "rules"):
            if not any(_dig(ref, "name") == backend for ref in _items(rule, "backendRefs")):
                continue
            hosts = frozenset(str(host).lower() for host in _items(route.value, "spec", "hostnames"))
            matches = _items(rule, "matches") or [{}]
            path = str(_dig(matches[0], "path", "value") or "")
            return hosts or frozenset({ANY}), path if path != "/" else ""
    return frozenset({ANY}), ""


def _server(target: _Target, reading: ReadResult, resource: str) -> Server:
    rules = tuple(
        rule
        for backend, rule in reading.rules
        if "" in {backend, target.backend} or backend == target.backend
    )
    return Server(
        name=target.name,
        hosts=target.hosts,
        path=target.path,
        resource=resource,
        issuers=reading.trusts,
        policy=Policy(rules, open_when_empty=True),
        anonymous=reading.anonymous,
        origins=normal_origins(reading.origins),
    )


def _name(document: Document) -> str:
    return str(_dig(document.value, "metadata", "name") or "mcp")


def _dig(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _items(value: Any, *keys: str) -> list[Any]:
    found = _dig(value, *keys)
    return found if isinstance(found, list) else []

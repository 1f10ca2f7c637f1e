"""A stream of Kubernetes documents -> settings: which servers exist, and which policies apply to each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authz.config.addresses import check_http_url, check_path
from authz.config.agentgateway.policy import BACKEND, KIND, RULES, read_policy
from authz.config.agentgateway.reader import UNREAD, UNREAD_CURE, ReadResult, path_of
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
_KNOWN_KINDS = frozenset({KIND, BACKEND, "HTTPRoute", "Gateway"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """One MCP server behind the gateway, as its backend and route describe it."""

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
    """Build settings from documents, at least one of which is an AgentgatewayPolicy.

    Args:
        documents: the stream.
        text: its text, whose digest names the policy.
        resource: the public URL of the server; if empty, it follows the host of each request.
        jwks: issuer to a key set URL that replaces the document's.
        allow_anonymous: whether `mode: Optional` and `mode: Permissive` are accepted.

    Raises:
        ConfigError: a document asks for something that cannot be honoured.
    """
    result = ReadResult()
    policies = [document for document in documents if _kind(document) == KIND]
    for document in policies:
        read_policy(document, result, jwks, allow_anonymous=allow_anonymous)
    for issuer in sorted(jwks.keys() - result.trusts.keys()):
        cure = "write the issuer as the document does, slash included"
        result.problems.append(Problem(file="--jwks", message=f"no provider is {issuer}", cure=cure))
    _check_complete(documents, policies, result)
    targets = _targets(documents, policies, result)
    check_bindings(policies, [target.backend for target in targets], result)
    servers = tuple(_server(target, result, resource) for target in targets)
    _warn_of_denylists(servers, policies, result)
    directory = _directory(servers, documents[0].file, result)
    if result.problems:
        raise ConfigError(result.problems)
    listen = Listen()
    return Settings(
        grpc=listen.grpc,
        http=listen.http,
        directory=directory,
        keys=result.keys,
        upstreams={target.name: target.upstream for target in targets if target.upstream},
        cors={target.name: result.cors or Cors() for target in targets},
        tools={server.name: named_tools(server.policy) for server in servers},
        digest=digest(text),
        warnings=tuple(result.warnings),
        insecure_hosts=frozenset(result.insecure_hosts),
        **bounds_of(LimitsModel()),
    )


def _kind(document: Document) -> str:
    return str(document.value.get("kind", "")) if isinstance(document.value, dict) else ""


def _check_complete(documents: Sequence[Document], policies: Sequence[Document], result: ReadResult) -> None:
    """Refuse a stream without a policy or without token verification; warn of documents that are not read."""
    file = documents[0].file
    if not policies:
        result.problems.append(Problem(file=file, message=f"holds no {KIND}", cure="add one"))
    elif not result.trusts and not result.problems:
        message = "no document verifies tokens, so anyone would get in"
        cure = "add traffic.jwtAuthentication with a provider"
        result.problems.append(policies[0].problem(("spec", "traffic", "jwtAuthentication"), message, cure))
    for document in documents:
        if not _kind(document):
            cure = "keep Kubernetes documents and native files apart"
            result.problems.append(document.problem((), "a document without a kind", cure))
        elif _kind(document) not in _KNOWN_KINDS:
            result.warnings.append(document.problem((), f"{_kind(document)} is not read"))
    if policies and not result.rules:
        message = "no document has a rule, so every valid token may use everything"
        result.warnings.append(
            policies[0].problem(("spec", "backend"), message, "add backend.mcp.authorization")
        )


def _warn_of_denylists(servers: Sequence[Server], policies: Sequence[Document], result: ReadResult) -> None:
    """Warn of servers whose rules only deny: agentgateway then allows the rest, also what is added tomorrow."""
    for server in servers:
        if server.policy.is_open and server.policy.rules:
            place = next((each for each in policies if path_of(RULES) in each.places), policies[0])
            message = (
                f"no rule for {server.name} is an Allow, so everything that none of them denies is allowed"
            )
            cure = "add an Allow that names what may be used"
            result.warnings.append(place.problem((*path_of(RULES), "action"), message, cure))


def _directory(servers: tuple[Server, ...], file: str, result: ReadResult) -> Directory:
    names = [server.name for server in servers]
    for name in sorted({name for name in names if names.count(name) > 1}):
        message, cure = f"two targets are named {name}", "give them different names"
        result.problems.append(Problem(file=file, message=message, cure=cure))
    try:
        return Directory(servers)
    except ValueError as error:
        cure = "route them by different hosts or paths"
        result.problems.append(Problem(file=file, message=str(error), cure=cure))
        return Directory(())


def _targets(
    documents: Sequence[Document], policies: Sequence[Document], result: ReadResult
) -> list[_Target]:
    backends = [document for document in documents if _kind(document) == BACKEND]
    routes = [document for document in documents if _kind(document) == "HTTPRoute"]
    if not backends:
        name = _name(policies[0]) if policies else "mcp"
        return [_Target(backend="", name=name)]
    return [_target(backend, routes, result) for backend in backends]


def _target(backend: Document, routes: Sequence[Document], result: ReadResult) -> _Target:
    name = _name(backend)
    listed = _items(backend.value, "spec", "mcp", "targets")
    if len(listed) != 1:
        message = (
            "one target is needed: several behind one endpoint are multiplexed by agentgateway, not by Envoy"
        )
        result.problems.append(backend.problem(("spec", "mcp", "targets"), message, "split the backend"))
        return _Target(backend=name, name=name)
    for path in (("spec", "policies"), ("spec", "mcp", "targets", 0, "static", "policies")):
        if path in backend.places:
            result.problems.append(backend.problem(path, UNREAD, UNREAD_CURE))
    static = _dig(listed[0], "static")
    host, port = _dig(static, "host") or _dig(static, "backendRef", "name"), _dig(static, "port") or 80
    hosts, route_path = _routed(name, routes)
    return _Target(
        backend=name,
        name=str(_dig(listed[0], "name") or name),
        path=_checked_path(backend, route_path or DEFAULT_PATH, result),
        hosts=hosts,
        upstream=_upstream(backend, f"http://{host}:{port}{_dig(static, 'path') or DEFAULT_PATH}", result)
        if host
        else "",
    )


def _checked_path(backend: Document, path: str, result: ReadResult) -> str:
    try:
        return check_path(path)
    except ValueError as error:
        message = f"the HTTPRoute to {_name(backend)} has a path that Envoy does not see as written: {error}"
        result.problems.append(backend.problem((), message))
        return DEFAULT_PATH


def _upstream(backend: Document, url: str, result: ReadResult) -> str:
    try:
        return check_http_url(url)
    except ValueError as error:
        result.problems.append(backend.problem(("spec", "mcp", "targets", 0, "static"), str(error)))
        return ""


def _routed(backend: str, routes: Sequence[Document]) -> tuple[frozenset[str], str]:
    """Return the hosts and the path that routes send to a backend."""
    for route in routes:
        for rule in _items(route.value, "spec", "rules"):
            if not any(_dig(ref, "name") == backend for ref in _items(rule, "backendRefs")):
                continue
            hosts = frozenset(str(host).lower() for host in _items(route.value, "spec", "hostnames"))
            matches = _items(rule, "matches") or [{}]
            path = str(_dig(matches[0], "path", "value") or "")
            return hosts or frozenset({ANY}), path if path != "/" else ""
    return frozenset({ANY}), ""


def _server(target: _Target, result: ReadResult, resource: str) -> Server:
    rules = tuple(
        rule for backend, rule in result.rules if "" in {backend, target.backend} or backend == target.backend
    )
    return Server(
        name=target.name,
        hosts=target.hosts,
        path=target.path,
        resource=resource,
        issuers=result.trusts,
        policy=Policy(rules, open_without_allows=True),
        anonymous=result.anonymous,
        origins=normal_origins(result.origins),
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

"""A stream of Kubernetes documents -> settings: which servers exist, and which policies apply to each."""

from collections.abc import Mapping, Sequence
from typing import Any

from authz.config.addresses import check_http_url, check_path
from authz.config.agentgateway.gathered import DEFAULT_PATH, Gathered, Target, settings_of
from authz.config.agentgateway.policy import BACKEND, ENTERPRISE, KIND, RULES, read_policy
from authz.config.agentgateway.reader import UNREAD, UNREAD_CURE, ReadResult, path_of
from authz.config.agentgateway.target_refs import applies, check_bindings
from authz.config.problems import Problem
from authz.config.settings import Settings
from authz.config.yaml_document import Document
from authz.core.servers import ANY, Server

_ROUTE = "HTTPRoute"
_KNOWN_KINDS = frozenset({KIND, BACKEND, _ROUTE, "Gateway"})


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
    found = ReadResult()
    policies = [document for document in documents if _kind(document) == KIND]
    results = [ReadResult(problems=found.problems, warnings=found.warnings) for _ in policies]
    for document, result in zip(policies, results, strict=True):
        read_policy(document, result, jwks, allow_anonymous=allow_anonymous)
    check_overrides(jwks, results, found)
    _check_complete(documents, policies, results, found)
    gathered = [Gathered(target) for target in _targets(documents, policies, found)]
    check_bindings(policies, [each.target for each in gathered], found)
    for each in gathered:
        pairs = zip(policies, results, strict=True)
        each.applied = [result for policy, result in pairs if applies(policy, each.target)]
    servers = tuple(each.server(resource, documents[0].file, found.problems) for each in gathered)
    if results and not found.problems:
        _check_guarded(servers, policies, found)
    _warn_of_denylists(servers, policies, found)
    return settings_of(servers, gathered, results, documents[0].file, text, found)


def check_overrides(jwks: Mapping[str, str], results: Sequence[ReadResult], found: ReadResult) -> None:
    """Refuse a key set for an issuer that nothing trusts."""
    for issuer in sorted(jwks.keys() - {issuer for result in results for issuer in result.trusts}):
        cure = "write the issuer as the document does, slash included"
        found.problems.append(Problem(file="--jwks", message=f"no provider is {issuer}", cure=cure))


def _kind(document: Document) -> str:
    """Return the kind of a document, those of the commercial distribution by the name of the free one."""
    kind = str(document.value.get("kind", "")) if isinstance(document.value, dict) else ""
    plain = kind.removeprefix(ENTERPRISE)
    return plain if plain in {KIND, BACKEND} else kind


def _check_complete(
    documents: Sequence[Document],
    policies: Sequence[Document],
    results: Sequence[ReadResult],
    found: ReadResult,
) -> None:
    """Refuse a stream without a policy or without token verification; warn of documents that are not read."""
    file = documents[0].file
    if not policies:
        found.problems.append(Problem(file=file, message=f"holds no {KIND}", cure="add one"))
    elif not any(result.trusts for result in results) and not found.problems:
        message = "no document verifies tokens, so anyone would get in"
        cure = "add traffic.jwtAuthentication with a provider"
        found.problems.append(policies[0].problem(("spec", "traffic", "jwtAuthentication"), message, cure))
    for document in documents:
        if not _kind(document):
            cure = "keep Kubernetes documents and native files apart"
            found.problems.append(document.problem((), "a document without a kind", cure))
        elif _kind(document) not in _KNOWN_KINDS:
            found.warnings.append(document.problem((), f"{_kind(document)} is not read"))
    if policies and not any(result.rules for result in results):
        message = "no document has a rule, so every valid token may use everything"
        found.warnings.append(
            policies[0].problem(("spec", "backend"), message, "add backend.mcp.authorization")
        )


def _check_guarded(servers: Sequence[Server], policies: Sequence[Document], found: ReadResult) -> None:
    """Refuse a server that no policy with token verification applies to."""
    for server in servers:
        if not server.issuers:
            message = f"no policy verifies tokens for {server.name}, so anyone would get in"
            cure = "target its route or the Gateway with traffic.jwtAuthentication"
            found.problems.append(policies[0].problem(("spec", "targetRefs"), message, cure))


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


def _targets(documents: Sequence[Document], policies: Sequence[Document], found: ReadResult) -> list[Target]:
    backends = [document for document in documents if _kind(document) == BACKEND]
    routes = [document for document in documents if _kind(document) == _ROUTE]
    if not backends:
        name = _name(policies[0]) if policies else "mcp"
        return [Target(backend="", name=name)]
    return [target for backend in backends for target in _targets_of(backend, routes, found)]


def _targets_of(backend: Document, routes: Sequence[Document], found: ReadResult) -> list[Target]:
    """Return the servers of a backend, one for each route that leads to it."""
    name = _name(backend)
    listed = _items(backend.value, "spec", "mcp", "targets")
    if len(listed) != 1:
        message = (
            "one target is needed: several behind one endpoint are multiplexed by agentgateway, not by Envoy"
        )
        found.problems.append(backend.problem(("spec", "mcp", "targets"), message, "split the backend"))
        return [Target(backend=name, name=name)]
    for path in (("spec", "policies"), ("spec", "mcp", "targets", 0, "static", "policies")):
        if path in backend.places:
            found.problems.append(backend.problem(path, UNREAD, UNREAD_CURE))
    static = _dig(listed[0], "static")
    host, port = _dig(static, "host") or _dig(static, "backendRef", "name"), _dig(static, "port") or 80
    url = f"http://{host}:{port}{_dig(static, 'path') or DEFAULT_PATH}"
    upstream = _upstream(backend, url, found) if host else ""
    ways = _routed(name, routes) or [("", frozenset({ANY}), "")]
    target = str(_dig(listed[0], "name") or name)
    return [
        Target(
            backend=name,
            alias_of="" if len(ways) == 1 else target,
            route=route,
            name=target if len(ways) == 1 else f"{target}-{route}",
            path=_checked_path(backend, path or DEFAULT_PATH, found),
            hosts=hosts,
            upstream=upstream,
        )
        for route, hosts, path in ways
    ]


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


def _routed(backend: str, routes: Sequence[Document]) -> list[tuple[str, frozenset[str], str]]:
    """Return the routes that lead to a backend, each with its hosts and path."""
    found = []
    for route in routes:
        for rule in _items(route.value, "spec", "rules"):
            if not any(_dig(ref, "name") == backend for ref in _items(rule, "backendRefs")):
                continue
            hosts = frozenset(str(host).lower() for host in _items(route.value, "spec", "hostnames"))
            matches = _items(rule, "matches") or [{}]
            path = str(_dig(matches[0], "path", "value") or "")
            found.append((_name(route), hosts or frozenset({ANY}), path if path != "/" else ""))
            break
    return found


def _name(document: Document) -> str:
    return str(_dig(document.value, "metadata", "name") or "mcp")


def _dig(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _items(value: Any, *keys: str) -> list[Any]:
    found = _dig(value, *keys)
    return found if isinstance(found, list) else []

"""A configuration of the standalone agentgateway -> settings: `mcp:` with its targets, or `binds:` with routes.

Rules of this module:

* Each route to an MCP backend is a server. Policies of its listener, of the route and of the backend apply to it, and
  mean what they mean in Kubernetes documents.
* A path below `/.well-known` is the gateway's own metadata, which the service answers by itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from authz.config.addresses import check_http_url, check_path
from authz.config.agentgateway.documents import check_overrides
from authz.config.agentgateway.gathered import DEFAULT_PATH, Gathered, Target, settings_of
from authz.config.agentgateway.reader import UNREAD, UNREAD_CURE, DocumentReader, ReadResult
from authz.config.agentgateway.standalone_policies import PoliciesReader, StandaloneProviders, dig, list_at
from authz.config.settings import Settings
from authz.config.yaml_document import Document, Path
from authz.core.servers import ANY

_TOP = frozenset({"mcp", "binds"})
_DECIDES = frozenset({"policies", "gateways", "routes", "routeGroups"})
"""Sections of the file that can change what a route does, and are not read."""
_ONE = "one target is needed: several behind one endpoint are multiplexed by agentgateway, not by Envoy"
_TRANSPORTS = {
    "openapi": "agentgateway translates OpenAPI into tools, and Envoy does not",
    "sse": "the transport of HTTP with SSE from before 2025 is not served",
}


def build_standalone(
    document: Document,
    text: str,
    *,
    read: Callable[[str], bytes],
    resource: str,
    jwks: Mapping[str, str],
    allow_anonymous: bool = False,
) -> Settings:
    """Build settings from a configuration of the standalone agentgateway.

    Args:
        document: the file.
        text: its text, whose digest names the policy.
        read: reads a file that is named.
        resource: the public URL of the server; if empty, the file's or that of each request.
        jwks: issuer to a key set URL that replaces the document's.
        allow_anonymous: whether modes other than strict are accepted.

    Raises:
        ConfigError: the file asks for something that cannot be honoured.
    """
    reader = _StandaloneReader(document, ReadResult(), jwks, read, allow_anonymous=allow_anonymous)
    gathered = _told_apart(list(reader.servers()))
    found, file = reader.result, document.file
    check_overrides(jwks, reader.results, found)
    if not gathered and not found.problems:
        place = next((key for key in ("binds", "llm") if key in document.value), next(iter(document.value)))
        cure = "add one with mcp and its targets; what else the gateway serves needs no mcp-authz"
        reader.report((place,), "no route leads to an MCP backend", cure)
    servers = tuple(each.server(resource, file, found.problems) for each in gathered)
    for server, path in zip(servers, reader.places, strict=True):
        if not server.issuers and not found.problems:
            message = f"nothing verifies tokens for {server.name}, so anyone would get in"
            reader.report(path, message, "add jwtAuth with mode: strict to its policies")
        elif server.policy.is_open:
            message = f"no rule for {server.name} allows, so everything that none denies is allowed"
            reader.warn(path, message, "add a rule to mcpAuthorization that names what may be used")
    return settings_of(servers, gathered, reader.results, file, text, found)


def _told_apart(gathered: list[Gathered]) -> list[Gathered]:
    """Name servers by their routes where several targets have one name."""
    names = [each.target.name for each in gathered]
    for each in gathered:
        target = each.target
        if names.count(target.name) > 1:
            each.target = replace(target, name=f"{target.name}-{target.route}", alias_of=target.name)
    return gathered


class _StandaloneReader(DocumentReader):
    def __init__(
        self,
        document: Document,
        result: ReadResult,
        jwks: Mapping[str, str],
        read: Callable[[str], bytes],
        *,
        allow_anonymous: bool,
    ) -> None:
        super().__init__(document, result)
        self.jwks = jwks
        self.read = read
        self.allow_anonymous = allow_anonymous
        self.results: list[ReadResult] = []
        self.places: list[Path] = []

    def servers(self) -> Iterator[Gathered]:
        for key in self.document.value:
            if key in _DECIDES:
                self.report((key,), UNREAD, UNREAD_CURE)
            elif key not in _TOP:
                self.warn((key,), "not read by mcp-authz")
        mcp = self.at("mcp")
        if mcp:
            yield from self._server(mcp, ("mcp",), "mcp", frozenset({ANY}), DEFAULT_PATH, [])
        for place, listener in self._each(self.document.value, "binds", "listeners"):
            above = self._policies(listener, place, "listener")
            for index, route in enumerate(list_at(listener, "routes")):
                yield from self._route(route, (*place, "routes", index), listener, above)

    def _each(self, value: Any, outer: str, inner: str) -> Iterator[tuple[Path, Any]]:
        for index, each in enumerate(list_at(value, outer)):
            for below, part in enumerate(list_at(each, inner)):
                yield (outer, index, inner, below), part

    def _route(
        self, route: Any, path: Path, listener: Any, above: Sequence[ReadResult]
    ) -> Iterator[Gathered]:
        hosts = list_at(route, "hostnames") or [dig(listener, "hostname")]
        known = frozenset(str(host).lower() for host in hosts if host) or frozenset({ANY})
        for index, backend in enumerate(list_at(route, "backends")):
            place = (*path, "backends", index)
            mcp = dig(backend, "mcp")
            if mcp is None:
                self.warn(place, "no MCP backend: not read by mcp-authz")
                continue
            name = str(dig(route, "name") or f"route-{path[-1]}")
            applied = [*above, *self._policies(route, path, name), *self._policies(backend, place, name)]
            where = self._path(route, path)
            yield from self._server(mcp, (*place, "mcp"), name, known, where, applied)

    def _path(self, route: Any, path: Path) -> str:
        """Return the path of a route; report a match by anything else, which would narrow what the rules are about."""
        paths: list[str] = []
        for index, match in enumerate(list_at(route, "matches")):
            place = (*path, "matches", index)
            for key in sorted(match.keys() - {"path"} if isinstance(match, dict) else ()):
                self.report((*place, key), "routes are told apart by host and path alone", "remove it")
            found = dig(match, "path")
            value = dig(found, "exact") or dig(found, "pathPrefix")
            if not isinstance(value, str):
                self.report((*place, "path"), "exact or pathPrefix is needed", "write the path itself")
            elif not value.startswith("/.well-known"):
                paths.append(value)
        for more in paths[1:]:
            self.warn((*path, "matches"), f"{more} is not served: a server has one path")
        try:
            return check_path(paths[0]) if paths and paths[0] != "/" else DEFAULT_PATH
        except ValueError as error:
            self.report((*path, "matches"), str(error))
            return DEFAULT_PATH

    def _server(
        self, mcp: Any, path: Path, name: str, hosts: frozenset[str], where: str, applied: list[ReadResult]
    ) -> Iterator[Gathered]:
        listed = list_at(mcp, "targets")
        if len(listed) != 1:
            self.report((*path, "targets"), _ONE, "give each target a route of its own")
            return
        place = (*path, "targets", 0)
        if dig(listed[0], "policies") is not None:
            self.report((*place, "policies"), UNREAD, UNREAD_CURE)
        if path == ("mcp",):
            applied = self._policies(mcp, path, name)
        target = Target(
            backend="",
            route=name,
            name=str(dig(listed[0], "name") or name),
            path=where,
            hosts=hosts,
            upstream=self._upstream(listed[0], place),
            **_metadata(applied),
        )
        self.places.append(path)
        yield Gathered(target, applied)

    def _upstream(self, target: Any, path: Path) -> str:
        for kind, why in _TRANSPORTS.items():
            if dig(target, kind) is not None:
                self.report((*path, kind), why, "put a server that speaks streamable HTTP in its place")
                return ""
        if dig(target, "stdio") is not None:
            message = "agentgateway starts this server, and Envoy does not"
            self.warn((*path, "stdio"), message, "run it with streamable HTTP, and name it with mcp.host")
            return ""
        host, port = dig(target, "mcp", "host"), dig(target, "mcp", "port")
        if not isinstance(host, str):
            self.report(path, "mcp.host is needed", "name the server's URL")
            return ""
        url = (
            host
            if "://" in host
            else f"http://{host}:{port or 80}{dig(target, 'mcp', 'path') or DEFAULT_PATH}"
        )
        try:
            return check_http_url(url)
        except ValueError as error:
            self.report((*path, "mcp", "host"), str(error))
            return ""

    def _policies(self, holder: Any, path: Path, name: str) -> list[ReadResult]:
        """Read the policies of a listener, a route, a backend or `mcp`."""
        policies, place = dig(holder, "policies"), (*path, "policies")
        if not isinstance(policies, dict):
            return []
        result = ReadResult(problems=self.result.problems, warnings=self.result.warnings)
        providers = StandaloneProviders(
            self.document, result, self.jwks, self.read, allow_anonymous=self.allow_anonymous
        )
        reader = PoliciesReader(self.document, result, providers, place, name)
        for key, value in policies.items():
            reader.read(key, value)
        self.results.append(result)
        return [result]


def _metadata(applied: Sequence[ReadResult]) -> dict[str, Any]:
    """Return what the policies say of the server itself: its public URL, scopes and documentation."""
    metadata = next((each.metadata for each in reversed(applied) if each.metadata), {})
    scopes = [
        each
        for each in list_at(metadata, "scopesSupported")
        if isinstance(each, str) and each != "offline_access"
    ]
    resource, documentation = metadata.get("resource"), metadata.get("resourceDocumentation")
    return {
        "resource": resource if isinstance(resource, str) else "",
        "scopes": tuple(scopes),
        "documentation": documentation if isinstance(documentation, str) else "",
    }

"""Turns settings into the chain to render."""

from urllib.parse import urlsplit

from authz.config.addresses import is_loopback, worker_addresses
from authz.config.preflight import PATTERN, expressions
from authz.config.settings import Cors, Settings
from authz.core.servers import ANY, Server
from authz.render.address import Address
from authz.render.model import TRY_SLACK, Chain, Endpoint
from authz.render.options import RenderOptions

_PORTS = {"http": 80, "https": 443}
_ENVOY_SLACK = 0.05
"""Seconds that each try waits beyond the service's own deadline, so that the service's answer arrives in time."""


class PlanError(ValueError):
    """Raised for settings that cannot become a chain; the message says what is missing and how to set it."""


def plan(
    settings: Settings,
    *,
    listen: str = "",
    service: str = "",
    http: str = "",
    admin: str = "",
    workers: int | None = None,
    options: RenderOptions | None = None,
) -> Chain:
    """Turn settings into a chain.

    Args:
        settings: those of the policy file.
        listen: where clients connect; if empty, the port of the servers' `resource`, on loopback if that is localhost, else on all
            addresses.
        service: the service's gRPC address; if empty, that of the settings.
        http: the service's HTTP address; if empty, that of the settings.
        admin: Envoy's admin address; if empty, none.
        workers: the service's workers; if None, those of the settings. Behind a Unix socket each is an endpoint.
        options: what is added to the chain.

    Raises:
        PlanError: a server has no upstream, or the resources do not imply one listening port.
        ValueError: an address or a name cannot be rendered, or options contradict the settings.
    """
    options = options or RenderOptions()
    servers = settings.directory.servers
    scheme = "https" if options.clients else "http"
    first, *more = worker_addresses(service or settings.grpc, workers or settings.workers or 1)
    own = [address for address in more if address != first]
    return Chain(
        endpoints=tuple(_endpoint(server, settings) for server in servers),
        listen=Address.parse(listen or _default_listen(servers, scheme)),
        service=Address.parse(first),
        more_services=tuple(Address.parse(address) for address in own),
        http=Address.parse(http or settings.http),
        admin=Address.parse(admin) if admin else None,
        max_request_bytes=settings.max_body,
        check_timeout=settings.check_seconds + _ENVOY_SLACK + TRY_SLACK,
        options=options,
    )


def _default_listen(servers: tuple[Server, ...], scheme: str) -> str:
    """Return the port of the resources' URLs, if Envoy itself serves their scheme; of loopback if all of them are."""
    urls = [urlsplit(server.resource) for server in servers]
    ports = {url.port or _PORTS.get(url.scheme, 0) for url in urls}
    if len(ports) != 1 or {url.scheme for url in urls} != {scheme}:
        msg = "the listening address does not follow from the resources; give it, for example --listen :10000"
        raise PlanError(msg)
    # On every address, a server that is named as this machine's own would be open to the network it never meant.
    host = "127.0.0.1" if all(is_loopback(url.geturl()) for url in urls) else ""
    return f"{host}:{ports.pop()}"


def _endpoint(server: Server, settings: Settings) -> Endpoint:
    upstream = settings.upstreams.get(server.name)
    if not upstream:
        msg = f"server {server.name} has no upstream; set servers.{server.name}.upstream"
        raise PlanError(msg)
    url = urlsplit(upstream)
    cors = settings.cors.get(server.name, Cors())
    allowed = [name.lower() for name in _names(cors.allow_headers, Cors().allow_headers)]
    return Endpoint(
        name=server.name,
        hosts=tuple(sorted(server.hosts)),
        path=server.path,
        upstream_host=url.hostname or "",
        upstream_port=url.port or _PORTS[url.scheme],
        upstream_tls=url.scheme == "https",
        upstream_path="" if (url.path or "/") == server.path else url.path or "/",
        origins=(ANY,) if ANY in server.origins else tuple(sorted(server.origins)),
        cors_allow_headers=", ".join(name for name in allowed if not name.endswith(PATTERN)),
        cors_patterns=expressions(allowed) if any(name.endswith(PATTERN) for name in allowed) else (),
        cors_expose_headers=", ".join(_names(cors.expose_headers, Cors().expose_headers)),
        cors_max_age=cors.max_age,
    )


def _names(names: tuple[str, ...], all_of_mcp: tuple[str, ...]) -> tuple[str, ...]:
    """Return header names; `*` becomes MCP's own, because in browsers `*` does not cover Authorization (Fetch 4.9)."""
    return all_of_mcp if ANY in names else names

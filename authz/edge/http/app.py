"""The service's HTTP endpoints: protected-resource metadata, metrics, liveness, readiness and the console.

None of them asks for a token: a client that has none starts with the metadata document, and the rest is for the
operator's network, into which Envoy routes only the well-known path.
"""

from collections.abc import Iterable

import msgspec
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from authz.core.denial import METADATA_PATH, resource_url
from authz.core.servers import Server
from authz.edge.envoy_watch import EnvoyWatch
from authz.edge.http.console.activity import Activity
from authz.edge.http.status import ServiceStatus

_TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


class Collected(Collector):
    """Metrics that were collected already, as a collector for Prometheus' text writer."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        """Hold these metrics."""
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return self._metrics


def application(
    service: ServiceStatus, watch: EnvoyWatch | None = None, activity: Activity | None = None
) -> Starlette:
    """Return the ASGI application of a service.

    Args:
        service: what it is about.
        watch: tells what is wrong with the Envoys that ask it.
        activity: remembers what was decided in the last hour.
    """
    endpoints = _Endpoints(service, watch or EnvoyWatch(service), activity or Activity())
    console = [Route("/", endpoints.console)] if service.settings.console else []
    return Starlette(
        routes=[
            Route(METADATA_PATH, endpoints.metadata),
            Route(METADATA_PATH + "/{path:path}", endpoints.metadata),
            Route("/metrics", endpoints.metrics),
            *console,
            Route("/healthz", endpoints.healthz),
            Route("/readyz", endpoints.readyz),
        ],
    )


class _Endpoints:
    def __init__(self, service: ServiceStatus, watch: EnvoyWatch, activity: Activity) -> None:
        self._service, self._watch, self._activity = service, watch, activity

    async def _metrics(self) -> list[Metric]:
        return [*await self._service.metrics(), self._watch.gauge()]

    async def metadata(self, request: Request) -> Response:
        """Return the document of the server that the well-known path belongs to (RFC 9728 section 3)."""
        host = request.headers.get("host", "")
        server = self._select(host, "/" + request.path_params.get("path", ""))
        if server is None:
            return JSONResponse({"error": "no MCP server answers at this host and path"}, status_code=404)
        # How the client reached a server describes it only if the policy gives it no public URL of its own.
        scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
        return JSONResponse(document(server, scheme, host), headers={"cache-control": "max-age=300"})

    def _select(self, host: str, path: str) -> Server | None:
        """Find the server at a path, whose final slash a client may omit; at the root, also the only server."""
        directory = self._service.settings.directory
        server = directory.match(host, path) or directory.match(host, f"{path}/")
        if server is None and path == "/" and len(directory.servers) == 1:
            server = directory.match(host, directory.servers[0].path)
        return server

    async def metrics(self, _: Request) -> Response:
        """Return every metric in Prometheus' text format."""
        return Response(generate_latest(Collected(await self._metrics())), media_type=_TEXT_FORMAT)

    async def console(self, request: Request) -> Response:
        """Return a page about the service for people."""
        from authz.edge.http.console.page import Seen, headers, page  # noqa: PLC0415 - loaded on the first visit
        from authz.edge.http.console.samples import samples_of  # noqa: PLC0415 - as above
        from authz.edge.http.console.summary import summarize  # noqa: PLC0415 - as above

        asked = request.query_params
        seen = Seen(
            settings=self._service.settings,
            status=await self._service.status(),
            summary=summarize(samples_of(await self._metrics())),
            memory=await self._service.recall(asked.get("why", "")),
            activity=self._activity,
            problems=self._watch.problems,
        )
        return HTMLResponse(page(seen, asked), headers=headers(asked))

    async def healthz(self, _: Request) -> Response:
        """Answer liveness: the process runs."""
        return PlainTextResponse("ok\n")

    async def readyz(self, _: Request) -> Response:
        """Answer readiness: 200 if every issuer has a usable key and the service is not ending."""
        status = await self._service.status()
        answer = {**msgspec.to_builtins(status), "envoy": msgspec.to_builtins(self._watch.problems)}
        return JSONResponse(answer, status_code=200 if status.ready else 503)


def document(server: Server, scheme: str, host: str) -> dict[str, object]:
    """Return a server's metadata document (RFC 9728 section 2)."""
    members: dict[str, object] = {
        "resource": resource_url(server, scheme, host),
        "bearer_methods_supported": ["header"],
    }
    if server.authorization_servers:
        members["authorization_servers"] = list(server.authorization_servers)
    if server.scopes:
        members["scopes_supported"] = list(server.to_request(server.scopes))
    if server.title:
        members["resource_name"] = server.title
    if server.documentation:
        members["resource_documentation"] = server.documentation
    return members

"""What the service says over HTTP: protected-resource metadata, metrics, liveness, readiness and the console.

Nothing here asks for a token: a client without one begins with the metadata document, and the rest is for the
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
from authz.edge.http.status import ServiceStatus

_OPENMETRICS = "text/plain; version=0.0.4; charset=utf-8"


class _Collected(Collector):
    """Metrics that were collected already, in the form that Prometheus' writer takes."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def application(outlook: ServiceStatus) -> Starlette:
    """Build the ASGI application of a service."""
    endpoints = _Endpoints(outlook)
    return Starlette(
        routes=[
            Route(METADATA_PATH, endpoints.metadata),
            Route(METADATA_PATH + "/{path:path}", endpoints.metadata),
            Route("/metrics", endpoints.metrics),
            Route("/", endpoints.console),
            Route("/healthz", endpoints.healthz),
            Route("/readyz", endpoints.readyz),
        ],
    )


class _Endpoints:
    def __init__(self, outlook: ServiceStatus) -> None:
        self._outlook = outlook

    async def metadata(self, request: Request) -> Response:
        """Give the document of the server that the well-known path belongs to (RFC 9728 section 3)."""
        host = request.headers.get("host", "")
        server = self._described(host, "/" + request.path_params.get("path", ""))
        if server is None:
            return JSONResponse({"error": "no MCP server answers at this host and path"}, status_code=404)
        # Only a server without a public URL of its own is described by how it was reached.
        scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
        return JSONResponse(document(server, scheme, host), headers={"cache-control": "max-age=300"})

    def _described(self, host: str, path: str) -> Server | None:
        """Find the server at a path, whose final slash a client may have left out; at the root also the only one."""
        directory = self._outlook.settings.directory
        found = directory.match(host, path) or directory.match(host, f"{path}/")
        if found is None and path == "/" and len(directory.servers) == 1:
            found = directory.match(host, directory.servers[0].path)
        return found

    async def metrics(self, _: Request) -> Response:
        """Every metric in Prometheus' text format."""
        return Response(generate_latest(_Collected(await self._outlook.metrics())), media_type=_OPENMETRICS)

    async def console(self, _: Request) -> Response:
        """How the service is, for people."""
        from authz.edge.http.console.page import HEADERS, page  # noqa: PLC0415 - loaded when somebody looks
        from authz.edge.http.console.summary import figures, samples_of  # noqa: PLC0415 - as above

        found = figures(samples_of(await self._outlook.metrics()))
        text = page(self._outlook.settings, await self._outlook.condition(), found)
        return HTMLResponse(text, headers=HEADERS)

    async def healthz(self, _: Request) -> Response:
        """Liveness: the process answers."""
        return PlainTextResponse("ok\n")

    async def readyz(self, _: Request) -> Response:
        """Readiness: every issuer has a usable key, and the service is not ending."""
        condition = await self._outlook.condition()
        return JSONResponse(msgspec.to_builtins(condition), status_code=200 if condition.ready else 503)


def document(server: Server, scheme: str, host: str) -> dict[str, object]:
    """Give a server's metadata document (RFC 9728 section 2)."""
    said: dict[str, object] = {
        "resource": resource_url(server, scheme, host),
        "authorization_servers": list(server.issuers),
        "bearer_methods_supported": ["header"],
    }
    if server.scopes:
        said["scopes_supported"] = list(server.scopes)
    if server.title:
        said["resource_name"] = server.title
    if server.documentation:
        said["resource_documentation"] = server.documentation
    return said

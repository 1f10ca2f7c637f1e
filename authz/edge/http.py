"""What the service says over HTTP: protected-resource metadata, metrics, liveness and readiness.

Nothing here asks for a token: a client without one begins with the metadata document, and the rest is for the
operator's network, into which Envoy routes only the well-known path.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from authz.core.answer import METADATA_PATH, resource_url
from authz.core.server import Server
from authz.edge.service import Service

_OPENMETRICS = "text/plain; version=0.0.4; charset=utf-8"


def application(service: Service) -> Starlette:
    """Build the ASGI application of one worker."""
    endpoints = _Endpoints(service)
    return Starlette(
        routes=[
            Route(METADATA_PATH, endpoints.metadata),
            Route(METADATA_PATH + "/{path:path}", endpoints.metadata),
            Route("/metrics", endpoints.metrics),
            Route("/healthz", endpoints.healthz),
            Route("/readyz", endpoints.readyz),
        ],
    )


class _Endpoints:
    def __init__(self, service: Service) -> None:
        self._service = service

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
        directory = self._service.settings.directory
        found = directory.select(host, path) or directory.select(host, f"{path}/")
        if found is None and path == "/" and len(directory.servers) == 1:
            found = directory.select(host, directory.servers[0].path)
        return found

    async def metrics(self, _: Request) -> Response:
        """Every metric in Prometheus' text format."""
        return Response(self._service.metrics.render(), media_type=_OPENMETRICS)

    async def healthz(self, _: Request) -> Response:
        """Liveness: the process answers."""
        return PlainTextResponse("ok\n")

    async def readyz(self, _: Request) -> Response:
        """Readiness: every issuer has a usable key."""
        missing = self._service.without_keys()
        body = {
            "ready": not missing,
            "policy": self._service.settings.digest,
            "issuers_without_keys": missing,
            "reload_problem": self._service.problem,
        }
        return JSONResponse(body, status_code=503 if missing else 200)


def document(server: Server, scheme: str, host: str) -> dict[str, object]:
    """Give a server's metadata document (RFC 9728 section 2)."""
    said: dict[str, object] = {
        "resource": resource_url(server, scheme, host),
        "authorization_servers": list(server.trusts),
        "bearer_methods_supported": ["header"],
    }
    if server.scopes:
        said["scopes_supported"] = list(server.scopes)
    if server.title:
        said["resource_name"] = server.title
    if server.documentation:
        said["resource_documentation"] = server.documentation
    return said

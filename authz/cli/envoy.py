"""`mcp-authz envoy`: renders Envoy's configuration for a policy file."""

from enum import StrEnum
from typing import Annotated

import typer

from authz.cli import envoy_flags as flag
from authz.cli.envoy_merge import write_merged
from authz.cli.options import AllowAnonymous, File, Jwks, Resource
from authz.cli.policy_file import checked, read_settings
from authz.config.addresses import check_address
from authz.config.files import write_out
from authz.config.settings import MAX_WORKERS
from authz.tools.terminal import say


class RenderPart(StrEnum):
    """What to render."""

    BOOTSTRAP = "bootstrap"
    FILTERS = "filters"


_SHADOW = (
    "warning: --shadow: this configuration enforces nothing and protects nothing; render again without it"
)


def envoy(  # noqa: PLR0913, PLR0917 - each is an option of the command
    config: File,
    out: Annotated[
        str, typer.Option("-o", "--out", metavar="FILE", help="Write to this file instead of stdout.")
    ] = "",
    part: Annotated[
        RenderPart,
        typer.Option(
            "--part",
            metavar="|".join(RenderPart),
            help="The whole bootstrap, or what an existing configuration needs.",
        ),
    ] = RenderPart.BOOTSTRAP,
    listen: Annotated[
        str, typer.Option("--listen", metavar="ADDR", help="Address that clients connect to.")
    ] = "",
    service: Annotated[
        str, typer.Option("--service", metavar="ADDR", help="The service's gRPC address.")
    ] = "",
    http: Annotated[str, typer.Option("--http", metavar="ADDR", help="The service's HTTP address.")] = "",
    admin: Annotated[
        str, typer.Option("--admin", metavar="ADDR", help="Envoy's admin address; default: none.")
    ] = "",
    tls_cert: flag.TlsCert = "",
    tls_key: flag.TlsKey = "",
    tls_secret: flag.TlsSecret = "",
    service_ca: flag.ServiceCa = "",
    service_cert: flag.ServiceCert = "",
    service_key: flag.ServiceKey = "",
    upstream_ca: flag.UpstreamCa = "",
    native_filter: flag.NativeFilter = False,
    shadow: flag.Shadow = False,
    otel: flag.Otel = "",
    otel_percent: flag.OtelPercent = 1.0,
    rate_limit: flag.RateLimit = "",
    max_connections: flag.MaxConnections = 10_000,
    health_path: flag.HealthPath = "",
    stats: flag.Stats = "",
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            min=1,
            max=MAX_WORKERS,
            help="Workers behind a Unix socket, one endpoint each; default: the policy file's, else one.",
        ),
    ] = None,
    merge: flag.Merge = "",
    listener: flag.Listener = "",
    isolate: flag.Isolate = False,
    resource: Resource = "",
    jwks: Jwks = None,
    allow_anonymous: AllowAnonymous = False,
) -> None:
    """Render Envoy's configuration for a policy file: the whole bootstrap, or only the filters, routes and clusters.

    With --merge, put these into a bootstrap of yours and print what that changes for its other routes.
    Exit status: 0, or 2 if a file or option is unusable.

    Example: mcp-authz envoy -c policy.yaml -o envoy.yaml
    """
    addresses = {"listen": listen, "service": service, "http": http, "admin": admin}
    for name, text in addresses.items():
        checked(f"--{name}", text or ":1", check_address, "")
    options = flag.Flags(
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_secret=tls_secret,
        service_ca=service_ca,
        service_cert=service_cert,
        service_key=service_key,
        upstream_ca=upstream_ca,
        native_filter=native_filter,
        shadow=shadow,
        otel=otel,
        otel_percent=otel_percent,
        rate_limit=rate_limit,
        max_connections=max_connections,
        health_path=health_path,
        stats=stats,
    ).options(listener=part is RenderPart.BOOTSTRAP and not merge)
    flag.check_merge(merge, listener, isolate=isolate, options=options)
    settings = read_settings(config, resource, jwks, allow_anonymous=allow_anonymous)
    from authz.render.bootstrap import bootstrap, filters  # noqa: PLC0415 - costs most of a second
    from authz.render.plan import plan  # noqa: PLC0415 - as above

    try:
        # A merged chain has the listener of the file.
        chain = plan(
            settings, **addresses | ({"listen": ":1"} if merge else {}), workers=workers, options=options
        )
    except ValueError as error:
        say(f"{config}: {error}", err=True)
        raise typer.Exit(2) from None
    if shadow:
        say(_SHADOW, err=True)
    if merge:
        write_merged(merge, out, chain, settings, listener=listener, isolate=isolate)
        return
    write_out(out, bootstrap(chain) if part is RenderPart.BOOTSTRAP else filters(chain))

"""`mcp-authz envoy`: renders Envoy's configuration for a policy file."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from authz.cli import envoyflags as flag
from authz.cli.options import AllowAnonymous, File, Jwks, Resource
from authz.cli.policy_file import checked, read_settings
from authz.config.addresses import check_address
from authz.config.settings import MAX_WORKERS


class RenderPart(StrEnum):
    """What to render."""

    BOOTSTRAP = "bootstrap"
    FILTERS = "filters"


_SHADOW = (
    "warning: --shadow: this configuration enforces nothing and protects nothing; render again without it\n"
)


def envoy(  # noqa: PLR0913, PLR0917 - each is an option of the command
    config: File,
    out: Annotated[
        str, typer.Option("-o", "--out", metavar="OUT", help="Write here instead of stdout.")
    ] = "",
    part: Annotated[
        RenderPart, typer.Option("--part", help="The whole bootstrap, or the parts for an existing chain.")
    ] = RenderPart.BOOTSTRAP,
    listen: Annotated[str, typer.Option("--listen", metavar="ADDR", help="Where clients connect.")] = "",
    service: Annotated[
        str, typer.Option("--service", metavar="ADDR", help="The service's gRPC address.")
    ] = "",
    http: Annotated[str, typer.Option("--http", metavar="ADDR", help="The service's HTTP address.")] = "",
    admin: Annotated[
        str, typer.Option("--admin", metavar="ADDR", help="Envoy's admin address; default none.")
    ] = "",
    tls_cert: flag.TlsCert = "",
    tls_key: flag.TlsKey = "",
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
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            max=MAX_WORKERS,
            help="Workers behind a Unix socket, each an endpoint; default from the policy file, else one.",
        ),
    ] = None,
    resource: Resource = "",
    jwks: Jwks = None,
    allow_anonymous: AllowAnonymous = False,
) -> None:
    """Render Envoy's configuration: the whole bootstrap, or only the filters, routes and clusters.

    Example: mcp-authz envoy -c policy.yaml -o envoy.yaml
    """
    addresses = {"listen": listen, "service": service, "http": http, "admin": admin}
    for name, text in addresses.items():
        checked(f"--{name}", text or ":1", check_address, "")
    options = flag.Flags(
        tls_cert=tls_cert,
        tls_key=tls_key,
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
    ).options(listener=part is RenderPart.BOOTSTRAP)
    settings = read_settings(config, resource, jwks, allow_anonymous=allow_anonymous)
    from authz.render.bootstrap import bootstrap, filters  # noqa: PLC0415 - costs most of a second
    from authz.render.plan import plan  # noqa: PLC0415 - as above

    try:
        chain = plan(settings, **addresses, workers=workers, options=options)
    except ValueError as error:
        typer.echo(f"{config}: {error}", err=True)
        raise typer.Exit(2) from None
    if shadow:
        sys.stderr.write(_SHADOW)
    _write(out, bootstrap(chain) if part is RenderPart.BOOTSTRAP else filters(chain))


def _write(out: str, text: str) -> None:
    if not out:
        sys.stdout.write(text)
        return
    try:
        Path(out).write_text(text, encoding="utf-8")
    except OSError as error:
        typer.echo(f"{out}: cannot be written: {error.strerror}", err=True)
        raise typer.Exit(2) from None

"""`mcp-authz envoy`: Envoy's configuration for a policy file."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from authz.cli.options import AllowAnonymous, File, Jwks, Resource, checked, read_settings
from authz.config.addresses import check_address
from authz.config.process import MAX_WORKERS


class Part(StrEnum):
    """What to render."""

    BOOTSTRAP = "bootstrap"
    FILTERS = "filters"


def envoy(  # noqa: PLR0913, PLR0917 - each is an option of the command
    config: File,
    out: Annotated[
        str, typer.Option("-o", "--out", metavar="OUT", help="Write here instead of stdout.")
    ] = "",
    part: Annotated[
        Part, typer.Option("--part", help="All of it, or what goes into an existing chain.")
    ] = Part.BOOTSTRAP,
    listen: Annotated[str, typer.Option("--listen", metavar="ADDR", help="Where clients connect.")] = "",
    service: Annotated[
        str, typer.Option("--service", metavar="ADDR", help="The service's gRPC address.")
    ] = "",
    http: Annotated[str, typer.Option("--http", metavar="ADDR", help="The service's HTTP address.")] = "",
    admin: Annotated[
        str, typer.Option("--admin", metavar="ADDR", help="Envoy's admin address; default none.")
    ] = "",
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            max=MAX_WORKERS,
            help="Workers behind a Unix socket, each an endpoint; default the file's, else one.",
        ),
    ] = None,
    resource: Resource = "",
    jwks: Jwks = None,
    allow_anonymous: AllowAnonymous = False,
) -> None:
    """Render Envoy's configuration: the whole bootstrap, or only the filters, routes and clusters.

    Example: mcp-authz envoy -c policy.yaml -o envoy.yaml
    """
    for flag, text in (("--listen", listen), ("--service", service), ("--http", http), ("--admin", admin)):
        checked(flag, text or ":1", check_address, "")
    settings = read_settings(config, resource, jwks, allow_anonymous=allow_anonymous)
    from authz.render.bootstrap import bootstrap, filters  # noqa: PLC0415 - costs most of a second
    from authz.render.plan import plan  # noqa: PLC0415 - as above

    try:
        chain = plan(settings, listen=listen, service=service, http=http, admin=admin, workers=workers)
    except ValueError as error:
        typer.echo(f"{config}: {error}", err=True)
        raise typer.Exit(2) from None
    text = bootstrap(chain) if part is Part.BOOTSTRAP else filters(chain)
    if not out:
        sys.stdout.write(text)
        return
    try:
        Path(out).write_text(text, encoding="utf-8")
    except OSError as error:
        typer.echo(f"{out}: cannot be written: {error.strerror}", err=True)
        raise typer.Exit(2) from None

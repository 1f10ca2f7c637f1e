"""`mcp-authz import`: Kubernetes documents with an AgentgatewayPolicy as a native file."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from authz.config.addresses import check_endpoint, check_http_url
from authz.config.problems import ConfigError, Problem
from authz.tools.agentgateway_import.writer import Choices, native_text


def import_(
    file: Annotated[
        str, typer.Argument(metavar="K8S.yaml", help="Kubernetes documents with an AgentgatewayPolicy.")
    ],
    fix_scopes: Annotated[
        bool, typer.Option("--fix-scopes", help="Compare whole scopes where the documents look for letters.")
    ] = False,
    resource: Annotated[
        str, typer.Option("--resource", metavar="URL", help="The public URL of the server.")
    ] = "",
    upstream: Annotated[str, typer.Option("--upstream", metavar="URL", help="Where the MCP server is.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="The file's text and the warnings, as JSON on stdout.")
    ] = False,
) -> None:
    """Write a native policy file on stdout that decides as the documents do; warnings go to stderr.

    With --fix-scopes it differs on purpose: a scope that only contains the wanted letters is not enough any more.

    Example: mcp-authz import agentgateway-policy.yaml --fix-scopes > policy.yaml
    """
    _check(resource, upstream)
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError([Problem(file=file, message=f"cannot be read: {why}")]) from None
    choices = Choices(fix_scopes=fix_scopes, resource=resource, upstream=upstream)
    imported = native_text(text, file, choices, os.environ)
    if as_json:
        typer.echo(json.dumps(asdict(imported)))
        return
    for warning in imported.warnings:
        typer.echo(f"warning: {warning}", err=True)
    sys.stdout.write(imported.text)


def _check(resource: str, upstream: str) -> None:
    for flag, url, check in (
        ("--resource", resource, check_endpoint),
        ("--upstream", upstream, check_http_url),
    ):
        try:
            check(url or "http://localhost/")
        except ValueError as error:
            raise ConfigError([Problem(file=flag, message=str(error))]) from None

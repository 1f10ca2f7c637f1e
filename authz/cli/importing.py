"""`mcp-authz import`: Kubernetes documents with an AgentgatewayPolicy -> a native policy file."""

import json
import os
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from authz.cli.policy_file import checked
from authz.config.addresses import check_endpoint, check_http_url
from authz.config.files import read_text
from authz.tools.agentgateway_import.writer import ImportChoices, native_text
from authz.tools.terminal import say


def import_(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="Documents with an AgentgatewayPolicy, or a file of the standalone gateway."
        ),
    ],
    fix_scopes: Annotated[
        bool,
        typer.Option("--fix-scopes", help="Compare whole scopes where the documents search for a substring."),
    ] = False,
    resource: Annotated[
        str, typer.Option("--resource", metavar="URL", help="Public URL of the server.")
    ] = "",
    upstream: Annotated[
        str, typer.Option("--upstream", metavar="URL", help="URL of the MCP server behind Envoy.")
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: the text of the policy file, and the warnings.")
    ] = False,
) -> None:
    """Convert an AgentgatewayPolicy to a native policy file that makes the same decisions.

    The file goes to stdout, warnings to stderr. With --fix-scopes the result is stricter on purpose: a scope that merely
    contains the required one no longer counts.

    Example: mcp-authz import agentgateway-policy.yaml --fix-scopes > policy.yaml
    """
    if resource:
        checked("--resource", resource, check_endpoint, "")
    if upstream:
        checked("--upstream", upstream, check_http_url, "")
    choices = ImportChoices(fix_scopes=fix_scopes, resource=resource, upstream=upstream)
    imported = native_text(read_text(file), file, choices, os.environ)
    if as_json:
        typer.echo(json.dumps(asdict(imported)))
        return
    for warning in imported.warnings:
        say(f"warning: {warning}", err=True)
    sys.stdout.write(imported.text)

"""Options that several commands share."""

import os
import sys
from typing import Annotated

import typer

TOKEN_VARIABLE = "MCP_AUTHZ_TOKEN"
_MAX_STDIN = 1_048_576


def bearer_token(given: str) -> str | None:
    """Return the token that `ServerToken` gives: from stdin for `-`, from the environment for nothing; None for none."""
    if given == "-":
        given = sys.stdin.read(_MAX_STDIN).strip()
    return given or os.environ.get(TOKEN_VARIABLE) or None


File = Annotated[
    str,
    typer.Option("-c", "--config", metavar="FILE", help="Policy file: native, or of agentgateway."),
]
Resource = Annotated[
    str,
    typer.Option("--resource", metavar="URL", help="Public URL of the server; files of agentgateway only."),
]
Jwks = Annotated[
    list[str] | None,
    typer.Option(
        "--jwks",
        metavar="ISSUER=URL",
        help="Fetch this issuer's keys from this URL; repeatable; files of agentgateway only.",
    ),
]
ServerToken = Annotated[
    str,
    typer.Option(
        "--token",
        metavar="TOKEN",
        help=f"A bearer token for the server; - reads stdin. Default: ${TOKEN_VARIABLE}.",
    ),
]
AllowAnonymous = Annotated[
    bool,
    typer.Option(
        "--allow-anonymous",
        help="Accept the modes Optional and Permissive, which admit callers without a valid token; files of agentgateway only.",
    ),
]

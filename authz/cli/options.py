"""Options that several commands share."""

from typing import Annotated

import typer

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
AllowAnonymous = Annotated[
    bool,
    typer.Option(
        "--allow-anonymous",
        help="Accept the modes Optional and Permissive, which admit callers without a valid token; files of agentgateway only.",
    ),
]

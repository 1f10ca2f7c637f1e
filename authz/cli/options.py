"""Options that several commands share, and what they mean."""

from typing import Annotated

import typer

from authz.config.load import Options, load
from authz.config.problems import ConfigError, Problem
from authz.config.settings import Settings

File = Annotated[
    str,
    typer.Option("-c", "--config", metavar="FILE", help="Policy file: native, or Kubernetes documents."),
]
Resource = Annotated[
    str,
    typer.Option("--resource", metavar="URL", help="Public URL of the server; Kubernetes documents only."),
]
Jwks = Annotated[
    list[str] | None,
    typer.Option(
        "--jwks", metavar="ISSUER=URL", help="Fetch this issuer's keys here; Kubernetes documents only."
    ),
]


def read_settings(file: str, resource: str, jwks: list[str] | None) -> Settings:
    """Load a policy file with what the command line adds.

    Raises:
        ConfigError: the file or an option cannot be used.
    """
    pairs = [entry.partition("=") for entry in jwks or []]
    for issuer, separator, url in pairs:
        if not (issuer and separator and url.startswith(("http://", "https://"))):
            problem = Problem(file="--jwks", message="not of the form ISSUER=URL", cure="quote both URLs")
            raise ConfigError([problem])
    return load(file, options=Options(resource=resource, jwks={issuer: url for issuer, _, url in pairs}))

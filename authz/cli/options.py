"""Options that several commands share."""

from collections.abc import Callable
from typing import Annotated

import typer

from authz.config.addresses import check_endpoint, check_http_url
from authz.config.load import SESSION_KEY, LoadOptions, load
from authz.config.problems import mistake
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
        "--jwks",
        metavar="ISSUER=URL",
        help="Fetch this issuer's keys from this URL; Kubernetes documents only.",
    ),
]
AllowAnonymous = Annotated[
    bool,
    typer.Option(
        "--allow-anonymous",
        help="Accept mode Optional or Permissive, which admit callers without a valid token; Kubernetes documents only.",
    ),
]
SessionKeys = Annotated[
    list[str] | None,
    typer.Option(
        SESSION_KEY,
        metavar="FILE",
        help="File with the key that binds session ids; of two, the first signs and both verify. Kubernetes documents only.",
    ),
]


def read_settings(
    file: str,
    resource: str,
    jwks: list[str] | None,
    *,
    allow_anonymous: bool = False,
    session_keys: list[str] | None = None,
) -> Settings:
    """Load a policy file, with the options of the command line.

    Raises:
        ConfigError: the file or an option cannot be used.
    """
    pairs = [entry.partition("=") for entry in jwks or []]
    for issuer, _, url in pairs:
        checked("--jwks", url if issuer else "", check_http_url, "give it as ISSUER=URL")
    if resource:
        checked("--resource", resource, check_endpoint, "")
    urls = {issuer: url for issuer, _, url in pairs}
    options = LoadOptions(
        resource=resource,
        jwks=urls,
        allow_anonymous=allow_anonymous,
        session_keys=tuple(session_keys or ()),
    )
    return load(file, options=options)


def checked(flag: str, text: str, check: Callable[[str], str], cure: str) -> None:
    """Check the value of a flag.

    Raises:
        ConfigError: naming the flag.
    """
    try:
        check(text)
    except ValueError as error:
        raise mistake(flag, str(error), cure) from None

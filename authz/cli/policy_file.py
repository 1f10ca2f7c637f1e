"""Load the policy file that a command was given, with what its flags add."""

from collections.abc import Callable, Mapping

from authz.config.addresses import check_endpoint, check_http_url
from authz.config.load import LoadOptions, load
from authz.config.problems import mistake
from authz.config.settings import Settings


def read_settings(
    file: str,
    resource: str,
    jwks: list[str] | None,
    *,
    allow_anonymous: bool = False,
    session_keys: list[str] | None = None,
    kept: Mapping[str, bytes] | None = None,
) -> Settings:
    """Load a policy file, or what was `kept` of it, with what the command line adds.

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
    return load(file, options=options, kept=kept)


def checked(flag: str, text: str, check: Callable[[str], str], cure: str) -> None:
    """Check what a flag was given.

    Raises:
        ConfigError: naming the flag.
    """
    try:
        check(text)
    except ValueError as error:
        raise mistake(flag, str(error), cure) from None

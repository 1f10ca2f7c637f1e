"""What keeps an issuer's tokens from being judged, told in the log, on /readyz, in the console and by `mcp-authz stats`."""

import msgspec


class KeyProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why an issuer's keys could not be fetched, or why it did not answer about a token.

    Attributes:
        issuer: the issuer.
        url: what was asked for, empty if nothing was.
        cause: what went wrong.
    """

    issuer: str
    url: str
    cause: str

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.issuer}: {self.cause}{f' ({self.url})' if self.url else ''}"

"""Fetch an issuer's key set, and the metadata document that says where it is, by a few bounded GETs (see `documents`).

Rules of this module:

* Fetching a key set takes a bounded time, metadata included and to the last byte.
* An https document cannot point to an http one.
* Of several places where metadata is looked for, the problem that is told is the one that says most: a document that is
  there and wrong, or a server that does not answer, before one that is not there.
"""

import asyncio
from collections.abc import Iterator

from authz.config.settings import IssuerKeys
from authz.core.wire.strict_json import StrictJSONError, loads
from authz.edge.jwks.documents import Documents, Fetched, FetchError

__all__ = ["FetchError", "Fetched", "Fetcher", "metadata_urls"]

HEADERS = {"accept": "application/json, application/jwk-set+json"}
"""What is asked for."""
_OPENID, _OAUTH = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
_NOT_THERE = frozenset({404, 410})


class Fetcher:
    """Fetches key sets; used by one event loop."""

    def __init__(
        self,
        *,
        seconds: float,
        max_bytes: int,
        insecure_hosts: frozenset[str] = frozenset(),
        authorities: str | None = None,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            seconds: for one key set, from discovery to its last byte.
            max_bytes: as `Documents` takes it.
            insecure_hosts: likewise.
            authorities: likewise.

        Raises:
            ssl.SSLError: `authorities` is no certificate.
        """
        self._seconds = seconds
        self._documents = Documents(
            max_bytes=max_bytes, insecure_hosts=insecure_hosts, authorities=authorities
        )

    async def close(self) -> None:
        """Close the connections that are left."""
        await self._documents.close()

    async def key_set(self, where: IssuerKeys) -> Fetched:
        """Return an issuer's key set, from its URL or from where the issuer's metadata says it is.

        Raises:
            FetchError: it could not be fetched within the bounds.
        """
        try:
            async with asyncio.timeout(self._seconds):
                url = where.jwks_uri or await self._discover(where.issuer)
                return await self._documents.get(url, HEADERS)
        except TimeoutError:
            msg = f"no answer within {self._seconds:g} s"
            raise FetchError(msg, url=where.jwks_uri or where.issuer) from None

    async def _discover(self, issuer: str) -> str:
        told: FetchError | None = None
        for url in metadata_urls(issuer):
            try:
                document = await self._documents.get(url, HEADERS)
                return jwks_uri(document.body, issuer, url)
            except FetchError as error:
                if told is None or (told.status in _NOT_THERE and error.status not in _NOT_THERE):
                    told = error
        raise told or FetchError("no metadata document", url=issuer)


def metadata_urls(issuer: str) -> Iterator[str]:
    """Return the URLs of an issuer's metadata, in the order in which they are tried.

    OpenID Connect Discovery section 4 appends the well-known path to the issuer; RFC 8414 section 3.1 inserts it before the
    issuer's path. Servers also use the other's form (RFC 8414 section 5), so each document is tried in both. For an issuer
    without a path the two forms are the same.
    """
    base = issuer.rstrip("/")
    scheme, separator, rest = base.partition("://")
    host, slash, path = rest.partition("/")
    origin, below = f"{scheme}{separator}{host}", f"{slash}{path}"
    yield base + _OPENID
    yield origin + _OAUTH + below
    if below:
        yield base + _OAUTH
        yield origin + _OPENID + below


def jwks_uri(body: bytes, issuer: str, where: str = "") -> str:
    """Return `jwks_uri` of a metadata document, which must name exactly this issuer (RFC 8414 section 3.3).

    Args:
        body: the document.
        issuer: the issuer.
        where: URL of the document, for the error.

    Raises:
        FetchError: it does not, or names no URL that may be used.
    """
    try:
        document = loads(body)
    except StrictJSONError:
        document = None
    named = document.get("issuer") if isinstance(document, dict) else None
    if not isinstance(document, dict) or named != issuer:
        raise FetchError(_other_issuer(named, issuer), url=where)
    url = document.get("jwks_uri")
    if not isinstance(url, str):
        msg = "the metadata document names no jwks_uri"
        raise FetchError(msg, url=where)
    if issuer.lower().startswith("https:") and not url.lower().startswith("https:"):
        msg = "the metadata document of an https issuer names a jwks_uri that is not https"
        raise FetchError(msg, url=where)
    return url


def _other_issuer(named: object, issuer: str) -> str:
    """Return what is wrong with a document that does not name the issuer; its own text is not quoted."""
    if named == f"{issuer}/":
        return f"the issuer's name ends in a slash: write issuer: {issuer}/"
    if f"{named}/" == issuer:
        return f"the issuer's name ends in no slash: write issuer: {issuer.removesuffix('/')}"
    return "the metadata document is not this issuer's"

"""Fetch an issuer's key set, and the metadata document that says where it is, by a few bounded GETs.

Rules of this module:

* Anyone who can forge an answer here can sign tokens. So documents come over https; plain http is for this machine and for
  hosts that the operator names, and an https document cannot point to an http one.
* No redirect is followed: keys come from the URL in the policy, and not from where its server sends us.
* Fetching a key set takes a bounded time, metadata included and to the last byte, and each document a bounded number of
  bytes. A content coding was not asked for and is refused, so nothing is ever decompressed.
* Proxies that the environment names (HTTPS_PROXY, NO_PROXY) are used for https, which they only tunnel. Plain http is
  sent directly, because a proxy could answer it with keys of its own.
* Certificates are checked against the usual authorities (or SSL_CERT_FILE), or against those that the policy names and no others.
* Nothing is kept from one response to the next, cookies included.
"""

import asyncio
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from authz.config.addresses import is_guarded
from authz.config.settings import IssuerKeys
from authz.core.wire.strict_json import StrictJSONError, loads

_MAX_AGE = re.compile(r"(?:^|,)\s*max-age\s*=\s*\"?([0-9]{1,9})", re.IGNORECASE)
_HEADERS = {"accept": "application/json, application/jwk-set+json", "accept-encoding": "identity"}
_OPENID, _OAUTH = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"


class FetchError(Exception):
    """A document could not be fetched; the text names the cause and quotes nothing that the other side sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A document that was fetched.

    Attributes:
        body: its bytes.
        max_age: seconds for which the server says it is fresh (`max-age` of Cache-Control, RFC 9111 section 5.2.2.1),
            None if it does not say.
    """

    body: bytes
    max_age: int | None


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
            max_bytes: of one document; reading a longer one is given up there.
            insecure_hosts: hosts, in lower case and without port, that may be reached over plain http.
            authorities: the only certificate authorities that are trusted, in PEM; None for the usual ones.

        Raises:
            ssl.SSLError: `authorities` is no certificate.
        """
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._insecure_hosts = insecure_hosts
        context = httpx.create_ssl_context() if authorities is None else _trusting(authorities)
        self._client = httpx.AsyncClient(
            verify=context,
            follow_redirects=False,
            timeout=None,  # noqa: S113 - key_set bounds the whole of it
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            mounts={"http://": httpx.AsyncHTTPTransport(verify=context)},
        )

    async def close(self) -> None:
        """Close the connections that are left."""
        await self._client.aclose()

    async def key_set(self, where: IssuerKeys) -> Fetched:
        """Return an issuer's key set, from its URL or from where the issuer's metadata says it is.

        Raises:
            FetchError: it could not be fetched within the bounds.
        """
        try:
            async with asyncio.timeout(self._seconds):
                return await self._get(where.jwks_uri or await self._discover(where.issuer))
        except TimeoutError:
            msg = f"no answer within {self._seconds:g} s"
            raise FetchError(msg) from None

    async def _discover(self, issuer: str) -> str:
        problem = FetchError("no metadata document")
        for url in metadata_urls(issuer):
            try:
                return _jwks_uri((await self._get(url)).body, issuer)
            except FetchError as error:
                problem = error
        raise problem

    async def _get(self, text: str) -> Fetched:
        try:
            url = httpx.URL(text)
            self._permit(url)
            return await self._read(url)
        except httpx.ConnectError as error:
            msg = f"no connection: {error}"  # the text is the system's or OpenSSL's, not the other side's
            raise FetchError(msg) from None
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, ValueError) as error:
            raise FetchError(type(error).__name__) from None

    def _permit(self, url: httpx.URL) -> None:
        guarded = url.scheme in {"http", "https"} and is_guarded(str(url), self._insecure_hosts)
        if not guarded or not url.host or url.userinfo:
            msg = "the URL is not https, or has credentials; http is for loopback and hosts that are named insecure"
            raise FetchError(msg)

    async def _read(self, url: httpx.URL) -> Fetched:
        async with self._client.stream("GET", url, headers=_HEADERS) as response:
            _check_head(response)
            body = bytearray()
            async for chunk in response.aiter_raw():
                if len(body) + len(chunk) > self._max_bytes:
                    msg = f"more than {self._max_bytes} bytes"
                    raise FetchError(msg)
                body += chunk
            found = _MAX_AGE.search(response.headers.get("cache-control", ""))
            return Fetched(body=bytes(body), max_age=int(found[1]) if found else None)


def _trusting(authorities: str) -> ssl.SSLContext:
    """Return a context that trusts these certificate authorities and no others."""
    if not authorities:  # which `create_default_context` would take for none given, and trust the system's
        msg = "no certificate authority"
        raise ssl.SSLError(msg)
    return ssl.create_default_context(cadata=authorities)


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


def _check_head(response: httpx.Response) -> None:
    """Reject a response for its status, coding or type before its body is read."""
    if response.status_code != httpx.codes.OK:
        msg = f"status {response.status_code}"
        raise FetchError(msg)
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        msg = "a content coding that was not asked for"
        raise FetchError(msg)
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        msg = "the content type is not JSON"
        raise FetchError(msg)


def _jwks_uri(body: bytes, issuer: str) -> str:
    """Return `jwks_uri` of a metadata document, which must name exactly this issuer (RFC 8414 section 3.3)."""
    try:
        document = loads(body)
    except StrictJSONError:
        document = None
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        msg = "the metadata document is not this issuer's"
        raise FetchError(msg)
    url = document.get("jwks_uri")
    if not isinstance(url, str):
        msg = "the metadata document names no jwks_uri"
        raise FetchError(msg)
    if issuer.lower().startswith("https:") and not url.lower().startswith("https:"):
        msg = "the metadata document of an https issuer names a jwks_uri that is not https"
        raise FetchError(msg)
    return url

"""Documents of issuers, by bounded requests over connections on which nobody can replace an answer.

Rules of this module:

* Anyone who can forge an answer here can sign tokens. So documents come over https; plain http is for this machine and for
  hosts that the operator names.
* No redirect is followed: an answer comes from the URL in the policy, and not from where its server sends us.
* A document has a bounded number of bytes. A content coding was not asked for and is refused, so nothing is ever
  decompressed. The time is bounded by the one who asks.
* Proxies that the environment names (HTTPS_PROXY, NO_PROXY) are used for https, which they only tunnel. Plain http is
  sent directly, because a proxy could answer it with keys of its own.
* Certificates are checked against the usual authorities (or SSL_CERT_FILE), or against those of one file and no others.
* Nothing is kept from one response to the next, cookies included.
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from authz.config.addresses import is_guarded

_MAX_AGE = re.compile(r"(?:^|,)\s*max-age\s*=\s*\"?([0-9]{1,9})", re.IGNORECASE)


class FetchError(Exception):
    """A document could not be fetched; the text names the cause and quotes nothing that the other side sent.

    Attributes:
        url: what was asked for, empty if it is not known.
        status: the status of the answer, if that is the cause; else 0.
    """

    def __init__(self, message: str, *, url: str = "", status: int = 0) -> None:
        """Name the cause."""
        super().__init__(message)
        self.url = url
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A document that was fetched.

    Attributes:
        body: its bytes.
        max_age: seconds for which the server says it is fresh (`max-age` of Cache-Control, RFC 9111 section 5.2.2.1),
            None if it does not say.
        media_type: its type in lower case, without parameters.
        date: when the server sent it by its own clock, in seconds since the epoch; None if it does not say.
    """

    body: bytes
    max_age: int | None
    media_type: str = ""
    date: float | None = None


class Documents:
    """Fetches documents; used by one event loop."""

    def __init__(
        self,
        *,
        max_bytes: int,
        insecure_hosts: frozenset[str] = frozenset(),
        authorities: str | None = None,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            max_bytes: of one document; reading a longer one is given up there.
            insecure_hosts: hosts, in lower case and without port, that may be reached over plain http.
            authorities: the only certificate authorities that are trusted, in PEM; None for the usual ones.

        Raises:
            ssl.SSLError: `authorities` is no certificate.
        """
        self._max_bytes = max_bytes
        self._insecure_hosts = insecure_hosts
        context = httpx.create_ssl_context() if authorities is None else _trusting(authorities)
        self._client = httpx.AsyncClient(
            verify=context,
            follow_redirects=False,
            timeout=None,  # noqa: S113 - the one who asks bounds the whole of it
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            mounts={"http://": httpx.AsyncHTTPTransport(verify=context)},
        )

    async def close(self) -> None:
        """Close the connections that are left."""
        await self._client.aclose()

    async def get(self, url: str, headers: Mapping[str, str]) -> Fetched:
        """Return a JSON document.

        Raises:
            FetchError: it could not be had, and why.
        """
        return await self._ask("GET", url, headers, None)

    async def post(self, url: str, headers: Mapping[str, str], form: Mapping[str, str]) -> Fetched:
        """Return the answer to a form.

        Raises:
            FetchError: it could not be had, and why.
        """
        return await self._ask("POST", url, headers, dict(form))

    async def _ask(
        self, method: str, text: str, headers: Mapping[str, str], form: dict[str, str] | None
    ) -> Fetched:
        try:
            url = httpx.URL(text)
            self._permit(url)
            return await self._read(method, url, headers, form)
        except FetchError as error:
            raise FetchError(str(error), url=text, status=error.status) from None
        except httpx.ConnectError as error:
            # The text is the system's or OpenSSL's, not the other side's.
            msg = f"no connection: {error}"
            raise FetchError(msg, url=text) from None
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, ValueError) as error:
            raise FetchError(type(error).__name__, url=text) from None

    def _permit(self, url: httpx.URL) -> None:
        guarded = url.scheme in {"http", "https"} and is_guarded(str(url), self._insecure_hosts)
        if not guarded or not url.host or url.userinfo:
            msg = "the URL is not https, or has credentials; http is for loopback and hosts that are named insecure"
            raise FetchError(msg)

    async def _read(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], form: dict[str, str] | None
    ) -> Fetched:
        asked = {**headers, "accept-encoding": "identity"}
        async with self._client.stream(method, url, headers=asked, data=form) as response:
            media_type = _check_head(response)
            body = bytearray()
            async for chunk in response.aiter_raw():
                if len(body) + len(chunk) > self._max_bytes:
                    msg = f"more than {self._max_bytes} bytes"
                    raise FetchError(msg)
                body += chunk
            found = _MAX_AGE.search(response.headers.get("cache-control", ""))
            age = int(found[1]) if found else None
            return Fetched(body=bytes(body), max_age=age, media_type=media_type, date=_date(response))


def _date(response: httpx.Response) -> float | None:
    try:
        return parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None


def _trusting(authorities: str) -> ssl.SSLContext:
    """Return a context that trusts these certificate authorities and no others."""
    if not authorities:  # which `create_default_context` would take for none given, and trust the system's
        msg = "no certificate authority"
        raise ssl.SSLError(msg)
    return ssl.create_default_context(cadata=authorities)


_TYPES = frozenset({"application/json", "application/token-introspection+jwt"})


def _check_head(response: httpx.Response) -> str:
    """Return the type of a response; reject it for its status, coding or type before its body is read."""
    if response.status_code != httpx.codes.OK:
        msg = f"status {response.status_code}"
        raise FetchError(msg, status=response.status_code)
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        msg = "a content coding that was not asked for"
        raise FetchError(msg)
    media_type = str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()
    if media_type not in _TYPES and not media_type.endswith("+json"):
        msg = "the content type is not JSON"
        raise FetchError(msg)
    return media_type

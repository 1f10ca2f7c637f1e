"""What only the issuers themselves can tell about a policy file: discovery, keys, algorithms, audiences, clocks.

Each finding is one line with its cure. A document is fetched as the service fetches it, from the same places and within the
same bounds, so what is good here is good there, from the same network.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from authz.config.addresses import is_http
from authz.config.settings import Introspection, IssuerKeys, Settings
from authz.core.identity.issuer import IssuerTerms
from authz.core.identity.jwks import KeySet, KeySetError, read_key_set
from authz.core.wire.strict_json import StrictJSONError, loads
from authz.edge.jwks.documents import Documents, Fetched, FetchError
from authz.edge.jwks.fetcher import HEADERS, jwks_uri, metadata_urls
from authz.edge.jwks.introspector import Introspector

_REACH = "allow this machine to reach it over https; name its authority in ca_file if that is private"
_SYNCHRONISE = "synchronise the clocks (NTP)"


class State(StrEnum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerFinding:
    """One line about an issuer.

    Attributes:
        issuer: its name in the file.
        about: what was checked: discovery, issuer, keys, algorithms, audience, clock or introspection.
        state: how it went.
        says: what was seen.
        cure: what to do, if it is not ok.
    """

    issuer: str
    about: str
    state: State
    says: str
    cure: str = ""


def check_online(settings: Settings) -> list[IssuerFinding]:
    """Ask the issuers of a policy file; return a line for each check, in the order of the file."""
    return asyncio.run(_check(settings))


async def _check(settings: Settings) -> list[IssuerFinding]:
    documents = Documents(
        max_bytes=settings.fetching.max_bytes,
        insecure_hosts=settings.insecure_hosts,
        authorities=settings.authorities,
    )
    checks = [_IssuerCheck(settings, documents, issuer) for issuer in _issuers(settings)]
    try:
        await asyncio.gather(*(check.run() for check in checks))
    finally:
        await documents.close()
    return [finding for check in checks for finding in check.findings]


def _issuers(settings: Settings) -> list[str]:
    return list(dict.fromkeys([*settings.keys, *settings.introspections]))


@dataclass(slots=True, eq=False)
class _IssuerCheck:
    """The checks of one issuer, one after another."""

    settings: Settings
    documents: Documents
    issuer: str
    clock: Callable[[], float] = time.time
    findings: list[IssuerFinding] = field(default_factory=list)
    _apart: float | None = None
    _published: KeySet | None = None

    async def run(self) -> None:
        where = self.settings.keys.get(self.issuer)
        if where is not None:
            await self._keys(where)
        self._audience()
        self._clocks()
        how = self.settings.introspections.get(self.issuer)
        if how is not None:
            await self._introspection(how)

    def _say(self, about: str, state: State, says: str, cure: str = "") -> None:
        name = next((terms.name for _, _, terms in self._terms()), "") or self.issuer
        self.findings.append(IssuerFinding(issuer=name, about=about, state=state, says=says, cure=cure))

    def _terms(self) -> Iterator[tuple[str, str, IssuerTerms]]:
        """Yield name and resource of each server that trusts the issuer, with the terms."""
        for server in self.settings.directory.servers:
            if self.issuer in server.issuers:
                yield server.name, server.resource, server.issuers[self.issuer]

    async def _get(self, url: str) -> Fetched:
        """Get a document within the time of a fetch, and note how far its server's clock is apart.

        Raises:
            FetchError: it could not be had.
        """
        seconds = self.settings.fetching.timeout
        try:
            async with asyncio.timeout(seconds):
                found = await self.documents.get(url, HEADERS)
        except TimeoutError:
            msg = f"no answer within {seconds:g} s"
            raise FetchError(msg, url=url) from None
        if found.date is not None:
            self._apart = self.clock() - found.date
        return found

    async def _keys(self, where: IssuerKeys) -> None:
        if where.inline:
            self._judge(read_key_set(where.inline), "the file")
            return
        url = await self._discovery(where)
        if not url:
            return
        try:
            keys = read_key_set((await self._get(url)).body)
        except (FetchError, KeySetError) as error:
            self._say("keys", State.ERROR, f"{error} ({url})", _REACH)
        else:
            self._judge(keys, url)

    async def _discovery(self, where: IssuerKeys) -> str:
        """Return the URL of the key set; empty if nothing says it."""
        if not is_http(self.issuer):
            self._say("discovery", State.OK, "not asked for: the issuer is no URL")
            return where.jwks_uri
        told: FetchError | None = None
        for url in metadata_urls(self.issuer):
            try:
                document = await self._get(url)
            except FetchError as error:
                told = told or error
                continue
            self._say("discovery", State.OK, url)
            return self._named(document, url) or where.jwks_uri
        cause = f"{told} ({metadata_urls(self.issuer).__next__()})"
        if where.jwks_uri:
            self._say("discovery", State.OK, f"not needed: the file has jwks_uri; {cause}")
        else:
            cure = "check issuer, to the final slash, and that this machine reaches it; or write jwks_uri"
            self._say("discovery", State.ERROR, cause, cure)
        return where.jwks_uri

    def _named(self, document: Fetched, url: str) -> str:
        """Return the key set's URL that a metadata document names, if it is this issuer's."""
        try:
            found = jwks_uri(document.body, self.issuer, url)
        except FetchError as error:
            self._say("issuer", State.ERROR, str(error), _named_by(document))
            return ""
        self._say("issuer", State.OK, f"the document names {self.issuer}")
        return found

    def _judge(self, keys: KeySet, source: str) -> None:
        self._published = keys
        skipped = Counter(why.value for _, why in keys.skipped)
        unused = "".join(f", {count} not used ({why})" for why, count in sorted(skipped.items()))
        if not keys.keys:
            cure = "have the issuer publish an RSA, P-256, P-384, P-521 or Ed25519 key for signatures"
            self._say("keys", State.ERROR, f"none is usable{unused} ({source})", cure)
            return
        self._say("keys", State.OK, f"{len(keys.keys)} usable{unused} ({source})")
        wanted = {name for _, _, terms in self._terms() for name in terms.algorithms}
        offered = {name for key in keys.keys.values() for name in key.algorithms}
        if wanted & offered:
            self._say("algorithms", State.OK, f"keys for {', '.join(sorted(wanted & offered))}")
        elif wanted:
            says = f"no key for {', '.join(sorted(wanted))}"
            self._say("algorithms", State.ERROR, says, f"write algorithms: [{', '.join(sorted(offered))}]")

    def _audience(self) -> None:
        for server, resource, terms in self._terms():
            if not resource:
                continue
            if resource in terms.audiences:
                self._say("audience", State.OK, f"{server}: {resource}")
                continue
            says = f"{server}: {resource} is not in audiences, and MCP clients request a token for it"
            cure = "add it, and have the issuer put it into tokens; or map it there to one of the audiences"
            self._say("audience", State.WARNING, says, cure)

    def _clocks(self) -> None:
        if self._apart is None:
            return
        leeway = min((terms.leeway for _, _, terms in self._terms()), default=60.0)
        way = "ahead of" if self._apart > 0 else "behind"
        says = f"this machine is {abs(self._apart):.0f} s {way} the issuer"
        if abs(self._apart) > leeway:
            self._say("clock", State.ERROR, f"{says}, more than leeway_seconds ({leeway:g})", _SYNCHRONISE)
        else:
            self._say("clock", State.OK, says)

    async def _introspection(self, how: Introspection) -> None:
        """Ask about a token that nobody issued; the answer must be that it is not active."""
        introspector = Introspector(
            {self.issuer: how},
            size=1,
            observer=_NoCounts(),
            find_keys=lambda _: self._published,
            insecure_hosts=self.settings.insecure_hosts,
            authorities=self.settings.authorities,
        )
        token = secrets.token_urlsafe(32)
        try:
            answered = await introspector.ask(self.issuer, token)
            causes = [problem.cause for problem in introspector.problems()]
        finally:
            await introspector.close()
        if answered:
            self._say("introspection", State.OK, how.endpoint)
        else:
            cure = "check endpoint, client_id and the secret, and that the client may introspect"
            self._say("introspection", State.ERROR, f"{', '.join(causes)} ({how.endpoint})", cure)


def _named_by(document: Fetched) -> str:
    """Return what to write, if a document that is another issuer's names one that is a URL."""
    try:
        found = loads(document.body)
    except StrictJSONError:
        return "the document is no JSON object"
    named = found.get("issuer") if isinstance(found, dict) else None
    if isinstance(named, str) and is_http(named):
        return f"if this is the issuer that you mean, write issuer: {named}"
    return "the document names no issuer; check the URL"


class _NoCounts:
    """An observer that counts nothing."""

    def introspected(self, issuer: str, outcome: str) -> None:
        """Drop what came of a question."""

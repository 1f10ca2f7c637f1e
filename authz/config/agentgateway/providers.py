"""`traffic.jwtAuthentication` of an AgentgatewayPolicy: whose tokens are accepted, and where their keys come from.

Keys come from the first of: the command line (`--jwks`), `jwks.inline`, `jwks.remote.url`, the Service behind
`jwks.remote.backendRef`, or the issuer's discovery document if `jwks` is absent. A Service is inside the cluster and
is fetched from over plain http; any other source must be https or on this machine.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from authz.config.addresses import PLAIN_HTTP, check_http_url, is_guarded, is_http
from authz.config.agentgateway.reader import UNREAD, UNREAD_CURE, DocumentReader, ReadResult, path_of
from authz.config.native.claims import usual_permissions
from authz.config.settings import IssuerKeys
from authz.config.yaml_document import Document, Path
from authz.core.identity.issuer import IssuerTerms
from authz.core.identity.jwks import ALGORITHMS, KeySetError, read_key_set
from authz.core.reasons import TABLE, Group, Reason

_SECTION = "spec.traffic.jwtAuthentication"
_MODES = {
    "Strict": frozenset[Reason](),
    "Optional": frozenset({Reason.MISSING_TOKEN}),
    "Permissive": frozenset(reason for reason, row in TABLE.items() if row.group is Group.TOKEN),
}
"""Mode to the reasons for rejecting a token after which the caller may continue without one."""
_KNOWN = frozenset({"issuer", "audiences", "jwks", "location"})
_CLUSTER = ".svc.cluster.local"
_NO_KEYS = "no key set can be found here"
_KEYS_CURE = "give inline, remote.url, or remote.jwksPath and backendRef"


class ProviderReader(DocumentReader):
    """Reads the providers of one policy."""

    strict = "Strict"

    def __init__(
        self, document: Document, result: ReadResult, jwks: Mapping[str, str], *, allow_anonymous: bool
    ) -> None:
        """Read from `document`.

        Args:
            document: the policy.
            result: receives issuers and problems.
            jwks: issuer to a key set URL that replaces the document's.
            allow_anonymous: whether modes other than Strict are accepted.
        """
        super().__init__(document, result)
        self.jwks = jwks
        self.allow_anonymous = allow_anonymous

    def read(self) -> None:
        """Add the policy's issuers to the result."""
        section, path = self.at(_SECTION), path_of(_SECTION)
        self.mode(section.get("mode", "Strict"), (*path, "mode"))
        for index, provider in enumerate(self.at(f"{_SECTION}.providers", list)):
            self.provider(provider, (*path, "providers", index))

    def mode(self, mode: Any, path: Path) -> None:
        """Read the mode: which callers without a valid token are let through to the rules."""
        reasons = _MODES.get(mode) if isinstance(mode, str) else None
        if reasons is None:
            self.report(path, "unknown mode", f"use one of {', '.join(_MODES)}")
        elif reasons and not self.allow_anonymous:
            cure = f"set mode: {self.strict}, so that every request needs a valid token, or give --allow-anonymous"
            self.report(path, f"only {self.strict} keeps callers without a token out", cure)
        elif reasons:
            self.result.anonymous |= reasons
            self.warn(path, f"mode {mode} admits callers without a valid token, as far as the rules allow")

    def provider(self, provider: Any, path: Path) -> None:
        """Add one issuer to the result."""
        if not isinstance(provider, dict):
            self.report(path, "a mapping is needed")
            return
        for key in sorted(provider.keys() - _KNOWN):
            self.report((*path, key), UNREAD, UNREAD_CURE)
        issuer = provider.get("issuer")
        if not isinstance(issuer, str) or not issuer:
            self.report((*path, "issuer"), "this key is required")
            return
        self._location(provider.get("location"), (*path, "location"))
        audiences = self.strings(provider, "audiences", path)
        jwks = provider.get("jwks")
        keys = self._keys(issuer, jwks, (*path, "jwks"))
        if (jwks is None and issuer not in self.jwks) or is_http(issuer):  # keys are looked for at the issuer
            self._guarded(issuer, (*path, "issuer"))
        second = self.document.problem((*path, "issuer"), f"a second provider for {issuer}", "merge the two")
        if not audiences:
            message = "without audiences, a token for any API is accepted"
            self.report((*path, "audiences"), message, "name this API's")
        elif issuer in self.result.trusts:
            self.result.problems.append(second)
        else:
            self.result.second[issuer] = second
            self.result.trusts[issuer] = IssuerTerms(
                issuer=issuer,
                name=issuer,
                audiences=frozenset(audiences),
                algorithms=ALGORITHMS,
                permissions_claim=usual_permissions(issuer),
                require_subject=False,  # agentgateway takes such tokens, and its documents have no key to say so
            )
            self.result.keys[issuer] = keys

    def _location(self, location: Any, path: Path) -> None:
        header = location.get("header", {}) if isinstance(location, dict) else {}
        standard = isinstance(header, dict) and (
            str(header.get("name", "Authorization")).lower() == "authorization"
            and str(header.get("prefix", "Bearer")).strip().lower() == "bearer"
        )
        if not standard or (isinstance(location, dict) and location.keys() - {"header"}):
            cure = "send the token as Authorization: Bearer, as MCP requires"
            self.report(path, "a token is read from the Authorization header only", cure)

    def _keys(self, issuer: str, jwks: Any, path: Path) -> IssuerKeys:
        if issuer in self.jwks:
            return IssuerKeys(issuer=issuer, jwks_uri=self._guarded(self.jwks[issuer], path))
        if jwks is None:
            return IssuerKeys(issuer=issuer)
        inline = jwks.get("inline") if isinstance(jwks, dict) else None
        if inline is not None:
            return IssuerKeys(issuer=issuer, inline=self._inline(inline, (*path, "inline")))
        remote = jwks.get("remote") if isinstance(jwks, dict) else None
        if isinstance(remote, dict):
            return IssuerKeys(issuer=issuer, jwks_uri=self._remote(remote, (*path, "remote")))
        self.report(path, _NO_KEYS, _KEYS_CURE)
        return IssuerKeys(issuer=issuer)

    def _inline(self, value: Any, path: Path) -> bytes:
        """Return an inline key set; report one that is unusable, because the service could not start with it."""
        text = value if isinstance(value, str) else json.dumps(value)
        try:
            usable = bool(read_key_set(text.encode()).keys)
        except KeySetError:
            usable = False
        if not usable:
            self.report(path, "no usable public key in this key set (RFC 7517)", "paste the issuer's JWKS")
        return text.encode()

    def _remote(self, remote: Mapping[str, Any], path: Path) -> str:
        if "url" in remote:
            return self._guarded(remote["url"], (*path, "url"))
        ref, suffix = remote.get("backendRef"), remote.get("jwksPath", "")
        ref = ref if isinstance(ref, dict) else {}
        name, port, namespace = ref.get("name"), ref.get("port"), ref.get("namespace", self._namespace())
        strings = isinstance(name, str) and isinstance(namespace, str) and isinstance(suffix, str)
        if not strings or not isinstance(port, int) or ref.get("kind", "Service") != "Service":
            self.report(path, _NO_KEYS, _KEYS_CURE)
            return ""
        return self._guarded(f"http://{name}.{namespace}{_CLUSTER}:{port}/{suffix.lstrip('/')}", path)

    def _namespace(self) -> str:
        """Return the policy's own namespace, the default for its references."""
        return str(self.at("metadata").get("namespace", "default"))

    def _guarded(self, url: Any, path: Path) -> str:
        """Return a URL that keys may be fetched from; report any other."""
        try:
            check_http_url(url if isinstance(url, str) else "")
        except ValueError as error:
            self.report(path, str(error))
            return ""
        host = urlsplit(url).hostname or ""
        if host.endswith(_CLUSTER):
            self.result.insecure_hosts.add(host)
        if not is_guarded(url, self.result.insecure_hosts):
            self.report(path, PLAIN_HTTP, "use https, or a Service by backendRef")
        return str(url)

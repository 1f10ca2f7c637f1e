"""The MCP servers that are protected, and which of them a request addresses."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlsplit

from authz.core.identity.issuer import IssuerTerms
from authz.core.mcp.item import Item, Kind
from authz.core.policy.context import EvaluationContext
from authz.core.policy.lock import ItemKey, Lock
from authz.core.policy.policy import Policy, Verdict
from authz.core.policy.rule import DenialStyle, Rule
from authz.core.reasons import Reason

ANY = "*"
_OPENID_SCOPES = frozenset({"openid", "profile", "email", "address", "phone", "offline_access"})
"""Scopes of OpenID Connect Core sections 5.4 and 11, which are no API's."""
Changed: TypeAlias = Callable[[str, Lock, ItemKey], bool]
"""Whether a locked item of a server was last seen in another form than it was approved in (see `sightings`)."""


def nothing_changed(_server: str, _lock: Lock, _key: ItemKey) -> bool:
    """Return that no locked item was seen changed, where no lists are seen."""
    return False


_OFFERED = frozenset({Reason.ALLOWED, Reason.MISSING_SCOPE})
_DEFAULT_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One protected MCP server.

    Attributes:
        name: as configured; what rules see as `server` and `mcp.tool.target`.
        hosts: authorities it answers for, lower-case, with their port unless it is the scheme's; `*` for any.
        path: the exact path of its endpoint.
        resource: its public URL (RFC 8707, RFC 9728); empty when it follows from the request's host.
        issuers: terms of the accepted issuers by `iss`.
        named_issuers: those that metadata names; None for every one that is a URL.
        resources: public URL by authority, lower-case, where it is not `resource`: a client that discovers a server under
            a further name compares what it finds with the name that it used (RFC 9728 section 3.3).
        policy: its rules.
        lock: what of the server was approved; None if that is not asked.
        anonymous: refusals of a token after which a caller may go on as nobody in particular; none unless the
            operator said so twice, in the document and on the command line.
        origins: browser origins that may call, lower-case; `*` for any.
        methods: methods outside the table that are open to every valid token.
        forward_token: whether `authorization` goes upstream.
        denial: how policy denials are answered.
        hide: whether a denied item looks like an unknown one.
        reachable: whether lists also name what nothing but scope keeps from the caller, so that a client that calls
            only what is listed can step up.
        needs_rewriter: whether lists are refused while it is sure that nobody trims them.
        reads_sessions: whether the answer to every request in a legacy session is read, not only those that are meant to
            hold a list, begin a session or stay open.
        scopes: scopes a client should ask for first; named by the metadata document and the 401 challenge.
        title: human-readable name for the metadata document, empty for none.
        documentation: URL for the metadata document, empty for none.
    """

    name: str
    hosts: frozenset[str]
    path: str
    resource: str
    issuers: Mapping[str, IssuerTerms]
    policy: Policy
    named_issuers: tuple[str, ...] | None = None
    resources: Mapping[str, str] = field(default_factory=dict)
    lock: Lock | None = None
    anonymous: frozenset[Reason] = frozenset()
    origins: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    forward_token: bool = False
    denial: DenialStyle = DenialStyle.AUTO
    hide: bool = False
    reachable: bool = False
    needs_rewriter: bool = True
    reads_sessions: bool = True
    scopes: tuple[str, ...] = ()
    title: str = ""
    documentation: str = ""

    @property
    def authorization_servers(self) -> tuple[str, ...]:
        """Issuers that clients are told of, which only a URL can be (RFC 8414 section 2)."""
        if self.named_issuers is not None:
            return self.named_issuers
        return tuple(issuer for issuer in self.issuers if issuer.partition(":")[0].lower() in _DEFAULT_PORTS)

    def to_request(self, scopes: Iterable[str], issuer: str = "") -> tuple[str, ...]:
        """Return scopes as a client has to request them.

        Args:
            scopes: scopes as rules have them.
            issuer: where they are requested; if empty, at the first that clients are told of.
        """
        terms = self.issuers.get(issuer or next(iter(self.authorization_servers), ""))
        prefix = "" if terms is None else terms.scope_prefix
        return tuple(scope if scope in _OPENID_SCOPES else prefix + scope for scope in scopes)

    def accepts_origin(self, origin: str | None) -> bool:
        """Return whether a request with this `Origin` may proceed; requests of non-browsers carry none."""
        return origin is None or ANY in self.origins or origin.lower() in self.origins

    def judge(self, context: EvaluationContext, item: Item, changed: Changed = nothing_changed) -> Verdict:
        """Decide about one item: a call if the context has arguments, a place in a list if it has none.

        The rules speak first, so that the lock tells nobody about an item that is not his. It is asked about whatever
        they would allow or offer for a scope, and its schema is held against arguments before any expression reads them.

        Args:
            context: the caller, the request and the arguments.
            item: the item.
            changed: whether a locked item was last seen in another form than it was approved in.
        """
        lock = self.lock
        if lock is None:
            return self.policy.judge(context, item)
        misfit = None if context.arguments is None else lock.misfit(item, context.arguments)
        verdict = self.policy.judge(context if misfit is None else context.in_list(), item)
        if verdict.reason is Reason.ARGS_NOT_ALLOWED:
            return _explained(verdict, context, item)
        if verdict.reason not in _OFFERED:
            return verdict
        refused = lock.refusal(item, lambda key: changed(self.name, lock, key))
        if refused is None and misfit is not None and verdict.reason is Reason.ALLOWED:
            return Verdict(Reason.ARGS_NOT_ALLOWED, verdict.rule, misfit=misfit)
        return verdict if refused is None else Verdict(refused, verdict.rule)

    def lists_item(self, item: Item, verdict: Verdict) -> bool:
        """Return whether an item stands in lists, by the verdict on its place there.

        What looks unknown when it is called is not listed. Nor is a task: its entry tells its state, not only its name.
        """
        if verdict.reason is not Reason.MISSING_SCOPE or not self.reachable or item.kind is Kind.TASK:
            return verdict.reason is Reason.ALLOWED
        rule = verdict.rule
        return not (self.hide if rule is None or rule.hide is None else rule.hide)

    def denial_style(self, rule: Rule | None) -> tuple[DenialStyle, bool]:
        """Return how a denial is answered, and whether it is hidden; the rule's setting overrides the server's.

        A hidden name is answered as one that no rule knows, to the byte. So if any rule hides, names that no rule knows are
        answered as hidden ones, and the `denial` of a rule that hides counts for nothing.
        """
        if rule is None:
            return self.denial, self.hide or self.policy.hides
        hide = self.hide if rule.hide is None else rule.hide
        return self.denial if hide else rule.denial or self.denial, hide


def _explained(verdict: Verdict, context: EvaluationContext, item: Item) -> Verdict:
    """Return a refusal of arguments with the place that leaves the locked schema, if its rule asks for that."""
    rule = verdict.rule
    if rule is None or rule.locked is None or context.arguments is None:
        return verdict
    misfit = rule.locked.misfit(item, context.arguments)
    return Verdict(verdict.reason, rule, shadows=verdict.shadows, misfit=misfit)


def authorities(url: str) -> frozenset[str]:
    """Return the spellings of a URL's authority that a client may send as `Host`, in lower case."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    default = _DEFAULT_PORTS.get(parts.scheme, "")
    if parts.port is None:
        return frozenset({host, f"{host}:{default}"})
    return frozenset({host, host.rpartition(":")[0]}) if str(parts.port) == default else frozenset({host})


def host_without_port(authority: str) -> str:
    """Return the host of an authority, which is all that Envoy looks at when it chooses a virtual host."""
    # To Envoy anything after the last colon is a port, digits or not; only an IPv6 literal ends after its colons.
    host, colon, port = authority.rpartition(":")
    return host if colon and "]" not in port else authority


@dataclass(slots=True)
class Directory:
    """Every protected server, found by host and path.

    Envoy routes by host without port. So that the server whose policy decides is the one that gets the request, two
    servers may not share host and path even under different ports, and a host that one server names never falls
    through to a server for any host.

    Attributes:
        servers: the servers.
        by_name: the servers by name.
    """

    servers: tuple[Server, ...]
    by_name: Mapping[str, Server] = field(init=False, repr=False)
    _places: dict[tuple[str, str], Server] = field(init=False, repr=False)
    _named: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Index the servers.

        Raises:
            ValueError: two servers answer for the same host and path.
        """
        self.by_name = {server.name: server for server in self.servers}
        self._places = {}
        routed: dict[tuple[str, str], Server] = {}
        for server in self.servers:
            for host in server.hosts:
                other = routed.setdefault((host_without_port(host), server.path), server)
                if other is not server:
                    msg = f"servers {other.name} and {server.name} both answer at {host_without_port(host)}{server.path}"
                    raise ValueError(msg)
                self._places[host, server.path] = server
        self._named = frozenset(host for host, _ in routed) - {ANY}

    def match(self, host: str, path: str) -> Server | None:
        """Return the server at exactly this host and path, None if there is none; the query string is not part of a path.

        Nothing is decoded or normalised: a path that only resembles an endpoint is no endpoint.
        """
        place = path.partition("?")[0]
        host = host.lower()
        found = self._places.get((host, place))
        if found is None and host_without_port(host) not in self._named:
            found = self._places.get((ANY, place))
        return found

"""The native file's model -> settings: resolves references, reports every finding at its line."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from authz.config.addresses import PLAIN_HTTP, is_guarded, is_http
from authz.config.lint.issuers import trusting_findings
from authz.config.lint.names import origin_findings
from authz.config.native.define import Definitions, read_conditions
from authz.config.native.issuer_terms import claim_warnings, issuer_terms
from authz.config.native.issuers import IssuerModel
from authz.config.native.limits import bounds_of
from authz.config.native.locks import ServerLock, core_lock, unlocked_tools
from authz.config.native.model import CorsModel, PolicyFile, ServerModel
from authz.config.native.rewrite import rewrite_findings
from authz.config.native.rules import RulesReader
from authz.config.preflight import expressions
from authz.config.problems import ConfigError, Problem
from authz.config.settings import Cors, Drain, Fetching, IssuerKeys, Settings
from authz.config.yaml_document import Document, Path
from authz.core.identity.issuer import IssuerTerms
from authz.core.mcp.item import Kind
from authz.core.policy.lock import Lock
from authz.core.policy.policy import Policy
from authz.core.policy.rule import DenialStyle, Rule
from authz.core.policy.templates import Templates
from authz.core.servers import ANY, Directory, Server, authorities

_OFFLINE_ACCESS = "offline_access"
_PLAIN_HTTP_CURE = "use https, or list the host in insecure_hosts"


def build(
    file: PolicyFile,
    document: Document,
    text: str,
    locks: Mapping[str, ServerLock],
    definitions: Definitions | None = None,
) -> Settings:
    """Build the settings of a native file and of the locks that it names.

    Args:
        file: the validated model.
        document: the places of its values.
        text: the file's text, whose digest names the policy, together with those of the locks.
        locks: the lock of each server that names one.
        definitions: receives the conditions that the file defines; knows its lists.

    Raises:
        ConfigError: a reference, an expression or a combination is invalid.
    """
    builder = _SettingsBuilder(file, document, locks, definitions or Definitions())
    servers = tuple(builder.server(name, model) for name, model in file.servers.items())
    builder.check_used()
    try:
        directory = Directory(servers)
    except ValueError as error:
        builder.report(("servers",), str(error), "give them different resources")
    if builder.problems:
        raise ConfigError(builder.problems)
    return Settings(
        grpc=file.listen.grpc,
        http=file.listen.http,
        directory=directory,
        keys={
            model.issuer: IssuerKeys(issuer=model.issuer, jwks_uri=model.jwks_uri or "")
            for model in file.issuers.values()
            if model.has_keys
        },
        upstreams={name: model.upstream for name, model in file.servers.items() if model.upstream},
        cors={name: _cors(model.cors) for name, model in file.servers.items()},
        tools={server.name: named_tools(server.policy) for server in servers},
        digest=digest("".join((text, *(lock.fingerprint for lock in locks.values())))),
        locks={name: lock.path for name, lock in locks.items()},
        warnings=tuple(builder.warnings),
        insecure_hosts=frozenset(file.insecure_hosts),
        fetching=Fetching(**file.keys.model_dump()),
        workers=file.workers,
        tracing=file.observability.terms,
        personas=file.tests.personas,
        drain=Drain(**file.drain.model_dump()),
        **bounds_of(file.limits),
    )


def _cors(model: CorsModel) -> Cors:
    """Return the settings of the CORS filter: what MCP needs, and what the file adds."""
    needed = Cors()
    return Cors(
        allow_headers=(*needed.allow_headers, *map(str.lower, model.allow_headers)),
        expose_headers=(*needed.expose_headers, *model.expose_headers),
        max_age=model.max_age,
    )


def digest(text: str) -> str:
    """Name a policy by its content."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def named_tools(policy: Policy) -> frozenset[str]:
    """Return the tools and patterns of tools that rules name."""
    selectors = [rule.selector for rule in policy.rules]
    exact = (name for each in selectors for name in each.exact.get(Kind.TOOL, ()))
    patterns = ("*".join(found.parts) for each in selectors for found in each.patterns.get(Kind.TOOL, ()))
    return frozenset((*exact, *patterns))


def normal_origins(origins: list[str]) -> frozenset[str]:
    """Return origins as browsers send them, in lower case."""
    return frozenset(origin.lower() for origin in origins)


def _asks_for_groups(rule: Rule) -> bool:
    read = [part.reads for part in (rule.when, rule.args) if part is not None]
    return rule.groups is not None or any("groups" in names for names in read)


class _SettingsBuilder:
    def __init__(
        self,
        file: PolicyFile,
        document: Document,
        locks: Mapping[str, ServerLock],
        definitions: Definitions,
    ) -> None:
        self.file = file
        self.locks = locks
        self.document = document
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.definitions = definitions
        self.problems += read_conditions(document, file.define, definitions)
        self.rules = RulesReader(document, self.problems, self.warnings, definitions)
        self._check_issuers()
        self._check_key_urls()
        self._check_claims()

    def check_used(self) -> None:
        """Warn of definitions that no rule uses."""
        for name in self.file.define.keys() - self.definitions.used:
            self.warnings.append(self.document.problem(("define", name), "no rule uses this", "remove it"))

    def report(self, path: Path, message: str, cure: str = "") -> None:
        self.problems.append(self.document.problem(path, message, cure))

    def _check_issuers(self) -> None:
        seen: dict[str, str] = {}
        for name, model in self.file.issuers.items():
            other = seen.setdefault(model.issuer, name)
            if other != name:
                self.report(
                    ("issuers", name, "issuer"), f"issuers {other} and {name} are the same", "merge them"
                )
        used = {name for server in self.file.servers.values() for name in server.issuers}
        for name in self.file.issuers.keys() - used:
            self.warnings.append(self.document.problem(("issuers", name), "no server uses this issuer"))

    def _check_key_urls(self) -> None:
        """Refuse keys fetched over plain http: an attacker who replaces them on the way can sign tokens."""
        for name, model in self.file.issuers.items():
            for key, url in (("issuer", model.issuer), ("jwks_uri", model.jwks_uri)):
                if url and is_http(url) and not is_guarded(url, self.file.insecure_hosts):
                    self.report(("issuers", name, key), PLAIN_HTTP, _PLAIN_HTTP_CURE)

    def _check_claims(self) -> None:
        """Warn of claims that are probably meant as paths."""
        for name, model in self.file.issuers.items():
            for path, message, cure in claim_warnings(name, model):
                self.warnings.append(self.document.problem(path, message, cure))

    def server(self, name: str, model: ServerModel) -> Server:
        path: Path = ("servers", name)
        url = urlsplit(model.resource)
        rules = self.rules.rules(model, path, self._scope_claims(model), self.locks.get(name))
        self._check_offline_access(model, path)
        self._check_rule_issuers(model, path)
        trusts = self._trusts(model, path, groups=any(map(_asks_for_groups, rules)))
        for key, message, cure in trusting_findings(rules, trusts):
            self.warnings.append(self.document.problem((*path, "rules", *key), message, cure))
        self._check_cors(model, path)
        for key, message, cure in rewrite_findings(model.rewrite, self.file.streams):
            self.warnings.append(self.document.problem((*path, "rewrite", *key), message, cure))
        for index, message, cure in origin_findings(model.origins):
            self.warnings.append(self.document.problem((*path, "origins", index), message, cure))
        self.rules.lint(model, rules, path)
        return Server(
            name=name,
            hosts=authorities(model.resource) | frozenset(model.hosts),
            path=url.path or "/",
            resource=model.resource,
            issuers=trusts,
            named_issuers=self._named_issuers(model, path),
            resources={
                host: f"{url.scheme}://{host}{url.path}"
                for host in model.hosts
                if host != ANY and host not in authorities(model.resource)
            },
            policy=Policy(rules, templates=Templates(rules)),
            lock=self._lock(name, model, path),
            origins=normal_origins(model.origins),
            methods=frozenset(model.methods),
            forward_token=model.token == "forward",
            denial=DenialStyle(model.denial),
            hide=model.hide,
            reachable=model.lists == "reachable",
            needs_rewriter=model.rewriter == "required",
            reads_sessions=model.rewrite.answers == "sessions",
            scopes=tuple(model.scopes),
            title=model.resource_name or "",
            documentation=model.resource_documentation or "",
        )

    def _check_cors(self, model: ServerModel, path: Path) -> None:
        if "cors" in model.model_fields_set and not model.origins:
            self.warnings.append(
                self.document.problem((*path, "cors"), "no browser may call", "list its origin in origins")
            )
        try:
            expressions(_cors(model.cors).allow_headers)
        except ValueError as error:
            self.report((*path, "cors", "allow_headers"), str(error))

    def _lock(self, name: str, model: ServerModel, path: Path) -> Lock | None:
        """Return the server's lock; warn of tools that rules name and the lock does not."""
        read = self.locks.get(name)
        if read is None or model.lock is None:
            return None
        allowed = {
            index: rule.allow.tools
            for index, rule in enumerate(model.rules)
            if rule.allow is not None and isinstance(rule.allow.tools, list)
        }
        for index, position, tool in unlocked_tools(allowed, read):
            place = (*path, "rules", index, "allow", "tools", position)
            message = f"the lock {model.lock.file} has no tool {tool}, so this allows nothing"
            self.warnings.append(self.document.problem(place, message, "renew the lock, or remove the name"))
        lock = core_lock(model.lock, read)
        if model.arguments is None:
            return lock
        arguments = self.rules.locked_arguments(read, (*path, "arguments"), extra=model.extra != "deny")
        return replace(lock, arguments=arguments)

    def _trusts(self, model: ServerModel, path: Path, *, groups: bool) -> Mapping[str, IssuerTerms]:
        trusts: dict[str, IssuerTerms] = {}
        for index, name in enumerate(model.issuers):
            issuer = self.file.issuers.get(name)
            if issuer is None:
                known = ", ".join(self.file.issuers)
                self.report((*path, "issuers", index), f"there is no issuer {name}", f"known: {known}")
                continue
            trusts[issuer.issuer] = issuer_terms(
                name, issuer, self._audiences(model, issuer, path), groups=groups
            )
        self._check_audiences(model, path)
        return trusts

    def _named_issuers(self, model: ServerModel, path: Path) -> tuple[str, ...] | None:
        """Return the issuers that the metadata document names; what it cannot name is reported."""
        if model.authorization_servers is None:
            return None
        named: list[str] = []
        for index, name in enumerate(model.authorization_servers):
            place, known = (*path, "authorization_servers", index), self.file.issuers.get(name)
            if name not in model.issuers or known is None:
                known_here = f"known here: {', '.join(model.issuers)}"
                self.report(place, f"this server does not trust {name}", known_here)
            elif not is_http(known.issuer):
                self.report(place, f"{name} is no URL, so no client could ask it for a token", "leave it out")
            else:
                named.append(known.issuer)
        return tuple(named)

    def _audiences(self, model: ServerModel, issuer: IssuerModel, path: Path) -> list[str]:
        """Return the issuer's audiences that the server accepts; a narrowing that leaves none is reported."""
        narrowed = [name for name in issuer.audiences if name in (model.audiences or issuer.audiences)]
        if not narrowed:
            message = f"names no audience of issuer {issuer.issuer}, so none of its tokens is accepted"
            self.report((*path, "audiences"), message, "name one of each issuer, or remove the issuer")
        return narrowed or issuer.audiences

    def _check_audiences(self, model: ServerModel, path: Path) -> None:
        issuers = [self.file.issuers[name] for name in model.issuers if name in self.file.issuers]
        known = {audience for issuer in issuers for audience in issuer.audiences}
        for index, audience in enumerate(model.audiences):
            if issuers and audience not in known:
                place = (*path, "audiences", index)
                self.report(place, "no issuer of this server lists this audience", "add it there")

    def _scope_claims(self, model: ServerModel) -> frozenset[str]:
        issuers = [self.file.issuers[name] for name in model.issuers if name in self.file.issuers]
        return frozenset(path[0] for path in (issuer.claims.scopes for issuer in issuers) if len(path) == 1)

    def _check_rule_issuers(self, model: ServerModel, path: Path) -> None:
        """Refuse rules for issuers that the server does not trust: they would never hold."""
        for number, rule in enumerate(model.rules):
            for index, name in enumerate(rule.issuers):
                if name not in model.issuers:
                    place = (*path, "rules", number, "issuers", index)
                    known = ", ".join(model.issuers)
                    self.report(place, f"this server does not trust {name}", f"known here: {known}")

    def _check_offline_access(self, model: ServerModel, path: Path) -> None:
        """Refuse the scope that requests a refresh token: a challenge must not name it (SEP-2207)."""
        rules = [((*path, "rules", index), rule) for index, rule in enumerate(model.rules)]
        lists = [((*path, "scopes"), model.scopes)]
        lists += [((*place, "scopes"), rule.scopes) for place, rule in rules]
        lists += [((*place, "any_scopes"), rule.any_scopes) for place, rule in rules]
        for place, scopes in lists:
            if _OFFLINE_ACCESS in scopes:
                message = f"{_OFFLINE_ACCESS} is between a client and its issuer and grants nothing here"
                self.report((*place, scopes.index(_OFFLINE_ACCESS)), message, "remove it; clients add it")

"""The native file's model -> settings: references resolved, expressions compiled, every finding at its line."""

import hashlib
from collections.abc import Mapping
from urllib.parse import urlsplit

from authz.config.addresses import is_guarded
from authz.config.document import Document, Path
from authz.config.expressions import ExpressionError, compile_expression
from authz.config.lint import expression_warnings, rule_warnings
from authz.config.native import Issuer, Keys, PolicyFile, RuleModel, Select, ServerModel
from authz.config.problems import ConfigError, Problem
from authz.config.settings import Cors, Fetching, IssuerKeys, Settings
from authz.core.arguments import Arguments
from authz.core.expression import Expression
from authz.core.item import Kind
from authz.core.limits import Limits
from authz.core.policy import Policy
from authz.core.rule import Denial, Effect, Rule, Selector
from authz.core.server import Directory, Server, authorities
from authz.core.trust import Trust

ARGUMENTS = frozenset({"args"})
OFFLINE_ACCESS = "offline_access"
PLAIN_HTTP = "keys that come over plain http can be replaced on the way"
PLAIN_HTTP_CURE = "use https, or list the host in insecure_hosts"


def build(file: PolicyFile, document: Document, text: str) -> Settings:
    """Build the settings of a native file.

    Args:
        file: the validated model.
        document: where its values stand.
        text: the file's text, which gives the policy its digest.

    Raises:
        ConfigError: a reference, an expression or a combination that cannot be.
    """
    builder = _Builder(file, document)
    servers = tuple(builder.server(name, model) for name, model in file.servers.items())
    try:
        directory = Directory(servers)
    except ValueError as error:
        builder.report(("servers",), str(error), "give them different resources")
    if builder.problems:
        raise ConfigError(builder.problems)
    limits = file.limits
    return Settings(
        grpc=file.listen.grpc,
        http=file.listen.http,
        directory=directory,
        keys={
            model.issuer: IssuerKeys(issuer=model.issuer, jwks_uri=model.jwks_uri or "")
            for model in file.issuers.values()
        },
        upstreams={name: model.upstream for name, model in file.servers.items() if model.upstream},
        cors={name: Cors() for name in file.servers},
        tools={server.name: named_tools(server.policy) for server in servers},
        limits=Limits(depth=limits.depth, name=limits.name_chars, items=limits.items, args=limits.args_bytes),
        max_body=limits.body_bytes,
        max_list=limits.list_bytes,
        check_seconds=limits.check_ms / 1000,
        tokens=limits.tokens,
        digest=digest(text),
        warnings=tuple(builder.warnings),
        insecure_hosts=frozenset(file.insecure_hosts),
        fetching=_fetching(file.keys),
    )


def _fetching(keys: Keys) -> Fetching:
    return Fetching(
        min_age=keys.min_age_seconds,
        max_age=keys.max_age_seconds,
        default_age=keys.default_age_seconds,
        cooldown=keys.cooldown_seconds,
        unknown_for=keys.unknown_for_seconds,
        max_unknown=keys.unknown_names,
        retry=keys.retry_seconds,
        stale_for=keys.stale_for_seconds,
        timeout=keys.timeout_seconds,
        max_bytes=keys.document_bytes,
    )


def _arguments(model: RuleModel) -> Arguments | None:
    return None if model.arguments is None else Arguments(model.arguments, extra=model.extra != "deny")


def digest(text: str) -> str:
    """Name a policy by its content."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def named_tools(policy: Policy) -> frozenset[str]:
    """Give the tools that rules name in full."""
    return frozenset(name for rule in policy.rules for name in rule.selector.exact.get(Kind.TOOL, ()))


def trust_of(model: Issuer, audiences: list[str]) -> Trust:
    """Build the terms on which an issuer is trusted, for some of its audiences."""
    return Trust(
        issuer=model.issuer,
        audiences=frozenset(audiences),
        algorithms=frozenset(model.algorithms),
        leeway=float(model.leeway_seconds),
        scopes_claim=model.claims.scopes,
        roles_claim=model.claims.roles,
        client_claim=model.claims.client,
        required_claims=model.required_claims,
        max_token_age=model.max_token_age_seconds,
        allowed_clients=None if model.allowed_clients is None else frozenset(model.allowed_clients),
    )


def normal_origins(origins: list[str]) -> frozenset[str]:
    """Give origins in the form in which browsers send them, lower-case."""
    return frozenset(origin.lower() for origin in origins)


class _Builder:
    def __init__(self, file: PolicyFile, document: Document) -> None:
        self.file = file
        self.document = document
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._unique_issuers()
        self._guarded_keys()

    def report(self, path: Path, message: str, cure: str = "") -> None:
        self.problems.append(self.document.problem(path, message, cure))

    def _unique_issuers(self) -> None:
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

    def _guarded_keys(self) -> None:
        """Refuse keys that come over plain http: whoever can replace them on the way can sign tokens."""
        for name, model in self.file.issuers.items():
            for key, url in (("issuer", model.issuer), ("jwks_uri", model.jwks_uri)):
                if url and not is_guarded(url, self.file.insecure_hosts):
                    self.report(("issuers", name, key), PLAIN_HTTP, PLAIN_HTTP_CURE)

    def server(self, name: str, model: ServerModel) -> Server:
        path: Path = ("servers", name)
        url = urlsplit(model.resource)
        rules = [self._rule(index, rule, (*path, "rules", index)) for index, rule in enumerate(model.rules)]
        self._unique_rules(rules, path)
        self._no_offline_access(model, path)
        self._lint(model, path)
        self.warnings.extend(rule_warnings(self.document, (*path, "rules"), rules))
        return Server(
            name=name,
            hosts=authorities(model.resource) | frozenset(model.hosts),
            path=url.path or "/",
            resource=model.resource,
            trusts=self._trusts(model, path),
            policy=Policy(tuple(rules)),
            origins=normal_origins(model.origins),
            methods=frozenset(model.methods),
            forward_token=model.token == "forward",
            denial=Denial(model.denial),
            hide=model.hide,
            scopes=tuple(model.scopes),
            title=model.resource_name or "",
            documentation=model.resource_documentation or "",
        )

    def _trusts(self, model: ServerModel, path: Path) -> Mapping[str, Trust]:
        trusts: dict[str, Trust] = {}
        for index, name in enumerate(model.issuers):
            issuer = self.file.issuers.get(name)
            if issuer is None:
                known = ", ".join(self.file.issuers)
                self.report((*path, "issuers", index), f"there is no issuer {name}", f"known: {known}")
                continue
            trusts[issuer.issuer] = trust_of(issuer, self._audiences(model, issuer, path))
        self._known_audiences(model, path)
        return trusts

    def _audiences(self, model: ServerModel, issuer: Issuer, path: Path) -> list[str]:
        """Give the issuer's audiences that the server accepts; narrowing that leaves none is no narrowing."""
        narrowed = [name for name in issuer.audiences if name in (model.audiences or issuer.audiences)]
        if not narrowed:
            message = f"names no audience of issuer {issuer.issuer}, so none of its tokens would do"
            self.report((*path, "audiences"), message, "name one of each issuer, or remove the issuer")
        return narrowed or issuer.audiences

    def _known_audiences(self, model: ServerModel, path: Path) -> None:
        issuers = [self.file.issuers[name] for name in model.issuers if name in self.file.issuers]
        known = {audience for issuer in issuers for audience in issuer.audiences}
        for index, audience in enumerate(model.audiences):
            if issuers and audience not in known:
                place = (*path, "audiences", index)
                self.report(place, "no issuer of this server lists this audience", "add it there")

    def _no_offline_access(self, model: ServerModel, path: Path) -> None:
        """Refuse the scope that asks the issuer for a refresh token: a challenge must not name it (SEP-2207)."""
        rules = [((*path, "rules", index), rule) for index, rule in enumerate(model.rules)]
        lists = [((*path, "scopes"), model.scopes)]
        lists += [((*place, "scopes"), rule.scopes) for place, rule in rules]
        lists += [((*place, "any_scopes"), rule.any_scopes) for place, rule in rules]
        for place, scopes in lists:
            if OFFLINE_ACCESS in scopes:
                message = f"{OFFLINE_ACCESS} is between a client and its issuer and opens nothing here"
                self.report((*place, scopes.index(OFFLINE_ACCESS)), message, "remove it; clients add it")

    def _rule(self, index: int, model: RuleModel, path: Path) -> Rule:
        effect = Effect.ALLOW if model.allow is not None else Effect.DENY
        select = model.allow or model.deny or Select()
        return Rule(
            name=model.name or f"rule-{index + 1}",
            effect=effect,
            selector=Selector.of(
                {
                    Kind.TOOL: tuple(select.tools),
                    Kind.PROMPT: tuple(select.prompts),
                    Kind.RESOURCE: tuple(select.resources),
                    Kind.TASK: tuple(select.tasks),
                },
            ),
            scopes=frozenset(model.scopes),
            any_scopes=frozenset(model.any_scopes),
            roles=frozenset(model.roles),
            when=self._expression(model.when, (*path, "when"), ARGUMENTS),
            args=self._expression(model.args, (*path, "args"), frozenset()),
            arguments=_arguments(model),
            shadow=model.shadow,
            denial=Denial(model.denial) if model.denial else None,
            hide=model.hide,
        )

    def _expression(self, text: str | None, path: Path, forbidden: frozenset[str]) -> Expression | None:
        if text is None:
            return None
        try:
            return compile_expression(text, forbidden=forbidden)
        except ExpressionError as error:
            self.problems.append(expression_problem(self.document, path, error))
            return None

    def _lint(self, model: ServerModel, path: Path) -> None:
        issuers = [self.file.issuers[name] for name in model.issuers if name in self.file.issuers]
        claims = {issuer.claims.scopes for issuer in issuers}
        for index, rule in enumerate(model.rules):
            for key, text in (("when", rule.when), ("args", rule.args)):
                place = (*path, "rules", index, key)
                if text and not self.problems:
                    denies = rule.deny is not None and not rule.shadow
                    found = expression_warnings(self.document, place, text, claims, denies=denies)
                    self.warnings.extend(found)

    def _unique_rules(self, rules: list[Rule], path: Path) -> None:
        seen: set[str] = set()
        for index, rule in enumerate(rules):
            if rule.name in seen:
                self.report((*path, "rules", index, "name"), f"two rules are named {rule.name}", "rename one")
            seen.add(rule.name)


def expression_problem(document: Document, path: Path, error: ExpressionError) -> Problem:
    """Place an expression's error in its file."""
    message = f"{error} (line {error.line}, column {error.column} of the expression)"
    return document.problem(path, message, line_offset=document.place(path).offset(error.line))

"""The native file's model -> settings: references resolved, expressions compiled, every finding at its line."""

import hashlib
from collections.abc import Mapping
from urllib.parse import urlsplit

from authz.config.document import Document, Path
from authz.config.expressions import ExpressionError, compile_expression
from authz.config.native import Issuer, PolicyFile, RuleModel, Select, ServerModel
from authz.config.problems import ConfigError, Problem
from authz.config.settings import Cors, IssuerKeys, Settings
from authz.core.expression import Expression
from authz.core.item import Kind
from authz.core.message import Limits
from authz.core.policy import Policy
from authz.core.rule import Denial, Effect, Rule, Selector
from authz.core.server import Directory, Server, authorities
from authz.core.token import Trust

ARGUMENTS = frozenset({"args"})


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
        limits=Limits(depth=limits.depth, name=limits.name_chars, items=limits.items),
        max_body=limits.body_bytes,
        max_list=limits.list_bytes,
        max_event=limits.event_bytes,
        check_seconds=limits.check_ms / 1000,
        tokens=limits.tokens,
        digest=digest(text),
        warnings=tuple(builder.warnings),
    )


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

    def server(self, name: str, model: ServerModel) -> Server:
        path: Path = ("servers", name)
        url = urlsplit(model.resource)
        rules = [self._rule(index, rule, (*path, "rules", index)) for index, rule in enumerate(model.rules)]
        self._unique_rules(rules, path)
        return Server(
            name=name,
            hosts=authorities(model.resource) | frozenset(host.lower() for host in model.hosts),
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
        return trusts

    def _audiences(self, model: ServerModel, issuer: Issuer, path: Path) -> list[str]:
        stray = set(model.audiences) - set(issuer.audiences)
        if stray and len(model.issuers) == 1:
            self.report(
                (*path, "audiences"), "names an audience that the issuer does not list", "add it there"
            )
        return [
            name for name in issuer.audiences if not model.audiences or name in model.audiences
        ] or issuer.audiences

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

    def _unique_rules(self, rules: list[Rule], path: Path) -> None:
        seen: set[str] = set()
        for index, rule in enumerate(rules):
            if rule.name in seen:
                self.report((*path, "rules", index, "name"), f"two rules are named {rule.name}", "rename one")
            seen.add(rule.name)


def expression_problem(document: Document, path: Path, error: ExpressionError) -> Problem:
    """Place an expression's error in its file: the expression's own line counts from where it begins."""
    place = document.place(path)
    offset = error.line - 1 + (1 if place.block else 0)
    message = f"{error} (line {error.line}, column {error.column} of the expression)"
    return document.problem(path, message, line_offset=offset)

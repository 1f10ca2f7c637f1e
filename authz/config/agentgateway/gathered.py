"""What was read of agentgateway's configuration, put together: servers with their rules and terms -> settings.

Both forms, Kubernetes documents and files of the standalone gateway, end here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from authz.config.agentgateway.reader import ReadResult
from authz.config.native.build import digest, named_tools, normal_origins
from authz.config.native.limits import LimitsModel, bounds_of
from authz.config.native.model import Listen
from authz.config.problems import ConfigError, Problem
from authz.config.settings import Cors, IssuerKeys, Settings
from authz.core.policy.policy import Policy
from authz.core.policy.templates import Templates
from authz.core.servers import ANY, Directory, Server

DEFAULT_PATH = "/mcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One MCP server behind the gateway, as its backend and route describe it.

    Attributes:
        backend: the name of its backend, empty if no document describes one.
        route: the name of the route that leads to it, empty if none is known.
        name: the server's name, which expressions read as `mcp.tool.target`.
        alias_of: what the documents call it, where two routes lead to it and each is a server.
        path: its path at the gateway.
        hosts: the hosts that lead to it.
        upstream: its URL behind the gateway, empty if unknown.
        resource: its public URL, empty if unknown.
        scopes: what a client should request first.
        documentation: URL of its documentation.
    """

    backend: str
    name: str
    alias_of: str = ""
    route: str = ""
    path: str = DEFAULT_PATH
    hosts: frozenset[str] = frozenset({ANY})
    upstream: str = ""
    resource: str = ""
    scopes: tuple[str, ...] = ()
    documentation: str = ""


@dataclass(slots=True)
class Gathered:
    """A target with everything that was read for it."""

    target: Target
    applied: list[ReadResult] = field(default_factory=list)

    def server(self, resource: str, file: str, problems: list[Problem]) -> Server:
        """Return the server; report an issuer that two policies trust."""
        trusts = {}
        for result in self.applied:
            for issuer, terms in result.trusts.items():
                if issuer in trusts:
                    problems.append(result.second[issuer])
                trusts[issuer] = terms
        target = self.target
        rules = tuple(rule for each in self.applied for rule in each.rules)
        if target.alias_of and any(rule.when is not None and ".target" in rule.when.text for rule in rules):
            message = f"two routes lead to {target.alias_of}, and a rule compares the name of the target"
            problems.append(Problem(file=file, message=message, cure="give each route a backend of its own"))
        return Server(
            name=target.name,
            hosts=target.hosts,
            path=target.path,
            resource=resource or target.resource,
            issuers=trusts,
            policy=Policy(rules, open_without_allows=True, templates=Templates(rules)),
            anonymous=frozenset(reason for each in self.applied for reason in each.anonymous),
            origins=normal_origins([origin for each in self.applied for origin in each.origins]),
            scopes=target.scopes,
            documentation=target.documentation,
        )

    @property
    def cors(self) -> Cors:
        """What browsers may send and read."""
        return next((each.cors for each in reversed(self.applied) if each.cors is not None), Cors())


def settings_of(
    servers: Sequence[Server],
    gathered: Sequence[Gathered],
    results: Sequence[ReadResult],
    file: str,
    text: str,
    found: ReadResult,
) -> Settings:
    """Return the settings.

    Args:
        servers: one for each target, in order.
        gathered: the targets.
        results: everything that was read.
        file: the file's name, for problems.
        text: the file's text, whose digest names the policy.
        found: holds the problems and warnings so far.

    Raises:
        ConfigError: there are problems.
    """
    directory = _directory(servers, file, found.problems)
    keys = _keys(results, file, found.problems)
    if found.problems:
        raise ConfigError(found.problems)
    listen = Listen()
    return Settings(
        grpc=listen.grpc,
        http=listen.http,
        directory=directory,
        keys=keys,
        upstreams={each.target.name: each.target.upstream for each in gathered if each.target.upstream},
        cors={each.target.name: each.cors for each in gathered},
        tools={server.name: named_tools(server.policy) for server in servers},
        digest=digest(text),
        warnings=tuple(found.warnings),
        insecure_hosts=frozenset(host for each in results for host in each.insecure_hosts),
        **bounds_of(LimitsModel()),
    )


def _keys(results: Sequence[ReadResult], file: str, problems: list[Problem]) -> dict[str, IssuerKeys]:
    """Return where keys come from: an issuer has one key set for all servers."""
    keys: dict[str, IssuerKeys] = {}
    for result in results:
        for issuer, found in result.keys.items():
            if keys.setdefault(issuer, found) != found:
                message = f"two policies name different keys for {issuer}"
                problems.append(Problem(file=file, message=message, cure="name the same in both"))
    return keys


def _directory(servers: Sequence[Server], file: str, problems: list[Problem]) -> Directory:
    names = [server.name for server in servers]
    for name in sorted({name for name in names if names.count(name) > 1}):
        message, cure = f"two targets are named {name}", "give them different names"
        problems.append(Problem(file=file, message=message, cure=cure))
    try:
        return Directory(tuple(servers))
    except ValueError as error:
        cure = "route them by different hosts or paths"
        problems.append(Problem(file=file, message=str(error), cure=cure))
        return Directory(())

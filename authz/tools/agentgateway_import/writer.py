"""AgentgatewayPolicy documents -> a native policy file that decides alike.

Rules of this file:

* The documents are read by the very reader that `serve` uses; what it makes of them is written down. So whatever it
  refuses is refused here, and the terms of trust are the same.
* A rule selects the tools that its expression pins, and keeps the rest of the expression as `when`. Nothing is left
  of a rule whose expression can never be true, but a comment.
* Require has no native twin. A deny of the negation is one, exactly: a Require denies unless its expression is true,
  a deny denies unless its expression is false, and `!` turns true into false, false into true, and leaves an error
  one; of a value that is no boolean it makes an error.
* With `fix_scopes` an allow's test for letters in a scope (or role) becomes one for the whole word. A deny is left as
  it is: there the whole word would deny less.
* Before it is given back, the file is loaded.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml

from authz.config.agentgateway.documents import build_kubernetes
from authz.config.lint.expressions import substring_tests
from authz.config.native.build import build
from authz.config.native.model import PolicyFile
from authz.config.problems import ConfigError, Problem
from authz.config.settings import Cors, IssuerKeys, Settings
from authz.config.validation import validate
from authz.config.yaml_document import read_documents
from authz.core.identity.issuer import IssuerTerms
from authz.core.mcp.item import Kind
from authz.core.policy.rule import Effect, Rule
from authz.core.servers import ANY, Server, authorities
from authz.tools.agentgateway_import.conjunctions import contained_word, pinned, split
from authz.tools.agentgateway_import.placeholders import Placeholders

_EVERYTHING = {f"{kind}s": ["*"] for kind in Kind}
_ANY_TOOL = {"tools": ["*"]}
_SCOPES, _ROLES = frozenset({"scope"}), frozenset({"roles"})
_LOCAL = "http://localhost"
_MAX_NAME = 63
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")
_WIDTH = 1_000_000
_REQUIRE = "Require {name}: it denies unless true, and so does a deny of its negation, errors included."
_NEVER = "{name} was left out: no tool has two names, so it is never true."
_NO_RULES = "Without rules the documents allow everything to every valid token."


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user chose.

    Attributes:
        fix_scopes: compare whole words where the documents look for letters.
        resource: the server's public URL, empty when not given.
        upstream: where the MCP server is, empty to take it from the documents.
    """

    fix_scopes: bool = False
    resource: str = ""
    upstream: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """A native file's text, and what its reader should know, one sentence each."""

    text: str
    warnings: tuple[str, ...]


def native_text(text: str, file: str, choices: Choices, environment: Mapping[str, str]) -> Imported:
    """Write Kubernetes documents with an AgentgatewayPolicy as a native file.

    Args:
        text: the documents.
        file: their file's name, for problems.
        choices: what the user chose.
        environment: values for `${NAME}` where the name cannot be kept.

    Raises:
        ConfigError: the documents cannot be used, or cannot be said natively.
    """
    placeholders = Placeholders()
    warnings: list[str] = []
    try:
        settings = _read(text, file, placeholders)
    except ConfigError:
        settings = _read(text, file, environment)  # a variable that stands for a port, say
        if placeholders.names:
            warnings.append(f"the values of {', '.join(placeholders.names)} were written, not their names")
    written = _PolicyWriter(settings, choices, placeholders, warnings).text()
    _verify(written, placeholders)
    # What the reader says of expressions is said again, of what was made of them.
    doubts = [str(found) for found in settings.warnings if "matchExpressions" not in found.key]
    return Imported(written, (*doubts, *dict.fromkeys(warnings)))


def _read(text: str, file: str, environment: Mapping[str, str]) -> Settings:
    documents = read_documents(text, file, environment)
    if not documents:
        raise ConfigError([Problem(file=file, message="holds no documents")])
    return build_kubernetes(documents, text, resource="", jwks={})


def _verify(written: str, environment: Mapping[str, str]) -> None:
    (document,) = read_documents(written, "the native file", environment)
    build(validate(PolicyFile, document), document, written)


@dataclass(slots=True)
class _PolicyWriter:
    settings: Settings
    choices: Choices
    placeholders: Placeholders
    warnings: list[str]

    def text(self) -> str:
        head: dict[str, Any] = {}
        if self.settings.insecure_hosts:
            head["insecure_hosts"] = sorted(self.settings.insecure_hosts)
        servers = self.settings.directory.servers
        names = {issuer: f"issuer-{index}" for index, issuer in enumerate(servers[0].issuers, 1)}
        head["issuers"] = {names[issuer]: self._issuer(trust) for issuer, trust in servers[0].issuers.items()}
        lines = ["# Written by mcp-authz import.", *self._yaml(head), "servers:"]
        for server in servers:
            lines += self._server(server, list(names.values()))
        return "\n".join(lines) + "\n"

    def _issuer(self, trust: IssuerTerms) -> dict[str, Any]:
        keys = self.settings.keys.get(trust.issuer, IssuerKeys(issuer=trust.issuer))
        if keys.inline:
            self.warnings.append(
                f"the inline keys of {trust.issuer} have no native twin; its discovery document is asked instead"
            )
        said = {"issuer": trust.issuer, "audiences": sorted(trust.audiences)}
        if keys.jwks_uri:
            said["jwks_uri"] = keys.jwks_uri
        return {**said, "algorithms": sorted(trust.algorithms)}

    def _server(self, server: Server, issuers: list[str]) -> list[str]:
        if self.settings.cors[server.name] != Cors():
            self.warnings.append("traffic.cors: only allowOrigins has a native key")
        resource = self._resource(server)
        said: dict[str, Any] = {"resource": resource}
        upstream = self.choices.upstream or self.settings.upstreams.get(server.name, "")
        if upstream:
            said["upstream"] = upstream
        hosts = sorted(server.hosts - authorities(resource))
        said |= {"hosts": hosts} if hosts else {}
        said["issuers"] = issuers
        said |= {"origins": sorted(server.origins)} if server.origins else {}
        rules = [line for rule in server.policy.rules for line in self._rule(rule)]
        if not server.policy.rules:
            rules = [f"# {_NO_RULES}", *self._yaml([{"allow": _EVERYTHING}])]
        written = any(not line.startswith("#") for line in rules)
        body = [*self._yaml(said), "rules:" if written else "rules: []", *_indented(rules)]
        return [f"  {_name(server.name)}:", *_indented(_indented(body))]

    def _resource(self, server: Server) -> str:
        """Give the public URL; the documents know none, so without the user's the first host will have to do."""
        if self.choices.resource:
            path = urlsplit(self.choices.resource).path or "/"
            if path != server.path:
                self.warnings.append(f"--resource has the path {path}, the documents route {server.path}")
            return self.choices.resource
        host = next(iter(sorted(server.hosts - {ANY})), "")
        url = f"https://{host}{server.path}" if host else f"{_LOCAL}{server.path}"
        self.warnings.append(f"resource is a guess, {url}: metadata and challenges name it (give --resource)")
        return url

    def _rule(self, rule: Rule) -> list[str]:
        name = _name(rule.name)
        text = rule.when.text if rule.when is not None else "true"
        if rule.effect is Effect.REQUIRE:
            negation = f"!({' && '.join(split(text))})"
            said = {"name": name, "deny": _EVERYTHING, "when": negation}
            return [f"# {_REQUIRE.format(name=name)}", *self._yaml([said])]
        names, rest = pinned(text)
        if names is not None and not names:
            return [f"# {_NEVER.format(name=name)}"]
        said = {"name": name, str(rule.effect): _select(rule, names)}
        return self._yaml([said | self._conditions(rule, name, rest)])

    def _conditions(self, rule: Rule, name: str, pieces: list[str]) -> dict[str, Any]:
        words: dict[str, list[str]] = {"scopes": [], "roles": []}
        rest = list(pieces)
        if self.choices.fix_scopes and rule.effect is Effect.ALLOW:
            rest = [piece for piece in pieces if not _whole_word(piece, words)]
        said: dict[str, Any] = {key: listed for key, listed in words.items() if listed}
        if rest:
            said["when"] = " && ".join(rest)
            for found in substring_tests(said["when"], _SCOPES):
                self.warnings.append(f"rule {name}: {found.message}{self._advice(rule)}")
        return said

    def _advice(self, rule: Rule) -> str:
        if not self.choices.fix_scopes:
            return " (--fix-scopes compares whole words)"
        return " (left as it is)" if rule.effect is Effect.ALLOW else " (a deny is left as it is)"

    def _yaml(self, value: Any) -> list[str]:
        """Write a value in blocks, its innermost collections in a line."""
        text = yaml.safe_dump(
            self.placeholders.restore(value),
            sort_keys=False,
            default_flow_style=None,
            width=_WIDTH,
            allow_unicode=True,
        )
        return str(text).splitlines()


def _select(rule: Rule, names: frozenset[str] | None) -> dict[str, list[str]]:
    """Give what a rule is about: the tools it is pinned to, or where they cannot be said, all of that kind."""
    if rule.selector.patterns.get(Kind.PROMPT):
        return _EVERYTHING
    listed = names or rule.selector.exact.get(Kind.TOOL, frozenset())
    starred = rule.selector.patterns.get(Kind.TOOL)
    return {"tools": sorted(listed)} if listed and not starred and "" not in listed else _ANY_TOOL


def _whole_word(piece: str, words: dict[str, list[str]]) -> bool:
    """Note the word that a piece looks for, where whole words can be asked for instead."""
    scope = contained_word(piece, _SCOPES)
    role = contained_word(piece, _ROLES)
    if scope and " " not in scope:
        words["scopes"].append(scope)
    elif role and not words["roles"]:  # one of the roles is enough natively, and two pieces mean both
        words["roles"].append(role)
    else:
        return False
    return True


def _name(text: str) -> str:
    """Give a name that the native file can have for one that Kubernetes has."""
    return _NOT_IN_NAMES.sub("-", text)[-_MAX_NAME:].lstrip("-._")


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" if line else line for line in lines)

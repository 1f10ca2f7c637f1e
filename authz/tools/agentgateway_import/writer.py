"""AgentgatewayPolicy documents -> a native policy file that makes the same decisions.

Rules of this module:

* The documents are read by the reader that `serve` uses, and its result is written down. So this module refuses what
  the reader refuses, and the terms of trust are the same.
* A rule selects the tools that its expression pins, and keeps the rest of the expression as `when`. A rule whose
  expression can never be true becomes a comment.
* The native form has no Require. A deny of the negation is exactly equivalent: a Require denies unless its expression
  is true, a deny denies unless its expression is false, and `!` swaps true and false. `!` of an error, or of a value
  that is not a boolean, is an error.
* With `fix_scopes`, an allow that searches a scope (or role) string requires the whole word instead. A deny is left as
  it is, because the whole word would deny less.
* The file is loaded before it is returned.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import yaml

from authz.config.agentgateway.documents import build_kubernetes
from authz.config.agentgateway.standalone import build_standalone
from authz.config.files import Files
from authz.config.lint.expressions import substring_tests
from authz.config.native.build import build
from authz.config.native.model import PolicyFile
from authz.config.problems import ConfigError, mistake
from authz.config.settings import MAX_CORS_AGE, Cors, IssuerKeys, Settings
from authz.config.validation import validate
from authz.config.yaml_document import is_foreign, is_kubernetes, read_documents
from authz.core.identity.issuer import IssuerTerms
from authz.core.mcp.item import Kind
from authz.core.policy.rule import Effect, Rule
from authz.core.servers import ANY, Server, authorities
from authz.tools.agentgateway_import.conjunctions import contained_word, pinned, split
from authz.tools.agentgateway_import.placeholders import Placeholders

_EVERYTHING = {f"{kind}s": ["*"] for kind in Kind}
_ANY_TOOL = {"tools": ["*"]}
_SCOPES, _ROLES = frozenset({"scope"}), frozenset({"roles"})
_MAX_NAME = 63
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")
_WIDTH = 1_000_000
_REQUIRE = "Require {name}: it denies unless true, and so does a deny of its negation, errors included."
_NEVER = "{name} was left out: no tool has two names, so it is never true."
_NO_RULES = "Without rules the documents allow everything to every valid token."
_NO_ALLOWS = "Without an Allow the documents allow what no Deny and no Require keeps out."


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportChoices:
    """What the user chose.

    Attributes:
        fix_scopes: compare whole words where the documents search a string.
        resource: the server's public URL, empty when not given.
        upstream: where the MCP server is, empty to take it from the documents.
    """

    fix_scopes: bool = False
    resource: str = ""
    upstream: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """A native file's text, and warnings about it, one sentence each."""

    text: str
    warnings: tuple[str, ...]


def native_text(text: str, file: str, choices: ImportChoices, environment: Mapping[str, str]) -> Imported:
    """Turn Kubernetes documents with an AgentgatewayPolicy into a native file.

    Args:
        text: the documents.
        file: the name of their file, for problems.
        choices: what the user chose.
        environment: values for each `${NAME}` whose name cannot be kept.

    Raises:
        ConfigError: the documents cannot be used, or have no native form.
    """
    placeholders = Placeholders()
    warnings: list[str] = []
    try:
        settings = _read(text, file, placeholders)
    except ConfigError:
        settings = _read(text, file, environment)  # a variable in the place of a port, for example
        if placeholders.names:
            warnings.append(f"the values of {', '.join(placeholders.names)} were written, not their names")
    written = _PolicyWriter(settings, choices, placeholders, warnings).text()
    _verify(written, placeholders)
    # The reader's warnings about expressions are left out: the native form of each is linted by itself.
    doubts = [str(found) for found in settings.warnings if "matchExpressions" not in found.key]
    return Imported(written, (*doubts, *dict.fromkeys(warnings)))


def _read(text: str, file: str, environment: Mapping[str, str]) -> Settings:
    documents = read_documents(text, file, environment)
    if not documents:
        raise mistake(file, "holds no documents")
    if not any(map(is_kubernetes, documents)) and is_foreign(documents[0]):
        return build_standalone(documents[0], text, read=Files().read, resource="", jwks={})
    return build_kubernetes(documents, text, resource="", jwks={})


def _verify(written: str, environment: Mapping[str, str]) -> None:
    (document,) = read_documents(written, "the native file", environment)
    build(validate(PolicyFile, document), document, written, {})


@dataclass(slots=True)
class _PolicyWriter:
    settings: Settings
    choices: ImportChoices
    placeholders: Placeholders
    warnings: list[str]

    def text(self) -> str:
        servers = self.settings.directory.servers
        terms = self._terms(servers)
        names = {issuer: f"issuer-{index}" for index, issuer in enumerate(terms, 1)}
        head = _present(
            insecure_hosts=sorted(self.settings.insecure_hosts),
            issuers={names[issuer]: self._issuer(each) for issuer, each in terms.items()},
        )
        lines = ["# Written by mcp-authz import.", *self._yaml(head), "servers:"]
        for server in servers:
            lines += self._server(server, [names[issuer] for issuer in server.issuers], terms)
        return "\n".join(lines) + "\n"

    def _terms(self, servers: Sequence[Server]) -> dict[str, IssuerTerms]:
        """Return the terms of each issuer with the audiences of all servers; each server narrows them to its own."""
        terms: dict[str, IssuerTerms] = {}
        for server in servers:
            for issuer, own in server.issuers.items():
                known = terms.get(issuer, own)
                terms[issuer] = replace(known, audiences=known.audiences | own.audiences)
        for server in servers:
            accepted = _audiences(server)
            for issuer, own in server.issuers.items():
                if terms[issuer].audiences & accepted != own.audiences:
                    message = f"{server.name} accepts an audience of one issuer that another server accepts of {issuer}"
                    raise mistake(server.name, message, "give each server a file of its own")
        return terms

    def _issuer(self, terms: IssuerTerms) -> dict[str, Any]:
        keys = self.settings.keys.get(terms.issuer, IssuerKeys(issuer=terms.issuer))
        if keys.inline:
            self.warnings.append(
                f"the inline keys of {terms.issuer} have no native form; keys come from its discovery document instead"
            )
        return _present(
            issuer=terms.issuer,
            audiences=sorted(terms.audiences),
            jwks_uri=keys.jwks_uri,
            algorithms=sorted(terms.algorithms),
            subject="" if terms.require_subject else "optional",
        )

    def _server(self, server: Server, issuers: list[str], terms: Mapping[str, IssuerTerms]) -> list[str]:
        narrowed = any(terms[issuer].audiences != own.audiences for issuer, own in server.issuers.items())
        resource = self._resource(server)
        section = _present(
            resource=resource,
            upstream=self.choices.upstream or self.settings.upstreams.get(server.name, ""),
            hosts=sorted(server.hosts - authorities(resource)),
            issuers=issuers,
            audiences=sorted(_audiences(server)) if narrowed else [],
            origins=sorted(server.origins),
            cors=self._cors(self.settings.cors[server.name]),
            scopes=list(server.scopes),
            resource_documentation=server.documentation,
        )
        rules = [line for rule in server.policy.rules for line in self._rule(rule)]
        if server.policy.is_open:
            why = _NO_ALLOWS if server.policy.rules else _NO_RULES
            rules += [f"# {why}", *self._yaml([{"allow": _EVERYTHING}])]
        written = any(not line.startswith("#") for line in rules)
        body = [*self._yaml(section), "rules:" if written else "rules: []", *_indented(rules)]
        return [f"  {_name(server.name)}:", *_indented(_indented(body))]

    def _cors(self, cors: Cors) -> dict[str, Any]:
        """Return what the documents say beyond what MCP needs, which a native file need not say."""
        needed = Cors()
        if cors.allow_credentials:
            self.warnings.append(
                "traffic.cors.allowCredentials has no native key: bearer tokens do not need it"
            )
        longest = min(max(cors.max_age, 0), MAX_CORS_AGE)
        return _present(
            allow_headers=_beyond(cors.allow_headers, needed.allow_headers),
            expose_headers=_beyond(cors.expose_headers, needed.expose_headers),
        ) | ({} if longest == needed.max_age else {"max_age": longest})

    def _resource(self, server: Server) -> str:
        """Return the public URL: the user's, or a guess from the first host, because the documents have none."""
        if self.choices.resource:
            path = urlsplit(self.choices.resource).path or "/"
            if path != server.path:
                self.warnings.append(f"--resource has the path {path}, the documents route {server.path}")
            return self.choices.resource
        if server.resource:
            return server.resource
        host = next(iter(sorted(server.hosts - {ANY})), "")
        url = f"https://{host}{server.path}" if host else f"http://localhost{server.path}"
        self.warnings.append(f"resource is a guess, {url}: metadata and challenges name it (give --resource)")
        return url

    def _rule(self, rule: Rule) -> list[str]:
        name = _name(rule.name)
        text = rule.when.text if rule.when is not None else "true"
        if rule.effect is Effect.REQUIRE:
            negation = f"!({' && '.join(split(text))})"
            return [
                f"# {_REQUIRE.format(name=name)}",
                *self._yaml([{"name": name, "deny": _EVERYTHING, "when": negation}]),
            ]
        names, parts = pinned(text)
        if names is not None and not names:
            return [f"# {_NEVER.format(name=name)}"]
        selected = {"name": name, str(rule.effect): _select(rule, names)}
        return self._yaml([selected | self._conditions(rule, name, parts)])

    def _conditions(self, rule: Rule, name: str, parts: list[str]) -> dict[str, Any]:
        words: dict[str, list[str]] = {"scopes": [], "roles": []}
        if self.choices.fix_scopes and rule.effect is Effect.ALLOW:
            parts = [part for part in parts if not _whole_word(part, words)]
        when = " && ".join(parts)
        for found in substring_tests(when, _SCOPES) if when else ():
            self.warnings.append(f"rule {name}: {found.message}{self._advice(rule)}")
        return _present(**words, when=when)

    def _advice(self, rule: Rule) -> str:
        if not self.choices.fix_scopes:
            return " (--fix-scopes compares whole words)"
        return " (left as it is)" if rule.effect is Effect.ALLOW else " (a deny is left as it is)"

    def _yaml(self, value: Any) -> list[str]:
        """Write a value in block style, its innermost collections on one line."""
        text = yaml.safe_dump(
            self.placeholders.restore(value),
            sort_keys=False,
            default_flow_style=None,
            width=_WIDTH,
            allow_unicode=True,
        )
        return str(text).splitlines()


def _beyond(names: Iterable[str], needed: Iterable[str]) -> list[str]:
    known = {ANY, *map(str.lower, needed)}
    return [name for name in names if name.lower() not in known]


def _audiences(server: Server) -> frozenset[str]:
    """Return the audiences that a server accepts of any issuer."""
    return frozenset(name for terms in server.issuers.values() for name in terms.audiences)


def _present(**keys: Any) -> dict[str, Any]:
    """Return the keys that have a value."""
    return {key: value for key, value in keys.items() if value}


def _select(rule: Rule, names: frozenset[str] | None) -> dict[str, list[str]]:
    """Return what a rule selects: the tools it is pinned to, or every tool if their names cannot be written."""
    if rule.selector.patterns.get(Kind.PROMPT):
        return _EVERYTHING
    listed = names or rule.selector.exact.get(Kind.TOOL, frozenset())
    starred = rule.selector.patterns.get(Kind.TOOL)
    return {"tools": sorted(listed)} if listed and not starred and "" not in listed else _ANY_TOOL


def _whole_word(part: str, words: dict[str, list[str]]) -> bool:
    """Note the word that a part searches for, if the rule can require the whole word instead."""
    scope = contained_word(part, _SCOPES)
    role = contained_word(part, _ROLES)
    if scope and " " not in scope:
        words["scopes"].append(scope)
    elif role and not words["roles"]:  # natively one of the roles is enough, and two parts mean both
        words["roles"].append(role)
    else:
        return False
    return True


def _name(text: str) -> str:
    """Return a Kubernetes name in the form that the native file accepts."""
    return _NOT_IN_NAMES.sub("-", text)[-_MAX_NAME:].lstrip("-._")


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" if line else line for line in lines)

"""AgentgatewayPolicy documents -> what they say, with the meaning agentgateway gives them.

Rules of this file:

* Each expression is a rule of its own that is about everything; `action` gives the effect. Any Deny true denies,
  every Require must be true, any Allow true allows, with no rule at all everything is allowed. One deliberate
  difference: a Deny that fails to evaluate denies.
* What is not read here is either in `_HARMLESS`, and warned of, or an error: a key that is skipped in silence could
  have been the one that kept somebody out.
* An expression that pins the tool's name (`mcp.tool.name == "echo" && …`) is indexed under that name. This changes
  the cost, never the outcome: for any other name the expression is false. A Require is never narrowed, because it
  denies where it is false.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from authz.config.build import ARGUMENTS, expression_problem
from authz.config.document import Document, Path
from authz.config.expressions import ExpressionError, compile_expression, names_equal_to
from authz.config.problems import Problem
from authz.config.settings import Cors, IssuerKeys
from authz.core.item import Kind
from authz.core.keys import ALGORITHMS
from authz.core.rule import Effect, Rule, Selector
from authz.core.token import Trust

KIND = "AgentgatewayPolicy"

_READ: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "spec": frozenset({"targetRefs", "traffic", "backend"}),
        "spec.traffic": frozenset({"cors", "jwtAuthentication"}),
        "spec.traffic.cors": frozenset(
            {"allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders", "maxAge", "allowCredentials"},
        ),
        "spec.traffic.jwtAuthentication": frozenset({"mode", "providers"}),
        "spec.backend": frozenset({"mcp"}),
        "spec.backend.mcp": frozenset({"authorization"}),
        "spec.backend.mcp.authorization": frozenset({"action", "policy"}),
        "spec.backend.mcp.authorization.policy": frozenset({"matchExpressions"}),
    },
)
_PROVIDER = frozenset({"issuer", "audiences", "jwks", "location"})
_HARMLESS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "spec": frozenset({"frontend"}),
        "spec.traffic": frozenset({"timeouts", "retry", "headerModifiers", "hostRewrite", "phase"}),
        "spec.backend": frozenset({"tls", "tcp", "http"}),
    },
)
_EFFECTS = MappingProxyType({"Allow": Effect.ALLOW, "Deny": Effect.DENY, "Require": Effect.REQUIRE})
_HERE = "mcp-authz does not act on this key, and it may decide who gets in"


@dataclass(slots=True)
class Reading:
    """What was found in policy documents so far.

    Attributes:
        trusts: accepted issuers by `iss`.
        keys: where their keys come from.
        rules: rules with the name of the backend they are bound to, empty for all.
        origins: origins that CORS admits.
        cors: what the CORS filter is told, None when no document says.
        problems: what prevents use.
        warnings: what does not.
    """

    trusts: dict[str, Trust] = field(default_factory=dict)
    keys: dict[str, IssuerKeys] = field(default_factory=dict)
    rules: list[tuple[str, Rule]] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    cors: Cors | None = None
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def read_policy(document: Document, reading: Reading, jwks: Mapping[str, str]) -> None:
    """Add one AgentgatewayPolicy to a reading.

    Args:
        document: the policy.
        reading: receives rules, issuers and problems.
        jwks: `iss` to a key set URL that replaces the document's.
    """
    reader = _Reader(document, reading, jwks)
    reader.known_keys()
    reader.cors()
    reader.issuers()
    reader.rules()


class _Reader:
    def __init__(self, document: Document, reading: Reading, jwks: Mapping[str, str]) -> None:
        self.document = document
        self.reading = reading
        self.jwks = jwks

    def at(self, path: str, kind: type[dict[str, Any]] | type[list[Any]] = dict) -> Any:
        """Give the value at a dotted path when it is of the wanted type, else an empty one; a wrong type is reported."""
        value: Any = self.document.value
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None and not isinstance(value, kind):
            self.report(_path(path), "a mapping is needed" if kind is dict else "a list is needed")
        return value if isinstance(value, kind) else kind()

    def report(self, path: Path, message: str, cure: str = "") -> None:
        self.reading.problems.append(self.document.problem(path, message, cure))

    def known_keys(self) -> None:
        for path, known in _READ.items():
            for key in self.at(path):
                if key in known:
                    continue
                place = (*_path(path), key)
                if key in _HARMLESS.get(path, ()):
                    self.reading.warnings.append(self.document.problem(place, "not acted on by mcp-authz"))
                else:
                    self.report(place, _HERE, "remove it, or enforce it elsewhere")

    def cors(self) -> None:
        cors = self.at("spec.traffic.cors")
        if not cors:
            return
        path = _path("spec.traffic.cors")
        defaults = Cors()
        self.reading.origins.extend(self._strings(cors, "allowOrigins", path))
        self.reading.cors = Cors(
            allow_methods=tuple(self._strings(cors, "allowMethods", path)) or defaults.allow_methods,
            allow_headers=tuple(self._strings(cors, "allowHeaders", path)) or defaults.allow_headers,
            expose_headers=tuple(self._strings(cors, "exposeHeaders", path)) or defaults.expose_headers,
            max_age=cors["maxAge"] if isinstance(cors.get("maxAge"), int) else defaults.max_age,
            allow_credentials=cors.get("allowCredentials") is True,
        )

    def _strings(self, mapping: Mapping[str, Any], key: str, path: Path) -> list[str]:
        value = mapping.get(key, [])
        if isinstance(value, list) and all(isinstance(part, str) and part for part in value):
            return value
        self.report((*path, key), "a list of strings is needed")
        return []

    def issuers(self) -> None:
        section = self.at("spec.traffic.jwtAuthentication")
        path = _path("spec.traffic.jwtAuthentication")
        if section.get("mode", "Strict") != "Strict":
            cure = "set mode: Strict, so that every request needs a valid token"
            self.report((*path, "mode"), "only Strict keeps callers without a token out", cure)
        for index, provider in enumerate(self.at("spec.traffic.jwtAuthentication.providers", list)):
            self._provider(provider, (*path, "providers", index))

    def _provider(self, provider: Any, path: Path) -> None:
        if (
            not isinstance(provider, dict)
            or not isinstance(provider.get("issuer"), str)
            or not provider["issuer"]
        ):
            self.report((*path, "issuer"), "this key is required")
            return
        for key in provider.keys() - _PROVIDER:
            self.report((*path, key), _HERE, "remove it, or enforce it elsewhere")
        self._location(provider.get("location"), (*path, "location"))
        issuer = provider["issuer"]
        audiences = self._strings(provider, "audiences", path)
        if not audiences:
            self.report(
                (*path, "audiences"), "without audiences a token for any API would do", "name this API's"
            )
        elif issuer in self.reading.trusts:
            self.report((*path, "issuer"), f"a second provider for {issuer}", "merge the two")
        else:
            self.reading.trusts[issuer] = Trust(
                issuer=issuer, audiences=frozenset(audiences), algorithms=ALGORITHMS
            )
            self.reading.keys[issuer] = self._keys(issuer, provider.get("jwks"), (*path, "jwks"))

    def _location(self, location: Any, path: Path) -> None:
        header = location.get("header", {}) if isinstance(location, dict) else {}
        usual = isinstance(header, dict) and (
            str(header.get("name", "Authorization")).lower() == "authorization"
            and str(header.get("prefix", "Bearer")).strip().lower() == "bearer"
        )
        if not usual or (isinstance(location, dict) and location.keys() - {"header"}):
            cure = "send the token as Authorization: Bearer, as MCP requires"
            self.report(path, "a token is read from the Authorization header only", cure)

    def _keys(self, issuer: str, jwks: Any, path: Path) -> IssuerKeys:
        if issuer in self.jwks:
            return IssuerKeys(issuer=issuer, jwks_uri=self.jwks[issuer])
        jwks = jwks if isinstance(jwks, dict) else {}
        inline, remote = jwks.get("inline"), jwks.get("remote")
        if isinstance(inline, str | dict):
            text = inline if isinstance(inline, str) else json.dumps(inline)
            return IssuerKeys(issuer=issuer, inline=text.encode())
        if isinstance(remote, dict):
            url = remote.get("url") or _service_url(remote)
            if url:
                return IssuerKeys(issuer=issuer, jwks_uri=url)
        if jwks:
            self.report(
                path,
                "no key set can be found here",
                "give inline, remote.url, or remote.jwksPath and backendRef",
            )
        return IssuerKeys(issuer=issuer)

    def rules(self) -> None:
        section = self.at("spec.backend.mcp.authorization")
        path = _path("spec.backend.mcp.authorization")
        if not section:
            return
        effect = _EFFECTS.get(section.get("action", "Allow"))
        if effect is None:
            self.report((*path, "action"), "unknown action", "use Allow, Deny or Require")
            return
        where = "spec.backend.mcp.authorization.policy.matchExpressions"
        for index, text in enumerate(self.at(where, list)):
            self._rule(effect, text, (*_path(where), index))

    def _rule(self, effect: Effect, text: Any, path: Path) -> None:
        if not isinstance(text, str):
            self.report(path, "a CEL expression in a string is needed")
            return
        try:
            expression = compile_expression(text, forbidden=ARGUMENTS)
        except ExpressionError as error:
            self.reading.problems.append(expression_problem(self.document, path, error))
            return
        names = None if effect is Effect.REQUIRE else names_equal_to(text, "mcp.tool.name")
        selector = Selector.everything() if names is None else Selector.of({Kind.TOOL: tuple(sorted(names))})
        policy = self.at("metadata").get("name", "policy")
        name = f"{policy}/{effect}-{path[-1] + 1 if isinstance(path[-1], int) else 1}"
        for backend in self._backends():
            self.reading.rules.append(
                (backend, Rule(name=name, effect=effect, selector=selector, when=expression))
            )

    def _backends(self) -> list[str]:
        """Give the backends the policy is bound to; empty text for all behind its Gateway or route."""
        refs = [ref for ref in self.at("spec.targetRefs", list) if isinstance(ref, dict)]
        bound = [str(ref.get("name", "")) for ref in refs if ref.get("kind") == "AgentgatewayBackend"]
        return bound or [""]


def _path(dotted: str) -> Path:
    return tuple(dotted.split("."))


def _service_url(remote: Mapping[str, Any]) -> str:
    """Give the cluster-internal URL of a key set behind a Service."""
    ref = remote.get("backendRef")
    if (
        not isinstance(ref, dict)
        or not isinstance(ref.get("name"), str)
        or not isinstance(ref.get("port"), int)
    ):
        return ""
    path = str(remote.get("jwksPath", "")).lstrip("/")
    return f"http://{ref['name']}.{ref.get('namespace', 'default')}.svc.cluster.local:{ref['port']}/{path}"

"""AgentgatewayPolicy documents -> rules, issuers and CORS, with the meaning that agentgateway gives them.

Rules of this module:

* Each expression is a rule of its own that selects everything; `action` is its effect. Any true Deny denies, every
  Require must be true, any true Allow allows. Without any Allow, what is left is allowed. One deliberate difference: a
  Deny that fails to evaluate denies.
* A key that is not read here is in `_HARMLESS` and causes a warning, or it is an error: a key that is skipped silently
  could be the one that keeps a caller out.
* An expression that pins the tool's name (`mcp.tool.name == "echo" && …`) is indexed under that name. For any other
  tool it is false, so this changes the cost and not the outcome. A prompt or a resource has no tool name, so a Deny
  that pins one does not select it. A Require is never narrowed, because it denies where it is false.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from authz.config.agentgateway.providers import ProviderReader
from authz.config.agentgateway.reader import UNREAD, UNREAD_CURE, DocumentReader, ReadResult, path_of
from authz.config.cel.compile import compile_expression
from authz.config.cel.tree import names_equal_to
from authz.config.cel.typecheck import ExpressionError
from authz.config.lint.expressions import expression_findings, placed
from authz.config.lint.names import origin_findings
from authz.config.native.rules import ARGUMENTS, expression_problem
from authz.config.settings import Cors
from authz.config.yaml_document import Document, Path
from authz.core.mcp.item import Kind
from authz.core.policy.rule import Effect, Rule, Selector

KIND = "AgentgatewayPolicy"
BACKEND = "AgentgatewayBackend"
VERSION = "agentgateway.dev/v1alpha1"
ENTERPRISE = "Enterprise"
"""What the kinds of the commercial distribution begin with; their spec is the same as far as it is read here."""
_VERSIONS = {KIND: VERSION, ENTERPRISE + KIND: "enterpriseagentgateway.solo.io/v1alpha1"}

_READ: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "": frozenset({"apiVersion", "kind", "metadata", "spec", "status"}),
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
_HARMLESS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "spec": frozenset({"frontend"}),
        "spec.traffic": frozenset({"timeouts", "retry", "headerModifiers", "hostRewrite", "phase"}),
        "spec.backend": frozenset({"tls", "tcp", "http"}),
    },
)
_INSTEAD: Mapping[str, str] = MappingProxyType(
    {
        "spec.backend.mcp.authentication": "name its issuer, audiences and jwks in traffic.jwtAuthentication",
        "spec.traffic.jwtAuthentication.mcp": "remove it: the service serves the metadata by itself; give --resource URL",
    }
)
"""Keys that are not read and whose meaning can be had in another way."""
RULES = "spec.backend.mcp.authorization"
_SCOPES = frozenset({"scope"})
"""The claim that holds scopes; these documents cannot name another."""
_EFFECTS = MappingProxyType({"Allow": Effect.ALLOW, "Deny": Effect.DENY, "Require": Effect.REQUIRE})


def read_policy(
    document: Document, result: ReadResult, jwks: Mapping[str, str], *, allow_anonymous: bool = False
) -> None:
    """Add what one AgentgatewayPolicy says to a result.

    Args:
        document: the policy.
        result: receives rules, issuers and problems.
        jwks: issuer to a key set URL that replaces the document's.
        allow_anonymous: whether `mode: Optional` and `mode: Permissive` are accepted.
    """
    reader = _PolicyReader(document, result)
    reader.check_keys()
    reader.cors()
    ProviderReader(document, result, jwks, allow_anonymous=allow_anonymous).read()
    reader.rules()


class _PolicyReader(DocumentReader):
    def check_keys(self) -> None:
        version = _VERSIONS.get(str(self.document.value.get("kind")), VERSION)
        if self.document.value.get("apiVersion") != version:
            self.report(("apiVersion",), "another version may mean something else", f"use {version}")
        for path, known in _READ.items():
            for key in self.at(path):
                if key in known:
                    continue
                place = (*path_of(path), key)
                if key in _HARMLESS.get(path, ()):
                    self.warn(place, "not acted on by mcp-authz")
                else:
                    self.report(place, UNREAD, _INSTEAD.get(".".join(place), UNREAD_CURE))
        self.at("spec.targetRefs", list)

    def cors(self) -> None:
        cors = self.at("spec.traffic.cors")
        if cors:
            read_cors(self, cors, path_of("spec.traffic.cors"))

    def rules(self) -> None:
        section, path = self.at(RULES), path_of(RULES)
        if self.at("spec.backend.mcp").get("authorization") is None:
            return
        action = section.get("action", "Allow")
        effect = _EFFECTS.get(action) if isinstance(action, str) else None
        if effect is None:
            self.report((*path, "action"), "unknown action", "use Allow, Deny or Require")
            return
        expressions = self.at(f"{RULES}.policy.matchExpressions", list)
        if not expressions:
            message = "no expression, and without rules everything is allowed"
            self.report((*path, "policy", "matchExpressions"), message, "write one, or remove authorization")
        for index, text in enumerate(expressions):
            name = f"{self.at('metadata').get('name', 'policy')}/{effect}-{index + 1}"
            read_rule(self, effect, text, (*path, "policy", "matchExpressions", index), name)


def read_cors(reader: DocumentReader, cors: dict[str, Any], path: Path) -> None:
    """Add what browsers may do to the reader's result."""
    defaults = Cors()
    origins = reader.strings(cors, "allowOrigins", path)
    reader.result.origins.extend(origins)
    for index, message, cure in origin_findings(origins):
        reader.warn((*path, "allowOrigins", index), message, cure)
    reader.result.cors = Cors(
        allow_methods=tuple(reader.strings(cors, "allowMethods", path)) or defaults.allow_methods,
        allow_headers=tuple(reader.strings(cors, "allowHeaders", path)) or defaults.allow_headers,
        expose_headers=tuple(reader.strings(cors, "exposeHeaders", path)) or defaults.expose_headers,
        max_age=cors["maxAge"] if isinstance(cors.get("maxAge"), int) else defaults.max_age,
        allow_credentials=cors.get("allowCredentials") is True,
    )


def read_rule(reader: DocumentReader, effect: Effect, text: Any, path: Path, name: str) -> None:
    """Add the rule of one expression to the reader's result; report what is wrong or likely not meant with it."""
    document, result = reader.document, reader.result
    if not isinstance(text, str):
        reader.report(path, "a CEL expression in a string is needed")
        return
    try:
        expression = compile_expression(text, forbidden=ARGUMENTS)
    except ExpressionError as error:
        result.problems.append(expression_problem(document, path, error))
        return
    findings = expression_findings(text, _SCOPES, denies=effect is Effect.DENY)
    result.warnings.extend(placed(document, path, findings))
    names = None if effect is Effect.REQUIRE else names_equal_to(text, "mcp.tool.name")
    selector = Selector.everything() if names is None else Selector.of({Kind.TOOL: tuple(sorted(names))})
    result.rules.append(Rule(name=name, effect=effect, selector=selector, when=expression))


def targets(document: Document) -> list[tuple[str, str]]:
    """Return the kind and name of each object a policy is attached to."""
    refs = DocumentReader(document, ReadResult()).at("spec.targetRefs", list)
    return [
        (str(ref.get("kind", "")).removeprefix(ENTERPRISE), str(ref.get("name", "")))
        if isinstance(ref, dict)
        else ("", "")
        for ref in refs
    ]

"""What is read from AgentgatewayPolicy documents, and how a value in one is looked up and reported."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from authz.config.problems import Problem
from authz.config.settings import Cors, IssuerKeys
from authz.config.yaml_document import Document, Path
from authz.core.identity.issuer import IssuerTerms
from authz.core.policy.rule import Rule
from authz.core.reasons import Reason

UNREAD = "mcp-authz does not act on this key, and it may decide who gets in"
UNREAD_CURE = "remove it, or enforce it elsewhere"


@dataclass(slots=True)
class ReadResult:
    """What was read from policy documents so far.

    Attributes:
        trusts: accepted issuers by `iss`.
        keys: where their keys come from.
        insecure_hosts: Services that documents name as a source of keys; they speak plain http.
        rules: rules.
        second: issuer to the problem of trusting it twice.
        origins: origins that CORS admits.
        cors: settings of the CORS filter, None if no document has them.
        metadata: what a standalone file says of the resource (RFC 9728).
        anonymous: reasons for rejecting a token that leave the caller anonymous, by the accepted modes.
        problems: findings that prevent use.
        warnings: findings that do not.
    """

    trusts: dict[str, IssuerTerms] = field(default_factory=dict)
    keys: dict[str, IssuerKeys] = field(default_factory=dict)
    insecure_hosts: set[str] = field(default_factory=set)
    rules: list[Rule] = field(default_factory=list)
    second: dict[str, Problem] = field(default_factory=dict)
    origins: list[str] = field(default_factory=list)
    cors: Cors | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    anonymous: frozenset[Reason] = frozenset()
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


class DocumentReader:
    """Reads one document into a result."""

    def __init__(self, document: Document, result: ReadResult) -> None:
        """Read from `document`, report to `result`."""
        self.document = document
        self.result = result

    def at(self, path: str, kind: type[dict[str, Any]] | type[list[Any]] = dict) -> Any:
        """Return the value at a dotted path, or an empty one if it is missing; report a wrong type."""
        value: Any = self.document.value
        for part in path_of(path):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None and not isinstance(value, kind):
            self.report(path_of(path), "a mapping is needed" if kind is dict else "a list is needed")
        return value if isinstance(value, kind) else kind()

    def report(self, path: Path, message: str, cure: str = "") -> None:
        """Add a finding that prevents use."""
        self.result.problems.append(self.document.problem(path, message, cure))

    def warn(self, path: Path, message: str, cure: str = "") -> None:
        """Add a finding that does not."""
        self.result.warnings.append(self.document.problem(path, message, cure))

    def strings(self, mapping: Mapping[str, Any], key: str, path: Path) -> list[str]:
        """Return the list of non-empty strings under a key, empty if there is none; report anything else."""
        value = mapping.get(key, [])
        if isinstance(value, list) and all(isinstance(part, str) and part for part in value):
            return value
        self.report((*path, key), "a list of strings is needed")
        return []


def path_of(dotted: str) -> Path:
    """Split a dotted path; the empty one is the document itself."""
    return tuple(dotted.split(".")) if dotted else ()

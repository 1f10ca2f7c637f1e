"""What is gathered from AgentgatewayPolicy documents, and how a value in one is looked up and complained about."""

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
    """What was found in policy documents so far.

    Attributes:
        trusts: accepted issuers by `iss`.
        keys: where their keys come from.
        insecure_hosts: hosts of Services that a document names as a source of keys; they speak plain http.
        rules: rules with the name of the backend they are bound to, empty for all.
        origins: origins that CORS admits.
        cors: what the CORS filter is told, None when no document says.
        anonymous: refusals of a token that leave a caller anonymous, by the modes that were accepted.
        problems: what prevents use.
        warnings: what does not.
    """

    trusts: dict[str, IssuerTerms] = field(default_factory=dict)
    keys: dict[str, IssuerKeys] = field(default_factory=dict)
    insecure_hosts: set[str] = field(default_factory=set)
    rules: list[tuple[str, Rule]] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    cors: Cors | None = None
    anonymous: frozenset[Reason] = frozenset()
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


class DocumentReader:
    """Reads one document into a reading."""

    def __init__(self, document: Document, reading: ReadResult) -> None:
        """Read from `document`, report to `reading`."""
        self.document = document
        self.reading = reading

    def at(self, path: str, kind: type[dict[str, Any]] | type[list[Any]] = dict) -> Any:
        """Give the value at a dotted path when it is of the wanted type, else an empty one; a wrong type is reported."""
        value: Any = self.document.value
        for part in path_of(path):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None and not isinstance(value, kind):
            self.report(path_of(path), "a mapping is needed" if kind is dict else "a list is needed")
        return value if isinstance(value, kind) else kind()

    def report(self, path: Path, message: str, cure: str = "") -> None:
        """Note what prevents use."""
        self.reading.problems.append(self.document.problem(path, message, cure))

    def warn(self, path: Path, message: str, cure: str = "") -> None:
        """Note what does not prevent use."""
        self.reading.warnings.append(self.document.problem(path, message, cure))

    def strings(self, mapping: Mapping[str, Any], key: str, path: Path) -> list[str]:
        """Give a list of non-empty strings below `path`, empty when there is none; anything else is reported."""
        value = mapping.get(key, [])
        if isinstance(value, list) and all(isinstance(part, str) and part for part in value):
            return value
        self.report((*path, key), "a list of strings is needed")
        return []


def path_of(dotted: str) -> Path:
    """Take a dotted path apart; the empty one is the document itself."""
    return tuple(dotted.split(".")) if dotted else ()

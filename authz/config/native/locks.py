"""The lock files that servers name -> what the core compares with."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from authz.config.files import Files, fingerprint
from authz.config.lock_file import LockedItem, LockFile, parse_lock
from authz.config.native.model import LockModel, PolicyFile
from authz.config.problems import Problem
from authz.config.yaml_document import Document
from authz.config.yaml_document import Path as KeyPath
from authz.core.mcp.item import ListName
from authz.core.mcp.uri_template import widest_pattern
from authz.core.policy.expression import WORST_CASE
from authz.core.policy.lock import ArgumentSchema, ItemKey, Lock, OnChange
from authz.core.policy.rule import Pattern

_HINTS = {
    "readOnly": "readOnlyHint",
    "destructive": "destructiveHint",
    "idempotent": "idempotentHint",
    "openWorld": "openWorldHint",
}
"""What rules call a tool's annotations, and their names on the wire (MCP, ToolAnnotations)."""
Hints = Mapping[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLock:
    """A server's lock file, read.

    Attributes:
        path: the file.
        content: what it holds.
        fingerprint: of the file's bytes.
        hints: annotations of its tools.
    """

    path: str
    content: LockFile
    fingerprint: str
    hints: Mapping[str, Hints] = field(default_factory=dict)

    @property
    def tools(self) -> frozenset[str]:
        """The names of the locked tools."""
        return frozenset(item.name for item in self.content.items if item.section is ListName.TOOLS)


def read_server_locks(file: PolicyFile, document: Document, files: Files) -> dict[str, ServerLock]:
    """Read the lock file of every server that names one; each file once.

    Args:
        file: the policy.
        document: where it comes from: a lock's path is relative to it.
        files: reads the locks.

    Raises:
        ConfigError: a file cannot be read, or is no lock.
    """
    read: dict[str, ServerLock] = {}
    found: dict[str, ServerLock] = {}
    for name, server in file.servers.items():
        if server.lock is not None:
            path = str(Path(document.file).parent / server.lock.file)
            found[name] = read.get(path) or read.setdefault(path, _read(path, files))
    return found


def _read(path: str, files: Files) -> ServerLock:
    text = files.read_text(path)
    content = parse_lock(text, path)
    return ServerLock(
        path=path,
        content=content,
        fingerprint=fingerprint(text.encode()),
        hints=_hints(content),
    )


def _hints(content: LockFile) -> dict[str, Hints]:
    """Return what the lock says of each tool; where two eras differ, the worse."""
    hints: dict[str, Hints] = {}
    for item in content.items:
        if item.section is ListName.TOOLS:
            said = _said(item)
            known = hints.get(item.name)
            hints[item.name] = said if known is None else _worse(known, said)
    return hints


def _said(item: LockedItem) -> Hints:
    annotations = item.definition.get("annotations")
    given = annotations if isinstance(annotations, dict) else {}
    said = {ours: given.get(theirs) for ours, theirs in _HINTS.items()}
    return {ours: value if isinstance(value, bool) else WORST_CASE[ours] for ours, value in said.items()}


def _worse(one: Hints, other: Hints) -> Hints:
    return {name: one[name] if one[name] == worst else other[name] for name, worst in WORST_CASE.items()}


def core_lock(model: LockModel, lock: ServerLock) -> Lock:
    """Return what the core compares a server's items with."""
    items: dict[ItemKey, frozenset[str]] = {}
    for item in lock.content.items:
        key = (item.section, item.name)
        items[key] = items.get(key, frozenset()) | {item.digest}
    return Lock(
        digest=lock.fingerprint[:16],
        items=items,
        on_change=OnChange(model.changed),
        allow_unlisted=model.unlisted == "allow",
        keep_seconds=float(model.keep_seconds),
        templates=template_patterns(items),
    )


def template_patterns(items: Iterable[ItemKey]) -> tuple[tuple[Pattern, ItemKey], ...]:
    """Return the patterns of the URIs that the locked templates can make."""
    widest = ((widest_pattern(key[1]), key) for key in items if key[0] is ListName.TEMPLATES)
    return tuple((Pattern(tuple(pattern.split("*"))), key) for pattern, key in widest if "*" in pattern)


def unlocked_tools(named: Mapping[int, Sequence[str]], lock: ServerLock) -> Iterator[tuple[int, int, str]]:
    """Yield the tools that rules allow by name and the lock does not have: index of the rule, position, name."""
    for index, tools in named.items():
        for position, tool in enumerate(tools):
            if "*" not in tool and tool not in lock.tools:
                yield index, position, tool


def compile_schemas(
    lock: ServerLock, document: Document, path: KeyPath, problems: list[Problem], *, extra: bool
) -> dict[str, ArgumentSchema]:
    """Compile the input schema of every locked tool; where two eras differ, arguments must fit both.

    Args:
        lock: the server's lock.
        document: the policy file.
        path: the key that asks for it.
        problems: takes what is wrong with a schema.
        extra: whether arguments that a schema does not name are accepted where it says nothing.
    """
    from authz.config.lock_schema import BothSchemas, LockedSchema, SchemaError  # noqa: PLC0415 - only a file that asks for it needs the library

    compiled: dict[str, ArgumentSchema] = {}
    for item in lock.content.items:
        if item.section is not ListName.TOOLS:
            continue
        schema = item.definition.get("inputSchema")
        try:
            one = LockedSchema(schema if isinstance(schema, dict) else {}, extra=extra)
        except SchemaError as error:
            message = f"the input schema of {item.name} ({lock.path}:{item.line}) cannot be used: {error}"
            problems.append(
                document.problem(
                    path, message, "have it mended at the server, or check its arguments by rules"
                )
            )
            continue
        known = compiled.get(item.name)
        compiled[item.name] = one if known is None else BothSchemas(known, one)
    return compiled

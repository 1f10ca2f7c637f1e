"""A lock file: what a server was seen to offer, in YAML that people review, and the digest of each item.

    lock: 1
    server: https://example.com/mcp
    made: {at: 2026-11-30T12:00:00Z, by: ann@laptop, eras: [legacy, modern]}
    tools:
      - name: echo
        digest: sha256:…
        description: Return the message.
        inputSchema: {…}

Rules of this module:

* An item's block holds its definition, member for member, so what was reviewed is what was digested. A block whose digest
  is not that of its content was edited by hand, and is an error.
* Where a server's item has a member that is named like one of the block's own, it stands under `other`. Nothing else does:
  what a reviewer reads in the block must not be replaced by something further down.
* `era` in a block says that the server describes the item so in one era of the protocol only; then it may stand twice.
* Texts are not templates: `${NAME}` in a description is what the server wrote.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from authz.config.files import read_text
from authz.config.problems import ConfigError, Problem, mistake
from authz.config.yaml_document import Document, Path, read_documents
from authz.core.mcp.definition import UnreadableDefinitionError, digest_of
from authz.core.mcp.item import NAMED_BY, ListName

VERSION = 1
ERAS = ("legacy", "modern")
OTHER = "other"
"""The member of a block that holds what has the name of one of the block's own."""
OWN = frozenset({"digest", "era", OTHER})
_HEAD = frozenset({"lock", "server", "made"})
_MAX_NODES = 2_000_000
_RENEW = "make it again with `mcp-authz lock`"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedItem:
    """One block of a lock file.

    Attributes:
        section: the list in which the item stands.
        name: its name there.
        definition: what was approved; the item's members as the server wrote them.
        digest: the definition's digest.
        era: the one era in which the server describes it so, empty for both.
        line: where the block begins, 0 if it is in no file yet.
    """

    section: ListName
    name: str
    definition: Mapping[str, Any]
    digest: str
    era: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFile:
    """The content of a lock file.

    Attributes:
        server: the URL that was asked.
        made: when, by whom and in which eras.
        items: what the server offers, in the file's order.
    """

    server: str
    made: Mapping[str, Any]
    items: tuple[LockedItem, ...]


def read_lock(path: str) -> LockFile:
    """Read a lock file.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    return parse_lock(read_text(path), path)


def parse_lock(text: str, path: str) -> LockFile:
    """Read the text of a lock file.

    Raises:
        ConfigError: it is none.
    """
    documents = read_documents(text, path, None, max_nodes=_MAX_NODES)
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        raise mistake(path, "not a lock file", _RENEW)
    return _Reader(documents[0]).read()


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def read(self) -> LockFile:
        value = self.document.value
        if value.get("lock") != VERSION or isinstance(value.get("lock"), bool):
            self.report(("lock",), f"not a lock of version {VERSION}", _RENEW)
        for key in value.keys() - _HEAD - set(ListName):
            self.report((key,), "unknown key", f"known: {', '.join(sorted(_HEAD | set(ListName)))}")
        items = tuple(item for section in ListName for item in self._section(section))
        self._check_twice(items)
        if self.problems:
            raise ConfigError(self.problems)
        made = value.get("made")
        return LockFile(
            server=str(value.get("server", "")), made=made if isinstance(made, dict) else {}, items=items
        )

    def report(self, path: Path, message: str, cure: str) -> None:
        self.problems.append(self.document.problem(path, message, cure))

    def _section(self, section: ListName) -> Iterator[LockedItem]:
        blocks = self.document.value.get(section, [])
        if not isinstance(blocks, list):
            self.report((section,), "not a list of items", _RENEW)
            return
        for index, block in enumerate(blocks):
            item = self._item(section, block, (section, index))
            if item is not None:
                yield item

    def _item(self, section: ListName, block: Any, path: Path) -> LockedItem | None:
        name = block.get(NAMED_BY[section]) if isinstance(block, dict) else None
        if not isinstance(name, str) or not name:
            self.report(path, f"an item without {NAMED_BY[section]}", _RENEW)
            return None
        definition = {key: value for key, value in block.items() if key not in OWN}
        other = block.get(OTHER, {})
        if not isinstance(other, dict) or not other.keys() <= OWN:
            self.report((*path, OTHER), f"holds more than {', '.join(sorted(OWN))}", _RENEW)
            return None
        definition |= other
        try:
            digest = digest_of(definition)
        except UnreadableDefinitionError as error:
            self.report(path, f"{name}: {error}", _RENEW)
            return None
        if block.get("digest", digest) != digest:
            message = f"the digest of {name} is not that of its content: the block was edited"
            self.report((*path, "digest"), message, "undo the edit, or renew the lock from the server")
        era = block.get("era", "")
        if era not in ("", *ERAS):
            self.report((*path, "era"), "not an era", f"known: {', '.join(ERAS)}")
        line = self.document.place(path).line
        return LockedItem(
            section=section, name=name, definition=definition, digest=digest, era=str(era), line=line
        )

    def _check_twice(self, items: tuple[LockedItem, ...]) -> None:
        seen: set[tuple[ListName, str, str]] = set()
        for item in items:
            key = (item.section, item.name, item.era)
            if key in seen:
                message = f"{item.name} stands twice in {item.section}"
                self.problems.append(
                    Problem(file=self.document.file, line=item.line, message=message, cure="keep one block")
                )
            seen.add(key)

"""A server's catalogues -> the text of a lock file, in stable order, one item a block.

Characters that cannot be seen or that turn the direction of a text are written as escapes, so that a reviewer sees them.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from authz.config.lock_file import OTHER, OWN, VERSION, LockedItem, LockFile
from authz.core.mcp.definition import (
    UnreadableDefinitionError,
    canonical,
    definition_of,
    digest_of,
    read_definition,
)
from authz.core.mcp.item import NAMED_BY, ListName
from authz.tools.catalogue import Catalogue
from authz.tools.conversation import CatalogueError

_HEAD = """\
# What {server} offered when this was made, one block an item. Made by `mcp-authz lock`; do not edit.
# Read every description as a model would: it follows what is written there.
"""
_FIRST = ("name", "title", "description", "uri", "uriTemplate", "mimeType", "annotations", "inputSchema")
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cn", "Zl", "Zp"})


def locked_items(catalogues: Iterable[Catalogue]) -> tuple[LockedItem, ...]:
    """Return the items of all eras: one where they agree, otherwise one for each era.

    Raises:
        CatalogueError: the gateway could compare an item with no lock.
    """
    seen: dict[tuple[ListName, str], dict[str, list[LockedItem]]] = {}
    eras = []
    for catalogue in catalogues:
        eras.append(catalogue.era)
        for section, items in catalogue.items.items():
            names: set[str] = set()
            for place, item in enumerate(items):
                locked = _locked(section, place, item, catalogue.era)
                if not locked.name or locked.name in names:
                    what = "has the name of another" if locked.name else "has no name"
                    raise _unfit(section, place, what)
                names.add(locked.name)
                by_digest = seen.setdefault((section, locked.name), {})
                by_digest.setdefault(locked.digest, []).append(locked)
    return tuple(
        _agreed(each, eras)
        for key in sorted(seen, key=lambda key: (list(ListName).index(key[0]), key[1]))
        for each in seen[key].values()
    )


def _locked(section: ListName, place: int, item: Mapping[str, Any], era: str) -> LockedItem:
    definition = definition_of(item)
    name = str(definition[NAMED_BY[section]])
    try:
        read_definition(canonical(item))  # with the bounds of the gateway
        digest = digest_of(definition)
    except UnreadableDefinitionError as error:
        raise _unfit(section, place, f"cannot be compared with a lock: {error}") from None
    return LockedItem(section=section, name=name, definition=definition, digest=digest, era=era)


def _unfit(section: ListName, place: int, what: str) -> CatalogueError:
    """Name an item by its place: its name is a text that the server sent."""
    return CatalogueError(f"item {place + 1} of {section.value} {what}; have it mended at the server")


def _agreed(same: list[LockedItem], eras: list[str]) -> LockedItem:
    """Return one item for several of the same digest; without an era if every era has it so."""
    first = same[0]
    if {each.era for each in same} != set(eras):
        return first
    return LockedItem(
        section=first.section, name=first.name, definition=first.definition, digest=first.digest
    )


def render_lock(lock: LockFile) -> str:
    """Return the text of a lock file."""
    document: dict[str, Any] = {"lock": VERSION, "server": lock.server, "made": dict(lock.made)}
    for section in ListName:
        blocks = [_block(item) for item in lock.items if item.section is section]
        if blocks:
            document[str(section)] = blocks
    return _HEAD.format(server=visible(lock.server)) + _dump(document)


def _block(item: LockedItem) -> dict[str, Any]:
    block: dict[str, Any] = {NAMED_BY[item.section]: item.name, "digest": item.digest}
    if item.era:
        block["era"] = item.era
    ordered = [name for name in _FIRST if name in item.definition]
    ordered += sorted(name for name in item.definition if name not in _FIRST)
    block |= {name: item.definition[name] for name in ordered if name not in OWN}
    other = {name: item.definition[name] for name in ordered if name in OWN}
    return {**block, OTHER: other} if other else block


class _Dumper(yaml.SafeDumper):
    """Writes no aliases, longer texts as blocks, and what cannot be seen as escapes."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = None
    if any(map(is_unseen, text)):
        style = '"'
    elif "\n" in text and not any(line != line.rstrip() for line in text.split("\n")):
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def is_unseen(char: str) -> bool:
    """Return whether a character cannot be seen, or turns the direction of a text; a line feed is neither."""
    return char != "\n" and unicodedata.category(char) in _UNSEEN


def _dump(document: Mapping[str, Any]) -> str:
    text = yaml.dump(
        dict(document),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=110,
        default_flow_style=False,
    )
    return visible(text)


def visible(text: str) -> str:
    """Write what cannot be seen as escapes; such characters stand only in quoted scalars."""
    return "".join(_escape(char) if is_unseen(char) else char for char in text)


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"

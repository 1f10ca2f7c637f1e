"""What a reviewer of a lock should look at: it proves nothing, and a human decides.

Names that look like others, characters that cannot be seen, instructions to the model, parameters that ask for secrets, and
names that other servers have too.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from authz.config.lock_file import LockedItem
from authz.core.mcp.item import ListName
from authz.core.wire.confusables import fold
from authz.tools.lock.document import is_unseen

_INSTRUCTIONS = re.compile(
    r"""
    \b(?:ignore|disregard|forget|override)\b [^.]{0,40} \b(?:previous|prior|above|earlier|other|all)\b
    | \bdo\ not\b [^.]{0,30} \b(?:tell|mention|inform|reveal|show|ask)\b
    | \bwithout\b [^.]{0,20} \b(?:telling|asking|informing|mentioning)\b
    | \b(?:before|instead\ of|after)\ (?:using|calling|running)\b
    | \byou\ (?:must|should|shall|have\ to|need\ to)\b
    | \b(?:always|never)\ (?:use|call|send|pass|include|read)\b
    | \b(?:system\ prompt|hidden|secretly|conversation\ history|chat\ history)\b
    | </?(?:important|system|instructions?|secret)\b | <!--
    | \.ssh/|id_rsa|\.env\b|mcp\.json
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SECRETS = re.compile(
    r"pass(?:word|wd|phrase)|secret|token|api_?key|credential|private_?key|cookie|session_?id|authorization",
    re.IGNORECASE,
)
_NOTES = re.compile(r"^(?:side_?note|notes?|context|reasoning|summary|scratchpad|thoughts?)$", re.IGNORECASE)
_MAX_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One thing to look at: whose it is, and what it is."""

    section: ListName
    name: str
    what: str


def suspicions(
    items: Sequence[LockedItem], elsewhere: Mapping[str, Iterable[LockedItem]] | None = None
) -> list[Suspicion]:
    """Return what a reviewer should look at.

    Args:
        items: what a server offers.
        elsewhere: what other servers offer, by their name.
    """
    found = [Suspicion(item.section, item.name, what) for item in items for what in _about(item)]
    found += _look_alikes(items)
    found += _shared(items, elsewhere or {})
    return list(dict.fromkeys(found))


def _about(item: LockedItem) -> Iterator[str]:
    for place, text in _texts(item.definition, ""):
        unseen = sorted({f"U+{ord(char):04X}" for char in text if is_unseen(char) and char not in "\t\r"})
        if unseen:
            yield f"{place} holds characters that cannot be seen: {', '.join(unseen[:8])}"
        said = _INSTRUCTIONS.search(text)
        if said and place != "name":
            yield f'{place} speaks to the model: "{" ".join(said[0].split())[:_MAX_SHOWN]}"'
    yield from _parameters(item.definition)


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield every text in a definition, names of members too, each with its place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, member in value.items():
            below = f"{place}.{name}" if place else name
            yield f"a name in {place or 'the item'}", name
            yield from _texts(member, below)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, place)


def _parameters(definition: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is odd about the names of a tool's parameters, at any depth, and of a prompt's arguments."""
    declared = list(_properties(definition.get("inputSchema")))
    for name in (*declared, *_arguments(definition.get("arguments"))):
        if _SECRETS.search(name):
            yield f"parameter {name} is named like a secret"
        elif name in declared and _NOTES.match(name):
            yield f"parameter {name} may carry more of the conversation than the tool needs"


def _arguments(arguments: Any) -> Iterator[str]:
    for each in arguments if isinstance(arguments, list) else ():
        if isinstance(each, dict) and isinstance(each.get("name"), str):
            yield each["name"]


def _properties(schema: Any) -> Iterator[str]:
    for key, below in schema.items() if isinstance(schema, dict) else ():
        yield from below if key == "properties" and isinstance(below, dict) else ()
        for each in below if isinstance(below, list) else (below,):
            yield from _properties(each)


def _look_alikes(items: Sequence[LockedItem]) -> Iterator[Suspicion]:
    by_form: dict[tuple[ListName, str], set[str]] = {}
    for item in items:
        by_form.setdefault((item.section, _form(item.name)), set()).add(item.name)
    for (section, _), names in by_form.items():
        for one, other in combinations(sorted(names), 2):
            yield Suspicion(section, other, f"looks like {one}")
    yield from (
        Suspicion(item.section, item.name, "the name mixes scripts") for item in items if _is_mixed(item.name)
    )


_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "-": "_", ".": "_", "а": "a", "е": "e", "о": "o", "с": "c", "р": "p", "х": "x", "у": "y", "і": "l", "ѕ": "s"})  # noqa: RUF001 - these are the confusables  # fmt: skip


def _form(name: str) -> str:
    return fold(name).translate(_ALIKE)


def _is_mixed(name: str) -> bool:
    scripts = {unicodedata.name(char, "?").partition(" ")[0] for char in name if char.isalpha()}
    return "LATIN" in scripts and len(scripts) > 1


def _shared(
    items: Sequence[LockedItem], elsewhere: Mapping[str, Iterable[LockedItem]]
) -> Iterator[Suspicion]:
    for server, others in elsewhere.items():
        theirs = {(item.section, item.name) for item in others}
        for item in items:
            if (item.section, item.name) in theirs and item.section in (ListName.TOOLS, ListName.PROMPTS):
                yield Suspicion(item.section, item.name, f"server {server} has one of this name too")

"""The official JSON Schema test suite, as the source archive of the `jsonschema` package carries it; no part of the project.

Rules of this module:

* It is had from a package index, as the very archive that `requirements/dev.txt` pins; where there is none, tests skip.
* A case is a schema, an instance, and whether it is valid. Arguments are always an object, so where an instance of a group
  is none, the schema is that of a member: it stands under the draft's definitions, and its pointers lead there.
"""

import json
import re
import sys
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from authz.core.wire.strict_json import loads_marked
from tests.support.installed import ROOT, NotInstalledError, installed, run

_PINS = ROOT / "requirements" / "dev.txt"
_PACKAGE = "jsonschema"
_DIALECTS = {
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
    "draft7": "http://json-schema.org/draft-07/schema#",
}
_DEFINITIONS = {"draft2020-12": "$defs", "draft7": "definitions"}
_MEMBER = "value"
_POINTERS = ("$ref", "$dynamicRef")


@dataclass(frozen=True, kw_only=True)
class Group:
    """One schema of the suite, as the input schema of a tool, and what may be called with.

    Attributes:
        draft: `draft2020-12` or `draft7`.
        file: the file's path in the draft, without its ending.
        about: what the group is about.
        schema: a schema for arguments.
        cases: arguments, whether the suite calls them valid, and what they are about.
    """

    draft: str
    file: str
    about: str
    schema: dict[str, Any]
    cases: list[tuple[dict[str, Any], bool, str]]


def as_read(value: Any) -> Any:
    """Return what the strict reader makes of a value that a server or a client wrote."""
    return loads_marked(json.dumps(value).encode(), max_depth=64, nodes=1000, keys=1000)


def suite_or_skip() -> list[Group]:
    """Give every group of both drafts, optional ones too, or skip the test with the reason."""
    try:
        place = installed("schema-suite", [_PINS], _install)
    except NotInstalledError as reason:
        pytest.skip(f"needs pip and its registry, for the JSON Schema test suite: {reason}")
    return [group for draft in _DIALECTS for group in _groups(place / "suite" / draft, draft)]


def _install(place: Path) -> None:
    pin = re.search(rf"^{_PACKAGE}==.*\\\n(?:    --hash=\S+ ?\\?\n)+", _PINS.read_text("utf-8"), re.MULTILINE)
    if pin is None:
        msg = f"{_PINS.name} has no {_PACKAGE}"
        raise NotInstalledError(msg)
    (place / "pin.txt").write_text(pin[0], "utf-8")
    bounds = ["--quiet", "--disable-pip-version-check", "--retries=1", "--no-deps", "--require-hashes"]
    pip = [sys.executable, "-m", "pip", "download", *bounds, f"--no-binary={_PACKAGE}"]
    run([*pip, "-r", "pin.txt"], place)
    archive = next(place.glob(f"{_PACKAGE}-*.tar.gz"))
    with tarfile.open(archive) as packed:
        top = archive.name.removesuffix(".tar.gz")
        for member in packed.getmembers():
            _, found, path = member.name.partition(f"{top}/json/tests/")
            if found and member.isfile() and path.startswith(tuple(f"{draft}/" for draft in _DIALECTS)):
                member.name = f"suite/{path}"
                packed.extract(member, place, filter="data")


def _groups(folder: Path, draft: str) -> Iterator[Group]:
    for file in sorted(folder.rglob("*.json")):
        name = file.relative_to(folder).with_suffix("").as_posix()
        for group in json.loads(file.read_text("utf-8")):
            cases = [(test["data"], test["valid"], test["description"]) for test in group["tests"]]
            is_whole = isinstance(group["schema"], dict) and all(isinstance(case[0], dict) for case in cases)
            yield Group(
                draft=draft,
                file=name,
                about=group["description"],
                schema={"$schema": _DIALECTS[draft], **group["schema"]}
                if is_whole
                else _member(group["schema"], draft),
                cases=cases if is_whole else [({_MEMBER: data}, *rest) for data, *rest in cases],
            )


def _member(schema: Any, draft: str) -> dict[str, Any]:
    """Return a schema for arguments with one member, for which a schema of the suite stands."""
    inner = dict(schema) if isinstance(schema, Mapping) else schema
    head = (
        {name: inner.pop(name) for name in ("$schema", "$id") if name in inner} if inner is not schema else {}
    )
    definitions = _DEFINITIONS[draft]
    place = f"#/{definitions}/{_MEMBER}"
    return {
        "$schema": _DIALECTS[draft],
        **head,
        "type": "object",
        "properties": {_MEMBER: {"$ref": place}},
        "required": [_MEMBER],
        definitions: {_MEMBER: _moved(inner, place)},
    }


def _moved(schema: Any, place: str) -> Any:
    """Return a schema that stands at a place and whose pointers lead to what they led to."""
    if isinstance(schema, list):
        return [_moved(each, place) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {name: _moved_under(name, value, place) for name, value in schema.items()}


def _moved_under(keyword: str, value: Any, place: str) -> Any:
    if keyword in _POINTERS and isinstance(value, str) and re.match(r"#(/|$)", value):
        return f"{place}{value[1:]}"
    return value if keyword in ("const", "enum") else _moved(value, place)

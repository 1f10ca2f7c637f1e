"""Reads a file's cases: who does what, and what the policy must answer.

They stand below `tests:` in a native policy file, or in a file of their own with the same keys. Kubernetes documents
have no place for them, so they need a file of their own.
"""

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from authz.config.files import read_text
from authz.config.native.cases import TEMPLATE, CaseModel, CasesModel
from authz.config.native.define import with_lists
from authz.config.native.model import PolicyFile
from authz.config.problems import ConfigError, Problem, mistake
from authz.config.validation import validate
from authz.config.yaml_document import Document, Path, is_foreign, read_documents
from authz.core.mcp.item import Item, Kind, Template
from authz.core.wire.strict_json import StrictJSONError, loads


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case.

    Attributes:
        name: a sentence.
        file: the file it stands in.
        line: its line there, from 1.
        persona: the persona who acts, empty if the case has claims of its own.
        claims: the claims of the caller; `synthetic_caller.caller_of` adds what every token has.
        server: the server's name, empty for the only one.
        item: what the caller uses; None for a case about a list.
        args: the call's arguments.
        headers: request headers, names in lower case.
        expect: "allow", "deny" or a reason; empty for a case about a list.
        catalogue: what the server offers; empty for a case about one item.
        visible: those of the catalogue that must be listed.
    """

    name: str
    file: str
    line: int
    persona: str
    claims: Mapping[str, Any]
    server: str
    item: Item | None
    args: Mapping[str, Any]
    headers: Mapping[str, str]
    expect: str
    catalogue: tuple[Item, ...]
    visible: tuple[Item, ...]

    def problem(self, message: str, cure: str = "") -> Problem:
        """Describe what is wrong with the case, at its line."""
        return Problem(file=self.file, line=self.line, key=self.name, message=message, cure=cure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """The cases of one file.

    Attributes:
        personas: name to claims.
        cases: in the file's order.
    """

    personas: Mapping[str, Mapping[str, Any]]
    cases: tuple[Case, ...]


def check_servers(cases: Iterable[Case], names: Collection[str], *, several: bool) -> None:
    """Refuse cases whose server is not clear.

    Args:
        cases: the cases.
        names: the servers that exist.
        several: whether a case must name its server.

    Raises:
        ConfigError: a case names a server that does not exist, or names none of several.
    """
    cure = f"give server: one of {', '.join(names)}"
    problems = [
        case.problem(f"there is no server {case.server}" if case.server else "which server?", cure)
        for case in cases
        if (case.server not in names if case.server else several)
    ]
    if problems:
        raise ConfigError(problems)


def read_cases(path: str, environment: Mapping[str, str] | None = None) -> Cases:
    """Read cases.

    Args:
        path: a file of cases, or a policy file with or without cases.
        environment: values for `${NAME}`; the process's own when None.

    Raises:
        ConfigError: the file cannot be used, every finding at its line.
    """
    documents = read_documents(read_text(path), path, os.environ if environment is None else environment)
    if any(is_foreign(document) for document in documents):
        return Cases(personas={}, cases=())
    if len(documents) != 1:
        raise mistake(path, "one document is needed")
    document = documents[0]
    if isinstance(document.value, dict) and "servers" in document.value:
        return _cases(validate(PolicyFile, with_lists(document)[0]).tests, document, ("tests",))
    return _cases(validate(CasesModel, document), document, ())


def _cases(model: CasesModel, document: Document, path: Path) -> Cases:
    problems = list(_problems(model, document, path))
    if problems:
        raise ConfigError(problems)
    cases = tuple(
        _case(found, model, document, (*path, "cases", index)) for index, found in enumerate(model.cases)
    )
    return Cases(personas=model.personas, cases=cases)


def _problems(model: CasesModel, document: Document, path: Path) -> Iterator[Problem]:
    """Find what the model cannot: unknown personas, names that stand twice, values that no message can carry."""
    for name, claims in model.personas.items():
        yield from _unsendable(claims, document, (*path, "personas", name))
    seen: set[str] = set()
    for index, case in enumerate(model.cases):
        place = (*path, "cases", index)
        if case.name in seen:
            yield document.problem((*place, "name"), "two cases have this name", "rename one")
        seen.add(case.name)
        if case.persona is not None and case.persona not in model.personas:
            cure = f"known: {', '.join(model.personas)}" if model.personas else "add personas"
            yield document.problem((*place, "persona"), f"there is no persona {case.persona}", cure)
        for header in case.headers:
            if header != header.lower():
                cure = f"write {header.lower()}"
                yield document.problem((*place, "headers", header), "rules see names in lower case", cure)
        yield from _unsendable(case.claims, document, (*place, "claims"))
        yield from _unsendable(case.args, document, (*place, "args"))


def _unsendable(value: object, document: Document, path: Path) -> Iterator[Problem]:
    try:
        loads(json.dumps(value).encode())
    except (StrictJSONError, RecursionError) as error:
        yield document.problem(path, f"cannot be sent as JSON: {error}")


def _case(model: CaseModel, within: CasesModel, document: Document, path: Path) -> Case:
    claims = within.personas[model.persona] if model.persona is not None else model.claims
    named = [_item(kind, name) for kind, name in model.items]
    return Case(
        name=model.name,
        file=document.file,
        line=document.place(path).line,
        persona=model.persona or "",
        claims=claims or {},
        server=model.server or "",
        item=named[0] if named else None,
        args=model.args,
        headers=model.headers,
        expect=model.expect or "",
        catalogue=tuple(_item(model.kind, name) for name in model.catalogue or ()),
        visible=tuple(_item(model.kind, name) for name in model.visible or ()),
    )


def _item(kind: str, name: str) -> Item:
    return Template(Kind.RESOURCE, name) if kind == TEMPLATE else Item(Kind(kind), name)

"""`define`: names for conditions and for lists of names, so that nobody writes the same thing five times.

* A condition is put in the place of its name, in brackets, wherever an expression uses the name. A definition may use
  those above it. What is checked, linted and evaluated is the expression that results.
* A list is put in the place of its name where a rule has the name instead of a list: `allow: {tools: readers}`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from authz.config.cel.compile import compile_expression
from authz.config.cel.functions import ELSEWHERE, FUNCTIONS
from authz.config.cel.tree import Parsed, nodes, offset, parse
from authz.config.cel.typecheck import ExpressionError
from authz.config.problems import ConfigError, Problem
from authz.config.yaml_document import Document, Path
from authz.core.policy.expression import VARIABLES

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_TAKEN = frozenset({*VARIABLES, *FUNCTIONS, *ELSEWHERE, "true", "false", "null", "in", "list", "string"})
_MAX_CHARS = 65_536
"""Longest expression that results: a definition that doubles the one above it grows fast."""
_SELECTED = ("tools", "prompts", "resources", "tasks")
_ASKED = ("scopes", "any_scopes", "roles", "groups")


@dataclass(slots=True)
class Definitions:
    """What a file defines.

    Attributes:
        conditions: name to expression, without names of other definitions.
        lists: name to names.
        used: names that some rule uses.
    """

    conditions: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[Any]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def expand(self, text: str) -> str:
        """Return an expression with the conditions in the place of their names; a text that does not parse as it is.

        Raises:
            ExpressionError: a name means something else in the expression, or the result is too long.
        """
        if not self.conditions:
            return text
        try:
            parsed = parse(text)
        except RuntimeError:
            return text
        found = self._uses(parsed)
        for at in sorted(found, reverse=True):
            name = found[at]
            self.used.add(name)
            condition = self.conditions[name]
            end = "\n)" if "//" in condition else ")"
            text = f"{text[:at]}({condition}{end}{text[at + len(name) :]}"
        if len(text) > _MAX_CHARS:
            message = f"is longer than {_MAX_CHARS} characters with what define puts in"
            raise ExpressionError(message)
        return text

    def _uses(self, parsed: Parsed) -> dict[int, str]:
        """Return where an expression uses which condition."""
        found: dict[int, str] = {}
        for node in nodes(parsed.expr):
            bound = node.comprehension_expr.iter_var
            if bound in self.conditions:
                message = f"{bound} is a condition of define, so it cannot name an element"
                raise ExpressionError(message)
            if node.WhichOneof("expr_kind") == "ident_expr" and node.ident_expr.name in self.conditions:
                found[offset(parsed, node)] = node.ident_expr.name
        return found


def with_lists(document: Document) -> tuple[Document, Definitions]:
    """Return a document with the lists of `define` in the place of their names, and what it defines.

    Args:
        document: the file; what is not of the expected form is left to its model.

    Raises:
        ConfigError: a rule names a list that is not defined.
    """
    problems: list[Problem] = []
    definitions = Definitions()
    if not isinstance(document.value, dict):
        return document, definitions
    value, given = dict(document.value), document.value.get("define")
    for name, each in given.items() if isinstance(given, dict) else ():
        if isinstance(each, list):
            definitions.lists[name] = each
    if isinstance(value.get("servers"), dict):
        reader = _ListReader(document, definitions, problems)
        value["servers"] = {name: reader.server(server, name) for name, server in value["servers"].items()}
    if problems:
        raise ConfigError(problems)
    return replace(document, value=value), definitions


@dataclass(slots=True)
class _ListReader:
    document: Document
    definitions: Definitions
    problems: list[Problem]

    def server(self, server: Any, name: str) -> Any:
        if not isinstance(server, dict) or not isinstance(server.get("rules"), list):
            return server
        rules = [
            self.rule(rule, ("servers", name, "rules", index)) for index, rule in enumerate(server["rules"])
        ]
        return {**server, "rules": rules}

    def rule(self, rule: Any, path: Path) -> Any:
        if not isinstance(rule, dict):
            return rule
        made = self._resolved(rule, _ASKED, path)
        for effect in ("allow", "deny"):
            if isinstance(rule.get(effect), dict):
                made[effect] = self._resolved(rule[effect], _SELECTED, (*path, effect))
        return made

    def _resolved(self, mapping: Mapping[str, Any], keys: tuple[str, ...], path: Path) -> dict[str, Any]:
        made = dict(mapping)
        for key in keys:
            name = made.get(key)
            if not isinstance(name, str):
                continue
            if name in self.definitions.lists:
                self.definitions.used.add(name)
                made[key] = self.definitions.lists[name]
            else:
                known = ", ".join(self.definitions.lists) or "none"
                message, cure = f"there is no list {name} in define", f"known: {known}; or write a list"
                self.problems.append(self.document.problem((*path, key), message, cure))
                made[key] = [name]
        return made


def read_conditions(document: Document, given: Mapping[str, Any], definitions: Definitions) -> list[Problem]:
    """Add the conditions of `define`; return what is wrong with a name or a condition.

    Args:
        document: the file.
        given: the section, validated.
        definitions: receives the conditions.
    """
    problems = []
    for name, value in given.items():
        place: Path = ("define", name)
        if not _NAME.fullmatch(name) or name in _TAKEN:
            message = (
                "this name means something else in expressions"
                if name in _TAKEN
                else "is no name for an expression"
            )
            problems.append(
                document.problem(place, message, "begin with a letter; use letters, digits and _")
            )
        elif isinstance(value, str):
            try:
                text = definitions.expand(value)
                compile_expression(text)
            except ExpressionError as error:
                problems.append(document.problem(place, str(error)))
            else:
                definitions.conditions[name] = text
    return problems

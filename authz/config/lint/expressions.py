"""Find what is valid but probably not meant. Each finding is a warning and changes no decision.

In an expression:

* A scope claim is one string of words (RFC 6749 section 3.3). `jwt.scope.contains("files:read")` searches that string,
  so it is also true for `profiles:readonly` and `xfiles:read`; `startsWith`, `endsWith` and `matches` are no better.
  `scopes` holds the same words as a list, where `in` compares whole words. If the claim is a list already, both mean
  the same.
* A deny that cannot be evaluated denies. So a deny that reads an optional claim or header denies every caller without
  it, unless it tests first: `has(jwt.x)`, `"x" in jwt`. It is enough here that it tests anywhere.

In a server's rules: rules that can never matter (`unreachable`), no rules at all, and too many patterns.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from authz.config.cel.tree import Node, Parsed, literal_key, nodes_of, parse, path_of, position
from authz.config.lint.unreachable import RuleReach
from authz.config.problems import Problem
from authz.config.yaml_document import Document, Path
from authz.core.policy.context import HIDDEN_HEADERS
from authz.core.policy.rule import Rule

_TEXT_TESTS = frozenset({"contains", "startsWith", "endsWith", "matches"})
_ALWAYS = frozenset({"iss", "aud", "exp"})
"""Claims that every accepted token has."""
_OPTIONAL_ROOTS = ("jwt", "request.headers")
_MAX_PATTERNS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpressionWarning:
    """One doubtful place in an expression.

    Attributes:
        line: line within the expression, from 1.
        column: column within that line, from 1.
        message: what is doubtful.
        cure: what to write instead.
    """

    line: int
    column: int
    message: str
    cure: str


def substring_tests(text: str, scope_claims: Collection[str]) -> list[ExpressionWarning]:
    """Find the places where a string is searched for a scope.

    Args:
        text: CEL that compiles.
        scope_claims: claims that hold scopes.
    """
    if "jwt" not in text:
        return []
    parsed = parse(text)
    found = [_finding(parsed, node) for node in nodes_of(text) if _is_substring_test(node, scope_claims)]
    return sorted(found, key=lambda finding: (finding.line, finding.column))


def unseen_headers(text: str) -> list[ExpressionWarning]:
    """Find the headers that an expression reads and that no request has under this name.

    Args:
        text: CEL that compiles.
    """
    if "headers" not in text:
        return []
    parsed = parse(text)
    found = []
    for node in nodes_of(text):
        name = literal_key(node, "request.headers")
        if name is None or (name == name.lower() and name not in HIDDEN_HEADERS):
            continue
        line, column = position(parsed, node)
        hidden = name.lower() in HIDDEN_HEADERS
        message = (
            f"{name} is not visible to rules"
            if hidden
            else f"{name}: the names of headers are in lower case here"
        )
        cure = "read the claims in jwt" if hidden else f"write {name.lower()}"
        found.append(ExpressionWarning(line=line, column=column, message=message, cure=cure))
    return found


def unguarded_reads(text: str, present: Collection[str] = _ALWAYS) -> list[ExpressionWarning]:
    """Find the claims and headers that an expression reads without testing whether they exist.

    Args:
        text: CEL that compiles.
        present: claims that every accepted token has.
    """
    parsed = parse(text)
    listed = nodes_of(text)
    tested = {("jwt", name) for name in present}
    tested |= {found for node in listed if (found := _tested_for(node)) is not None}
    first: dict[tuple[str, str], Node] = {}
    for node in listed:
        for root in _OPTIONAL_ROOTS:
            key = literal_key(node, root)
            if key is not None and (root, key) not in tested:
                first.setdefault((root, key), node)
    return [_unguarded(parsed, node, root, key) for (root, key), node in first.items()]


def _tested_for(node: Node) -> tuple[str, str] | None:
    """Return root and key if the node is `has(root.key)` or `"key" in root`."""
    for root in _OPTIONAL_ROOTS:
        if node.select_expr.test_only and path_of(node.select_expr.operand) == root:
            return root, str(node.select_expr.field)
        call = node.call_expr
        if (
            call.function == "@in"
            and path_of(call.args[1]) == root
            and call.args[0].const_expr.HasField("string_value")
        ):
            return root, str(call.args[0].const_expr.string_value)
    return None


def _unguarded(parsed: Parsed, node: Node, root: str, key: str) -> ExpressionWarning:
    operand = (
        node.select_expr.operand if node.WhichOneof("expr_kind") == "select_expr" else node.call_expr.args[0]
    )
    line, column = position(parsed, operand)
    name = f"{root}[{json.dumps(key, ensure_ascii=False)}]"
    return ExpressionWarning(
        line=line,
        column=column,
        message=f"denies every caller without {name}, because a deny that cannot be evaluated denies",
        cure=f"if that is not intended, begin with {json.dumps(key, ensure_ascii=False)} in {root} &&",
    )


def expression_findings(
    text: str, scope_claims: Collection[str], *, denies: bool = False
) -> list[ExpressionWarning]:
    """Find what is doubtful in an expression; `denies` says that it belongs to a deny that is applied."""
    found = substring_tests(text, scope_claims) + unseen_headers(text)
    return found + (unguarded_reads(text) if denies else [])


def placed(document: Document, path: Path, findings: Iterable[ExpressionWarning]) -> list[Problem]:
    """Return the findings about the expression at `path`, each at its line of the file."""
    place = document.place(path)
    return [
        document.problem(path, found.message, found.cure, line_offset=place.offset(found.line))
        for found in findings
    ]


def rule_warnings(document: Document, path: Path, rules: Sequence[Rule]) -> Iterator[Problem]:
    """Find rules of one server that cannot matter, no rules at all, and too many patterns.

    Args:
        document: the file.
        path: the key of the server's rules.
        rules: the rules, in the file's order.
    """
    if not rules:
        message = "no rule, so no tool, prompt, resource or task can be used"
        yield document.problem(path, message, "allow something")
    listed = [pattern for rule in rules for each in rule.selector.patterns.values() for pattern in each]
    loose = sum(not (pattern.parts[0] or pattern.parts[-1]) for pattern in listed)
    if loose > _MAX_PATTERNS:
        message = f"{loose} names begin and end with *, and every new name is tried against each of them"
        yield document.problem(
            path,
            message,
            f"use at most {_MAX_PATTERNS}; names that begin or end with text are found by that text",
        )
    reach = RuleReach(rules)
    for index, rule in enumerate(rules):
        if rule.shadow:
            continue
        for key, message, cure in reach.findings(rule):
            yield document.problem((*path, index, *key), message, cure)


def _tested_text(node: Node) -> Node | None:
    """Return the text that a test searches, in the member form or in `matches(text, pattern)`."""
    call = node.call_expr
    if call.function not in _TEXT_TESTS:
        return None
    return call.target if call.HasField("target") else call.args[0]


def _is_substring_test(node: Node, scope_claims: Collection[str]) -> bool:
    text = _tested_text(node)
    return text is not None and literal_key(text, "jwt") in scope_claims


def _finding(parsed: Parsed, node: Node) -> ExpressionWarning:
    text = _tested_text(node)
    line, column = position(parsed, text)
    wanted = node.call_expr.args[-1].const_expr
    is_word = wanted.HasField("string_value") and node.call_expr.function != "matches"
    word = json.dumps(wanted.string_value, ensure_ascii=False) if is_word else "…"
    return ExpressionWarning(
        line=line,
        column=column,
        message=f"tests a scope as a substring of {literal_key(text, 'jwt')}, so other scopes that contain it match too",
        cure=f"write {word} in scopes",
    )

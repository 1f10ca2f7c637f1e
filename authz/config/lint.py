"""What an expression says that is valid and probably not meant.

A scope claim is one string of words (RFC 6749 section 3.3). `jwt.scope.contains("files:read")` looks into that string,
so it is also true for `profiles:readonly` and `xfiles:read`. `scopes` holds the same words as a list, where `in`
compares whole words. Where the claim is a list already, both say the same.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass

from authz.config.celtree import Node, Parsed, literal_key, nodes, parse, position
from authz.config.document import Document, Path
from authz.config.problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One doubtful place of an expression.

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


def substring_tests(text: str, scope_claims: Collection[str]) -> list[Finding]:
    """Find the places where a scope is looked for inside a string.

    Args:
        text: CEL that compiles.
        scope_claims: claims that hold scopes.
    """
    parsed = parse(text)
    found = [_finding(parsed, node) for node in nodes(parsed.expr) if _is_substring_test(node, scope_claims)]
    return sorted(found, key=lambda finding: (finding.line, finding.column))


def expression_warnings(
    document: Document, path: Path, text: str, scope_claims: Collection[str]
) -> list[Problem]:
    """Place the findings about the expression at `path` in its file."""
    place = document.place(path)
    return [
        document.problem(path, found.message, found.cure, line_offset=place.offset(found.line))
        for found in substring_tests(text, scope_claims)
    ]


def _is_substring_test(node: Node, scope_claims: Collection[str]) -> bool:
    call = node.call_expr
    if call.function != "contains" or not call.HasField("target"):
        return False
    return literal_key(call.target, "jwt") in scope_claims


def _finding(parsed: Parsed, node: Node) -> Finding:
    claim = literal_key(node.call_expr.target, "jwt")
    line, column = position(parsed, node.call_expr.target)
    wanted = node.call_expr.args[0].const_expr
    word = json.dumps(wanted.string_value, ensure_ascii=False) if wanted.HasField("string_value") else "…"
    return Finding(
        line=line,
        column=column,
        message=f"tests a scope as a substring of {claim}, so that other scopes with these letters pass too",
        cure=f"write {word} in scopes",
    )

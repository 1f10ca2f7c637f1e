"""A CEL text taken apart where `&&` joins it, and what each part says by itself.

Theory. `&&` binds tighter than `||` and `?:` (CEL language definition, "Syntax"). So a text in which neither stands outside of
brackets is a conjunction of the pieces between its `&&`, each of which is an expression with the text that its author
wrote. A text in which one does is a single piece. Strings and comments are read as such; comments are dropped,
because a piece may come to stand in front of other text.
"""

import re
from collections.abc import Collection

from authz.config.celtree import Node, literal_key, parse, path_of
from authz.config.expressions import names_equal_to

_TOKEN = re.compile(
    r"""(?P<raw>[rR][bB]?(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"]*"|'[^']*')|[bB][rR](?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"]*"|'[^']*'))
    |(?P<string>\"{3}(?:\\.|.)*?\"{3}|'{3}(?:\\.|.)*?'{3}|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<word>\w+)
    |(?P<comment>//[^\n]*)
    |(?P<and>&&)
    |(?P<loose>\|\||\?)
    |(?P<open>[(\[{])
    |(?P<close>[)\]}])
    |(?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
_STEP = {"open": 1, "close": -1}
_NAME = "mcp.tool.name"


def split(text: str) -> list[str]:
    """Give the pieces of a text that compiles; all of them true is the text being true."""
    pieces, depth, loose = [""], 0, False
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup or ""
        depth += _STEP.get(kind, 0)
        loose |= kind == "loose" and depth == 0
        if kind == "and" and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += " " if kind == "comment" else found[0]
    return ["&&".join(pieces).strip()] if loose else [piece.strip() for piece in pieces]


def only_names(piece: str) -> frozenset[str] | None:
    """Give the tools' names where a piece tests `mcp.tool.name` against literals and nothing else; None otherwise."""
    return names_equal_to(piece, _NAME) if _is_about_names(parse(piece).expr) else None


def _is_about_names(node: Node) -> bool:
    call = node.call_expr
    if call.function in {"_&&_", "_||_"}:
        return all(_is_about_names(arg) for arg in call.args)
    if call.function not in {"_==_", "@in"}:
        return False
    return all(path_of(arg) == _NAME or _is_literal(arg) for arg in call.args)


def _is_literal(node: Node) -> bool:
    return all(part.HasField("const_expr") for part in (node.list_expr.elements or [node]))


def contained_word(piece: str, claims: Collection[str]) -> str | None:
    """Give `w` where a piece is `jwt.CLAIM.contains("w")` for one of the claims; None otherwise."""
    call = parse(piece).expr.call_expr
    if call.function != "contains" or len(call.args) != 1 or literal_key(call.target, "jwt") not in claims:
        return None
    wanted = call.args[0].const_expr
    return str(wanted.string_value) if wanted.HasField("string_value") else None

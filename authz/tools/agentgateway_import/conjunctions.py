"""A CEL text taken apart where `&&` joins it, and what each part says by itself.

Theory. `&&` binds tighter than `||` and `?:` (CEL language definition, "Syntax"). So a text in which neither stands outside of
brackets is a conjunction of the pieces between its `&&`, each of which is an expression with the text that its author
wrote. A text in which one does is a single piece. Strings and comments are read as such; comments are dropped,
because a piece may come to stand in front of other text.
"""

import re
from collections.abc import Collection

from authz.config.cel.tree import Node, literal_key, names_equal_to, parse, path_of

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


def pinned(text: str) -> tuple[frozenset[str] | None, list[str]]:
    """Give the tools that a text pins by name, and the pieces that say more; None where it pins none."""
    names: frozenset[str] | None = None
    rest = []
    for piece in split(text):
        found = _only_names(piece)
        if found is None or not all(_selectable(name) for name in found):
            rest.append(piece)
        else:
            names = found if names is None else names & found
    return names, rest


def _selectable(name: str) -> bool:
    """Tell whether `tools` can say this name: there a star is a pattern, and no name is empty."""
    return bool(name) and "*" not in name


def _only_names(piece: str) -> frozenset[str] | None:
    """Give the tools' names where a piece tests `mcp.tool.name` against literals and nothing else; None otherwise."""
    return names_equal_to(piece, _NAME) if _is_about_names(parse(piece).expr) else None


def _is_about_names(node: Node) -> bool:
    call = node.call_expr
    if call.function in {"_&&_", "_||_"}:
        return all(_is_about_names(arg) for arg in call.args)
    if call.function not in {"_==_", "@in"}:
        return False
    # A name on both sides, or on neither, would say something else than which tool it is.
    literals = [arg for arg in call.args if path_of(arg) != _NAME]
    return len(literals) == 1 and _is_text(literals[0])


def _is_text(node: Node) -> bool:
    return all(part.const_expr.HasField("string_value") for part in (node.list_expr.elements or [node]))


def contained_word(piece: str, claims: Collection[str]) -> str | None:
    """Give `w` where a piece is `jwt.CLAIM.contains("w")` for one of the claims; None otherwise."""
    call = parse(piece).expr.call_expr
    if call.function != "contains" or len(call.args) != 1 or literal_key(call.target, "jwt") not in claims:
        return None
    wanted = call.args[0].const_expr
    return str(wanted.string_value) if wanted.HasField("string_value") else None

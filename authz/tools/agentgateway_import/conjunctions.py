"""A CEL text taken apart where `&&` joins it, and what each part says by itself.

cel-cpp's tree says where each `&&` stands. Where the outermost operator is one, the text is cut there, and the halves
are cut on. A cut inside brackets leaves halves that do not parse, so that text stays whole. Each part keeps the words
of its author, except for comments: other text may come to stand behind a part, and a comment would swallow it.
"""

from collections.abc import Collection, Iterator

from authz.config.cel.tree import Node, literal_key, names_equal_to, offset, parse, path_of

_AND = "&&"
_NAME = "mcp.tool.name"


def split(text: str) -> list[str]:
    """Return the parts of a text that compiles; the text is true where all of them are."""
    return [part.strip() for part in _parts(_without_comments(text))]


def _parts(text: str) -> Iterator[str]:
    parsed = parse(text)
    if parsed.expr.call_expr.function == "_&&_":
        at = offset(parsed, parsed.expr)
        halves = text[:at], text[at + len(_AND) :]
        if all(map(_parses, halves)):
            for half in halves:
                yield from _parts(half)
            return
    yield text


def _parses(text: str) -> bool:
    try:
        parse(text)
    except RuntimeError:
        return False
    return True


def _without_comments(text: str) -> str:
    """Blank out every comment: what stands behind `//` is one exactly if the tree is the same without it."""
    at = text.find("//")
    while at >= 0:
        line = text[at:].partition("\n")[0]
        blanked = text[:at] + " " * len(line) + text[at + len(line) :]
        if _parses(blanked) and parse(blanked) == parse(text):
            text = blanked
        at = text.find("//", at + 1)
    return text


def pinned(text: str) -> tuple[frozenset[str] | None, list[str]]:
    """Return the tools that a text pins by name, None if it pins none, and the parts that say more."""
    names: frozenset[str] | None = None
    rest = []
    for part in split(text):
        found = names_equal_to(part, _NAME) if _is_about_names(parse(part).expr) else None
        if found is None or not all(_selectable(name) for name in found):
            rest.append(part)
        else:
            names = found if names is None else names & found
    return names, rest


def _selectable(name: str) -> bool:
    """Tell whether `tools` can hold this name: a star is a pattern there, and no name is empty."""
    return bool(name) and "*" not in name


def _is_about_names(node: Node) -> bool:
    """Tell whether a part tests `mcp.tool.name` against literals and nothing else."""
    call = node.call_expr
    if call.function in {"_&&_", "_||_"}:
        return all(_is_about_names(arg) for arg in call.args)
    if call.function not in {"_==_", "@in"}:
        return False
    # With the name on both sides, or on neither, the test is not about which tool it is.
    literals = [arg for arg in call.args if path_of(arg) != _NAME]
    return len(literals) == 1 and _is_text(literals[0])


def _is_text(node: Node) -> bool:
    return all(part.const_expr.HasField("string_value") for part in (node.list_expr.elements or [node]))


def contained_word(part: str, claims: Collection[str]) -> str | None:
    """Return `w` if a part is `jwt.CLAIM.contains("w")` for one of the claims, else None."""
    call = parse(part).expr.call_expr
    if call.function != "contains" or len(call.args) != 1 or literal_key(call.target, "jwt") not in claims:
        return None
    wanted = call.args[0].const_expr
    return str(wanted.string_value) if wanted.HasField("string_value") else None

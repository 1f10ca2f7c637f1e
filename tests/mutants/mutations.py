"""Source of a module -> its mutants, each with one small fault that a test should notice.

A mutant is one node of the syntax tree put in place of another. Left alone are what decides nothing (annotations,
docstrings, decorators, the keywords of a class) and texts of several words, which are written for people.
"""

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_OPPOSITE: dict[type[ast.AST], type[Any]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_OTHER_FUNCTION = {"any": "all", "all": "any", "min": "max", "max": "min"}
_NORMALIZING = {"lower", "upper", "casefold", "strip", "lstrip", "rstrip", "removeprefix", "removesuffix"}
_TYPING = {"TypeVar", "NewType"}

Change = tuple[ast.AST, str, str]
"""What stands in a node's place, and the two as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One fault.

    Attributes:
        name: function and change, unique in the module and independent of lines.
        line: where, in the source as it is.
        plant: puts the fault into the tree that it was made from.
    """

    name: str
    line: int
    plant: Callable[[], None]


def mutants(tree: ast.Module) -> list[Mutant]:
    """Return the mutants of a module, in the order of its source."""
    found: list[Mutant] = []
    times: Counter[str] = Counter()
    for where, parent, field, index, node in _nodes(tree, ""):
        for new, before, after in _changes(node):
            name = f"{where or 'module'}: {_short(before)} → {_short(after)}"
            times[name] += 1
            if times[name] > 1:
                name += f" #{times[name]}"
            line = getattr(node.target if isinstance(node, ast.comprehension) else node, "lineno", 0)
            found.append(Mutant(name=name, line=line, plant=_planter(parent, field, index, new)))
    return found


def _planter(parent: ast.AST, field: str, index: int | None, new: ast.AST) -> Callable[[], None]:
    def plant() -> None:
        if index is None:
            setattr(parent, field, new)
        else:
            getattr(parent, field)[index] = new

    return plant


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 90 else f"{text[:60]}…{text[-29:]}"


Place = tuple[str, ast.AST, str, int | None, ast.AST]
"""The function a node stands in, its parent, the parent's field, the index there, and the node."""


def _nodes(parent: ast.AST, where: str) -> Iterator[Place]:
    for field, value in ast.iter_fields(parent):
        if field in _LEFT_ALONE.get(type(parent), ()) or field in {"annotation", "type_comment"}:
            continue
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            if not isinstance(child, ast.AST) or _decides_nothing(child) or _is_type(parent, child):
                continue
            yield where, parent, field, index if isinstance(value, list) else None, child
            named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            inner = f"{where}.{child.name}".lstrip(".") if named else where  # type: ignore[attr-defined]
            yield from _nodes(child, inner)


_LEFT_ALONE: dict[type[ast.AST], tuple[str, ...]] = {
    ast.ClassDef: ("bases", "keywords", "decorator_list"),
    ast.FunctionDef: ("returns", "decorator_list"),
    ast.AsyncFunctionDef: ("returns", "decorator_list"),
    ast.ExceptHandler: ("type",),
}


def _decides_nothing(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)  # docstrings
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in _TYPING
    if isinstance(node, ast.AnnAssign):
        return isinstance(node.annotation, ast.Name) and node.annotation.id == "TypeAlias"
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id == "__slots__" for target in node.targets)
    return isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom)


def _is_type(parent: ast.AST, child: ast.AST) -> bool:
    casts = isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id == "cast"
    return casts and child is parent.args[0]  # type: ignore[attr-defined]


def _changes(node: ast.AST) -> Iterator[Change]:
    for kind, change in _BY_KIND:
        if isinstance(node, kind):
            yield from ((ast.fix_missing_locations(ast.copy_location(new, node)), old, text)
                        for new, old, text in change(node))  # fmt: skip


def _rewritten(node: ast.AST, **parts: Any) -> Change:
    new = copy.copy(node)
    for field, value in parts.items():
        setattr(new, field, value)
    return new, ast.unparse(node), ast.unparse(new)


def _constant(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield _rewritten(node, value=not value)
    elif isinstance(value, int | float):
        yield _rewritten(node, value=value + 1)
    elif isinstance(value, str) and " " not in value.strip():
        yield _rewritten(node, value=value + "X")
    elif isinstance(value, bytes):
        yield _rewritten(node, value=value + b"X")


def _compare(node: ast.Compare) -> Iterator[Change]:
    for index, op in enumerate(node.ops):
        if type(op) in _OPPOSITE:
            ops = [*node.ops]
            ops[index] = _OPPOSITE[type(op)]()
            yield _rewritten(node, ops=ops)


def _operation(node: ast.BinOp | ast.AugAssign) -> Iterator[Change]:
    if type(node.op) in _OPPOSITE:
        yield _rewritten(node, op=_OPPOSITE[type(node.op)]())


def _without_operand(node: ast.BoolOp) -> Iterator[Change]:
    for index, operand in enumerate(node.values):
        left = node.values[:index] + node.values[index + 1 :]
        new = left[0] if len(left) == 1 else ast.BoolOp(op=node.op, values=left)
        yield new, ast.unparse(operand), f"dropped of {ast.unparse(node)}"


def _without_not(node: ast.UnaryOp) -> Iterator[Change]:
    if isinstance(node.op, ast.Not):
        yield node.operand, ast.unparse(node), ast.unparse(node.operand)


def _decided(node: ast.If | ast.IfExp) -> Iterator[Change]:
    for answer in (True, False):
        parts = {"test": ast.Constant(answer)}
        yield _rewritten(node, **parts)[0], f"if {ast.unparse(node.test)}", f"if {answer}"


def _unfiltered(node: ast.comprehension) -> Iterator[Change]:
    for index, test in enumerate(node.ifs):
        ifs = node.ifs[:index] + node.ifs[index + 1 :]
        yield _rewritten(node, ifs=ifs)[0], f"if {ast.unparse(test)}", "dropped"


def _call(node: ast.Call) -> Iterator[Change]:
    function = node.func
    if isinstance(function, ast.Name) and function.id in _OTHER_FUNCTION:
        yield _rewritten(node, func=ast.Name(_OTHER_FUNCTION[function.id], ast.Load()))
    if isinstance(function, ast.Attribute) and function.attr in _NORMALIZING:
        yield function.value, ast.unparse(node), ast.unparse(function.value)


def _without_element(node: ast.Set | ast.Tuple | ast.List) -> Iterator[Change]:
    constant = all(isinstance(element, ast.Constant | ast.Attribute) for element in node.elts)
    if len(node.elts) > 1 and (constant or isinstance(node, ast.Set)):
        for index, element in enumerate(node.elts):
            parts = {"elts": node.elts[:index] + node.elts[index + 1 :]}
            yield _rewritten(node, **parts)[0], ast.unparse(element), "no element"


def _without_entry(node: ast.Dict) -> Iterator[Change]:
    for index, (key, value) in enumerate(zip(node.keys, node.values, strict=True)):
        parts = {
            "keys": node.keys[:index] + node.keys[index + 1 :],
            "values": node.values[:index] + node.values[index + 1 :],
        }
        entry = ast.unparse(key) if key is not None else f"**{ast.unparse(value)}"
        yield _rewritten(node, **parts)[0], f"{entry}: {ast.unparse(value)}", "no entry"


def _nothing_returned(node: ast.Return) -> Iterator[Change]:
    nothing = node.value is None or (isinstance(node.value, ast.Constant) and not node.value.value)
    if not nothing:
        yield _rewritten(node, value=ast.Constant(None))


def _left_out(node: ast.stmt) -> Iterator[Change]:
    plain = isinstance(node, ast.Assign) and all(
        isinstance(target, ast.Name | ast.Tuple) for target in node.targets
    )
    if not plain:
        yield ast.Pass(), ast.unparse(node), "pass"


_BY_KIND: list[tuple[Any, Callable[[Any], Iterator[Change]]]] = [
    (ast.Constant, _constant),
    (ast.Compare, _compare),
    (ast.BinOp | ast.AugAssign, _operation),
    (ast.BoolOp, _without_operand),
    (ast.UnaryOp, _without_not),
    (ast.If | ast.IfExp, _decided),
    (ast.comprehension, _unfiltered),
    (ast.Call, _call),
    (ast.Set | ast.Tuple | ast.List, _without_element),
    (ast.Dict, _without_entry),
    (ast.Return, _nothing_returned),
    (ast.Expr | ast.Assign | ast.AugAssign | ast.Raise | ast.Continue | ast.Break | ast.Delete, _left_out),
]

"""The names that the package defines, read from its source: modules, and the functions, classes and members in them."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "authz"


@cache
def top_level() -> frozenset[str]:
    """Return the names of the package's own packages and modules."""
    return frozenset(path.stem for path in PACKAGE.iterdir())


@cache
def _names() -> dict[str, frozenset[str]]:
    """Return for each path in the package, `core/engine`, the names that the file defines; none for a folder."""
    files = {_place(path): _defined(ast.parse(path.read_text("utf-8"))) for path in PACKAGE.rglob("*.py")}
    folders = {_place(path): frozenset[str]() for path in PACKAGE.rglob("*") if path.is_dir()}
    return folders | files


def _place(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix().removesuffix("/__init__")


def _defined(tree: ast.AST, prefix: str = "") -> frozenset[str]:
    """Return the names of a scope, and with a dot those of its classes: `check`, `Policy`, `Policy.judge`."""
    names: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(prefix + name)
            case ast.ClassDef(name=name):
                names |= {prefix + name, *_defined(node, f"{prefix}{name}.")}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(prefix + name)
            case ast.Assign(targets=targets):
                names |= {prefix + target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(names)


def has_path(path: str) -> bool:
    """Tell whether a path names a module, a folder, or a name in a module: `core/engine.py`, `core/engine.check`."""
    module, _, name = path.removesuffix("/").removesuffix(".py").partition(".")
    return (PACKAGE / path).exists() or (module in _names() and (not name or name in _names()[module]))


def has_dotted(dotted: str) -> bool:
    """Tell whether a dotted name exists: `core.policy.policy`, `engine.check` (any module `engine`), `Policy.judge`."""
    parts = dotted.split(".")
    return any(
        _ends_with(place, parts[:cut]) and (not parts[cut:] or ".".join(parts[cut:]) in names)
        for place, names in _names().items()
        for cut in range(len(parts) + 1)
    )


def _ends_with(place: str, parts: list[str]) -> bool:
    return place.split("/")[-len(parts) :] == parts if parts else True

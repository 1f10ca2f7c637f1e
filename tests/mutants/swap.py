"""Faults inside functions, tried without a new import: the quick way, by which nearly every mutant is killed.

The tests of a module are collected once. For each mutant the process is forked, the code of the changed function takes
the place of the old one in the live function, and the tests run. What was computed when the module was imported is
not computed again, so a mutant that survives here has survived nothing yet: it is tried once more by `trial`.
"""

import ast
import gc
import types
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path


def swapped(name: str, file: Path, tree: ast.Module, plant: Callable[[], None]) -> bool:
    """Put a fault into the live functions of a module; False, with nothing done, where it is not in a function alone."""
    before = _codes(compile(tree, str(file), "exec"))
    plant()
    after = _codes(compile(tree, str(file), "exec"))
    changed = {each for each in before | after if _plain(before.get(each)) != _plain(after.get(each))}
    owners = {each.partition(".<locals>")[0] for each in changed}
    live = _functions(name)
    if not owners or not owners <= live.keys() & after.keys():
        return False
    if any(live[each].__code__.co_freevars != after[each].co_freevars for each in owners):
        return False
    for each in owners:
        live[each].__code__ = after[each]
    return True


def _codes(module: types.CodeType) -> dict[str, types.CodeType]:
    """Return the code of a module by qualified name, without names that stand for more than one."""
    found = list(_walk(module))
    times = Counter(code.co_qualname for code in found)
    return {code.co_qualname: code for code in found if times[code.co_qualname] == 1}


def _walk(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _walk(constant)


def _plain(code: types.CodeType | None) -> object:
    """Return what a piece of code does itself, apart from the functions that it makes."""
    if code is None:
        return None
    constants = tuple(repr(each) for each in code.co_consts if not isinstance(each, types.CodeType))
    return code.co_code, code.co_names, code.co_varnames, code.co_freevars, constants


def _functions(module: str) -> dict[str, types.FunctionType]:
    live = (
        each
        for each in gc.get_objects()
        if isinstance(each, types.FunctionType) and each.__module__ == module
    )
    return {each.__code__.co_qualname: each for each in live}

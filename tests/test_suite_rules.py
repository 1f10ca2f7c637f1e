"""The rules that keep the suite from failing for reasons of the machine, held by reading the tests themselves.

What is found is what can be found without false alarms; each rule says in its docstring what it is for.
"""

import ast
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.tracked import ROOT, tracked

TESTS = tracked("tests/**/*.py")
WAITING = ROOT / "tests" / "support" / "waiting.py"
TRACKED = ROOT / "tests" / "support" / "tracked.py"
EACH = pytest.mark.parametrize("file", TESTS, ids=lambda file: file.relative_to(ROOT / "tests").as_posix())

CLOCKS = frozenset(
    f"time.{name}{ending}"
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time")
    for ending in ("", "_ns")
)
DATES = frozenset({"datetime.now", "datetime.utcnow", "datetime.today", "date.today"})
SHORT_LIVED = frozenset({"current", "tokens.current", "good_token"})
"""Makers of tokens, and of claims by the host's clock, in tests.support."""
FOLDERS = frozenset({"ROOT", "TESTS", "K8S", "HERE", "DOCS"})
"""Names by which modules of tests call folders of the repository in which other things may lie."""
LEAST = 60.0


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def called(node: ast.AST) -> str:
    """The name of what a call calls: `time.time`, `dt.datetime.now` as `datetime.now`; empty for no call."""
    if not isinstance(node, ast.Call):
        return ""
    return ".".join(ast.unparse(node.func).split(".")[-2:])


def calls(nodes: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(nodes) if isinstance(node, ast.Call))


def number(node: ast.expr | None) -> float | None:
    return node.value if isinstance(node, ast.Constant) and type(node.value) in {int, float} else None


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: not the bodies of its functions, but their decorators and defaults."""
    if isinstance(node, ast.Lambda):
        return
    yield node
    inner = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        inner = [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
    for child in inner:
        yield from at_import(child)


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(file)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def lines(found: Iterator[ast.AST]) -> list[int]:
    return [node.lineno for node in found]


def test_the_rules_are_held_against_every_file():
    assert Path(__file__) in TESTS
    assert len(TESTS) > 150


@EACH
def test_no_test_sleeps(file):
    """A sleep is too short on a busy machine and too long on every other; `eventually` waits for the condition."""
    assert [] == lines(node for node in calls(tree(file)) if called(node) == "time.sleep")


@EACH
def test_no_clock_is_read_and_no_token_made_when_a_module_is_imported(file):
    """What is made then has expired when the run takes longer than its maker thought."""
    early = CLOCKS | DATES | SHORT_LIVED

    assert [] == lines(node for node in at_import(tree(file)) if called(node) in early)


def timed(function: ast.AST) -> set[str]:
    """Names in a function whose values come from a clock, also by way of one another."""
    names: set[str] = set()
    assigned = [node for node in ast.walk(function) if isinstance(node, ast.Assign | ast.NamedExpr)]
    for _ in range(3):
        for node in assigned:
            if reads_a_clock(node.value, names):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names |= {
                    name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
                }
    return names


def reads_a_clock(node: ast.AST, names: set[str]) -> bool:
    """Whether an arithmetic expression has a clock's value in it; a call given one makes something else of it."""
    if isinstance(node, ast.Call):
        return called(node) in CLOCKS
    if isinstance(node, ast.Name):
        return node.id in names
    return any(reads_a_clock(child, names) for child in ast.iter_child_nodes(node))


@EACH
def test_no_assertion_compares_what_a_clock_says(file):
    """It would fail on a busy machine, and pass on a fast one whatever the code does: count work (tests.support.work)."""
    found = [
        check.lineno
        for function in functions(file)
        for check in ast.walk(function)
        if isinstance(check, ast.Assert) and reads_a_clock(check.test, timed(function))
    ]

    assert [] == found


BINDING = frozenset({"bind", "listen", "create_server", "start_server", "serve"})


@EACH
def test_nothing_listens_at_a_fixed_port(file):
    """Another run, or anything else on the machine, may listen there: port 0, or `free_port`."""
    fixed = [
        node.lineno
        for node in calls(tree(file))
        if ast.unparse(node.func).split(".")[-1] in BINDING
        for part in ast.walk(node)
        if isinstance(part, ast.Tuple) and len(part.elts) == 2 and (number(part.elts[1]) or 0) > 0
    ]
    added = [
        node.lineno
        for node in calls(tree(file))
        if ast.unparse(node.func).split(".")[-1] == "add_insecure_port"
        and isinstance(node.args[0], ast.Constant)
        and not node.args[0].value.endswith(":0")
    ]

    assert [] == fixed + added


HTTPX = frozenset(
    f"httpx.{name}" for name in ("get", "post", "put", "delete", "request", "stream", "Client", "AsyncClient")
)
BOUNDED = {"subprocess.run": "timeout", "asyncio.wait_for": "timeout", "asyncio.timeout": "delay"}
"""Calls that wait for something to be done, and the keyword of their bound."""


def bound(node: ast.Call) -> ast.expr | None:
    """The bound of a call that waits, where it is told one."""
    name = called(node)
    for keyword in node.keywords:
        if keyword.arg == BOUNDED.get(name, "timeout"):
            return keyword.value
    position = {"asyncio.wait_for": 1, "asyncio.timeout": 0}.get(name, math.inf)
    return node.args[position] if position < len(node.args) else None


@EACH
def test_what_waits_waits_as_long_as_the_suite_does(file):
    """A bound of its own is outlasted by a slow machine; a hang is found as well by one that is generous."""
    waits = [node for node in calls(tree(file)) if called(node) in BOUNDED]

    assert [] == [node.lineno for node in waits if (number(bound(node)) or LEAST) < LEAST]


@EACH
def test_no_request_has_the_short_bound_that_httpx_has_by_itself(file):
    asked = [node for node in calls(tree(file)) if called(node) in HTTPX]
    told = {"timeout", "transport", None}  # None: keywords that come from elsewhere

    assert [] == [node.lineno for node in asked if told.isdisjoint(word.arg for word in node.keywords)]


@EACH
def test_no_loop_of_its_own_polls_until_a_moment(file):
    """There is one such loop, with one bound: `attempts` in tests.support.waiting."""
    loops = (node for node in ast.walk(tree(file)) if isinstance(node, ast.While))
    found = lines(loop for loop in loops if any(called(node) in CLOCKS for node in calls(loop.test)))

    assert ([] if file != WAITING else 1) == (found if file != WAITING else len(found))


@EACH
def test_no_test_reads_whatever_lies_in_the_checkout(file):
    """A build/ folder, a virtual environment, somebody's trial: `tracked` names what git has."""
    found = [
        node.lineno
        for node in calls(tree(file))
        if isinstance(node.func, ast.Attribute)
        and node.func.attr in {"glob", "rglob", "iterdir", "walk"}
        and FOLDERS & {name.id for name in ast.walk(node.func.value) if isinstance(name, ast.Name)}
    ]

    assert file == TRACKED or [] == found


@EACH
def test_a_skip_says_what_is_missing_and_how_to_get_it(file):
    """So that whoever reads the summary can run what was not run."""
    skips = [
        node for node in calls(tree(file)) if called(node) in {"pytest.skip", "mark.skipif", "mark.skip"}
    ]
    bare = [
        node.lineno
        for node in skips
        if not (
            node.args if called(node) == "pytest.skip" else [k for k in node.keywords if k.arg == "reason"]
        )
    ]

    assert [] == bare

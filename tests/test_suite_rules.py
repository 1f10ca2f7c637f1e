"""The rules that keep the suite from failing for reasons of the machine, held by reading the tests themselves.

What is found is what can be found without false alarms; each rule says in its docstring what it is for.
"""

import ast
import math
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.tracked import ROOT, tracked

TESTS = tracked("tests/**/*.py")
WAITING = ROOT / "tests" / "support" / "waiting.py"
TRACKED = ROOT / "tests" / "support" / "tracked.py"

CLOCKS = frozenset(
    f"time.{name}{ending}"
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time")
    for ending in ("", "_ns")
)
DATES = frozenset({"datetime.now", "datetime.utcnow", "datetime.today", "date.today"})
SHORT_LIVED = frozenset({"current", "tokens.current"})
"""Makers, in tests.support, of claims by the host's clock."""
FOLDERS = frozenset({"ROOT", "TESTS", "K8S", "HERE", "DOCS"})
"""Names by which modules of tests call folders of the repository in which other things may lie."""
LEAST = 60.0


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def called(node: ast.AST) -> str:
    """The last two names of what a call calls: `time.time`, `dt.datetime.now` as `datetime.now`; empty for no call."""
    function = node.func if isinstance(node, ast.Call) else None
    if isinstance(function, ast.Name):
        return function.id
    if not isinstance(function, ast.Attribute):
        return ""
    owner = function.value
    if isinstance(owner, ast.Attribute):
        return f"{owner.attr}.{function.attr}"
    return f"{owner.id}.{function.attr}" if isinstance(owner, ast.Name) else f".{function.attr}"


@cache
def calls(file: Path) -> list[ast.Call]:
    return [node for node in ast.walk(tree(file)) if isinstance(node, ast.Call)]


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


def lines(found: Iterable[ast.AST]) -> list[int]:
    return [node.lineno for node in found]


def offences(rule: Callable[[Path], Iterable[int]], *, but: Path | None = None) -> list[str]:
    """Where the tests break a rule, which reads one file and gives the lines."""
    return [f"{file.relative_to(ROOT)}:{line}" for file in TESTS if file != but for line in rule(file)]


def test_the_rules_are_held_against_every_file():
    assert Path(__file__) in TESTS
    assert len(TESTS) > 150


def sleeps(file):
    return lines(node for node in calls(file) if called(node) == "time.sleep")


def test_no_test_sleeps():
    """A sleep is too short on a busy machine and too long on every other; `eventually` waits for the condition."""
    assert [] == offences(sleeps)


def too_early(file):
    return lines(node for node in at_import(tree(file)) if called(node) in CLOCKS | DATES | SHORT_LIVED)


def test_no_clock_is_read_and_no_token_made_when_a_module_is_imported():
    """What is made then has expired when the run takes longer than its maker thought."""
    assert [] == offences(too_early)


def reads_a_clock(node: ast.AST, names: set[str]) -> bool:
    """Whether an expression has a clock's value in it; a call that is given one makes something else of it."""
    if isinstance(node, ast.Call):
        return called(node) in CLOCKS
    if isinstance(node, ast.Name):
        return node.id in names
    return any(reads_a_clock(child, names) for child in ast.iter_child_nodes(node))


def timed(function: ast.AST) -> set[str]:
    """Names in a function whose values come from a clock, also by way of one another."""
    names: set[str] = set()
    assigned = [node for node in ast.walk(function) if isinstance(node, ast.Assign | ast.NamedExpr)]
    for _ in range(3):
        for node in assigned:
            if reads_a_clock(node.value, names):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                written = (name for target in targets for name in ast.walk(target))
                names |= {name.id for name in written if isinstance(name, ast.Name)}
    return names


def clocked_assertions(file):
    if not any(called(node) in CLOCKS for node in calls(file)):
        return
    for function in functions(file):
        names = timed(function)
        checks = (node for node in ast.walk(function) if isinstance(node, ast.Assert))
        yield from lines(check for check in checks if reads_a_clock(check.test, names))


def test_no_assertion_compares_what_a_clock_says():
    """It would fail on a busy machine, and pass on a fast one whatever the code does: count work (tests.support.work)."""
    assert [] == offences(clocked_assertions)


BINDING = frozenset({"bind", "listen", "create_server", "start_server", "serve"})


def last_name(node: ast.Call) -> str:
    return called(node).rpartition(".")[2]


def fixed_ports(file):
    binding = (node for node in calls(file) if last_name(node) in BINDING)
    pairs = (part for node in binding for part in ast.walk(node) if isinstance(part, ast.Tuple))
    yield from lines(pair for pair in pairs if len(pair.elts) == 2 and (number(pair.elts[1]) or 0) > 0)
    for node in calls(file):
        if last_name(node) == "add_insecure_port" and isinstance(node.args[0], ast.Constant):
            yield from [] if node.args[0].value.endswith(":0") else [node.lineno]


def test_nothing_listens_at_a_fixed_port():
    """Another run, or anything else on the machine, may listen there: port 0, or `free_port`."""
    assert [] == offences(fixed_ports)


BOUNDED = {"subprocess.run": "timeout", "asyncio.wait_for": "timeout", "asyncio.timeout": "delay"}
"""Calls that wait for something to be done, and the keyword of their bound."""


def bound(node: ast.Call) -> ast.expr | None:
    """The bound of a call that waits, where it is told one."""
    name = called(node)
    for keyword in node.keywords:
        if keyword.arg == BOUNDED[name]:
            return keyword.value
    position = {"asyncio.wait_for": 1, "asyncio.timeout": 0}.get(name, math.inf)
    return node.args[position] if position < len(node.args) else None


def short_waits(file):
    waits = (node for node in calls(file) if called(node) in BOUNDED)
    return lines(node for node in waits if (number(bound(node)) or LEAST) < LEAST)


def test_what_waits_waits_as_long_as_the_suite_does():
    """A bound of its own is outlasted by a slow machine; a hang is found as well by one that is generous."""
    assert [] == offences(short_waits)


HTTPX = frozenset(
    f"httpx.{name}" for name in ("get", "post", "put", "delete", "request", "stream", "Client", "AsyncClient")
)
TOLD = {"timeout", "transport", None}
"""Keywords that set httpx' bound or make it needless; None is what comes from elsewhere, as `**more`."""


def unbounded_requests(file):
    asked = (node for node in calls(file) if called(node) in HTTPX)
    return lines(node for node in asked if TOLD.isdisjoint(word.arg for word in node.keywords))


def test_no_request_has_the_short_bound_that_httpx_has_by_itself():
    assert [] == offences(unbounded_requests)


def polling(file):
    loops = (node for node in ast.walk(tree(file)) if isinstance(node, ast.While))
    return lines(loop for loop in loops if any(called(node) in CLOCKS for node in ast.walk(loop.test)))


def test_no_loop_of_its_own_polls_until_a_moment():
    """There is one such loop, with one bound: `attempts` in tests.support.waiting."""
    assert 1 == len(polling(WAITING))
    assert [] == offences(polling, but=WAITING)


def listings(file):
    """Folders of the repository that are listed; a folder below one, such as authz/proto, is the code's own."""
    for node in calls(file):
        lists = isinstance(node.func, ast.Attribute) and node.func.attr in {
            "glob",
            "rglob",
            "iterdir",
            "walk",
        }
        if lists and isinstance(node.func.value, ast.Name) and node.func.value.id in FOLDERS:
            yield node.lineno


def test_no_test_reads_whatever_lies_in_the_checkout():
    """A build/ folder, a virtual environment, somebody's trial: `tracked` names what git has."""
    assert 1 == len(list(listings(TRACKED)))
    assert [] == offences(listings, but=TRACKED)


def wordless_skips(file):
    for node in calls(file):
        if called(node) == "pytest.skip" and not node.args:
            yield node.lineno
        if called(node) in {"mark.skipif", "mark.skip"} and all(
            word.arg != "reason" for word in node.keywords
        ):
            yield node.lineno


def test_every_skip_says_why():
    assert [] == offences(wordless_skips)


BROKEN = {
    sleeps: "time.sleep(1)",
    too_early: "def made(at=time.time()): ...",
    clocked_assertions: "def test():\n    began = time.monotonic()\n    took = time.monotonic() - began\n    assert took < 1",
    fixed_ports: "socket.create_server(('127.0.0.1', 9001))",
    short_waits: "subprocess.run(['true'], timeout=5)",
    unbounded_requests: "httpx.get('http://127.0.0.1/')",
    polling: "while time.monotonic() < end: ...",
    listings: "ROOT.rglob('*.yaml')",
    wordless_skips: "pytest.skip()",
}


@pytest.mark.parametrize(("rule", "text"), BROKEN.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_a_rule_finds_what_breaks_it_and_nothing_in_a_file_that_is_sound(tmp_path, rule, text):
    broken, sound = tmp_path / "broken.py", tmp_path / "sound.py"
    broken.write_text(text)
    sound.write_text("def test():\n    assert eventually(lambda: time.time() > 0)\n")

    assert [len(text.splitlines())] == list(rule(broken))
    assert [] == list(rule(sound))


RAW = [file for file in TESTS if "raw_server" in file.read_text("utf-8")]


@pytest.mark.parametrize("file", RAW, ids=lambda file: str(file.relative_to(ROOT)))
def test_an_answer_of_a_raw_server_that_has_an_end_says_that_its_connection_is_closed(file):
    """Envoy would send the next request into the connection, if it comes before Envoy sees that it was closed."""
    texts = (node.value for node in ast.walk(tree(file)) if isinstance(node, ast.Constant))
    heads = [
        text
        for text in texts
        if isinstance(text, bytes) and text.startswith(b"HTTP/1.1 2") and b"\r\n" in text
    ]

    assert [] == [head for head in heads if b"connection: close" not in head]

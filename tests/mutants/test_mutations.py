"""Which faults are planted, and that the list of those that nobody can notice is about real ones."""

import ast
import tomllib

import pytest

from tests.mutants.mutations import mutants
from tests.mutants.targets import SECURITY, answering
from tests.support.tracked import ROOT

EQUIVALENT = tomllib.loads((ROOT / "tests" / "mutants" / "equivalent.toml").read_text("utf-8"))


def planted(source):
    """Return every mutant of a text as text."""
    found = []
    for number in range(len(mutants(ast.parse(source)))):
        tree = ast.parse(source)
        mutants(tree)[number].plant()
        found.append(ast.unparse(tree))
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a = b == c", ["a = b != c"]),
        ("a = b < 1", ["a = b <= 1", "a = b < 2"]),
        ("a = b not in c", ["a = b in c"]),
        ("a = b and c and d", ["a = c and d", "a = b and d", "a = b and c"]),
        ("a = not b", ["a = b"]),
        ("a = True", ["a = False"]),
        ("a = 'b'", ["a = 'bX'"]),
        ("a = 'text of several words'", []),
        ("a = f'{b}c'", []),
        ("a = {b, c}", ["a = {c}", "a = {b}"]),
        ("a = {1: b}", ["a = {}", "a = {2: b}"]),
        ("a = any(b)", ["a = all(b)"]),
        ("a = b.lower()", ["a = b"]),
        ("a = [b for b in c if d]", ["a = [b for b in c]"]),
        ("a: 'int' = b", []),
        ("a.b = c", ["pass"]),
        ("b()", ["pass"]),
        ("'''Docstring.'''", []),
        ("a = cast('int', b)", []),
        ("a = b if c else d", ["a = b if True else d", "a = b if False else d"]),
        ("def f():\n    return a", ["def f():\n    return None"]),
        ("def f():\n    return False", ["def f():\n    return True"]),
        ("@b(1)\ndef f():\n    raise a", ["@b(1)\ndef f():\n    pass"]),
        ("a |= b", ["pass", "a &= b"]),
    ],
)
def test_each_fault_is_one_small_change(source, expected):
    assert sorted(expected) == sorted(planted(source))


def test_a_name_says_where_a_fault_is_and_not_on_which_line():
    first, second = (
        mutants(ast.parse(f"{above}class A:\n    def f(self):\n        x(a is b, a is b)\n"))
        for above in ("", "\n\n")
    )

    assert [mutant.name for mutant in first] == [mutant.name for mutant in second]
    assert {"A.f: a is b → a is not b", "A.f: a is b → a is not b #2"} <= {mutant.name for mutant in first}


@pytest.mark.parametrize("module", SECURITY)
def test_every_module_has_tests_that_answer_for_it(module):
    assert answering(module, ROOT)
    assert all((ROOT / each).is_file() for each in answering(module, ROOT))


def test_what_is_called_equivalent_stands_in_a_mutated_module_and_has_a_reason():
    """Whether such a fault is still planted is said by the run itself."""
    assert set() == set(EQUIVALENT) - set(SECURITY)
    assert [] == [
        name for faults in EQUIVALENT.values() for name, reason in faults.items() if len(reason.split()) < 4
    ]

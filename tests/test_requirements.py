"""Every promise has a test that names it, every name is a promise's, and the documents promise nothing besides."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from tests.requirements import REQUIREMENTS, Requirement

ROOT = Path(__file__).resolve().parent.parent
PROMISES = ("SECURITY.md#promises", "docs/protocol.md")
"""Documents and headings of which every list item and every paragraph must have an entry."""


def marks(source):
    """Give function and id of every requirement mark in a source, and None for an id that is no literal."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.requirement":
                    yield from ((node.name, getattr(word, "value", None)) for word in mark.args)


@cache
def marked():
    """Give the tests that name each id, as path and function."""
    found = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if "requirement" in (text := path.read_text("utf-8")):
            for function, name in marks(text):
                found[name].append((path, function))
    return found


def anchor(heading):
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


@cache
def sections(document):
    """Give the text below each heading of a document, under the heading's anchor; the head under none."""
    parts = re.split(r"^## (.*)$", (ROOT / document).read_text("utf-8"), flags=re.MULTILINE)
    return {"": parts[0]} | {
        anchor(heading): text for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def promises(text):
    """Give list items, paragraphs and tables of a section: what stands together in it."""
    items = re.split(r"\n\s*\n|\n(?=- |\d+\. |\| `SEC-)", text)
    return [item.strip() for item in items if item.strip() and not item.startswith(("# ", "| id "))]


def places(requirement):
    """Give the promises of its source that hold a requirement's phrase."""
    document, _, heading = requirement.source.partition("#")
    if document == "docs/reasons.md":
        lines = (ROOT / document).read_text("utf-8").splitlines()
        return [line for line in lines if line.startswith(requirement.phrase)]
    return [
        item for item in promises(sections(document).get(heading, "")) if _holds(item, requirement.phrase)
    ]


def _holds(item, phrase):
    named = re.fullmatch(r"SEC-\d+", phrase)
    return item.startswith(f"| `{phrase}`") if named else phrase in " ".join(item.split())


def uncovered(text, phrases):
    return [item for item in promises(text) if not any(_holds(item, phrase) for phrase in phrases)]


def test_marks_are_found_on_tests_of_any_kind_and_ids_that_are_no_literals_too():
    source = (
        "@pytest.mark.requirement('a', 'b')\n@other\ndef test_x(): pass\n"
        "@pytest.mark.requirement(NAME)\nasync def test_y(): pass\n"
        "@pytest.mark.envoy\ndef test_z(): pass\n"
    )

    assert [("test_x", "a"), ("test_x", "b"), ("test_y", None)] == list(marks(source))


def test_a_promise_that_no_entry_covers_is_found():
    text = "Lead.\n\n- one\n- two\n  goes on\n\nThree\nand more.\n"

    assert ["Lead.", "- two\n  goes on"] == uncovered(text, ["one", "and more"])


def test_an_id_of_a_promise_is_that_row_and_no_other():
    assert [] == places(Requirement(source="SECURITY.md#promises", phrase="SEC-99", sentence=""))
    assert 1 == len(places(Requirement(source="SECURITY.md#promises", phrase="SEC-01", sentence="")))


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_a_requirement_has_a_test_or_says_why_not(name):
    deferred = bool(REQUIREMENTS[name].deferred)

    assert deferred is not bool(marked()[name])


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_a_requirement_stands_once_where_it_says(name):
    assert 1 == len(places(REQUIREMENTS[name]))


def test_every_mark_names_a_requirement_and_stands_on_a_test():
    assert set() == {name for name, tests in marked().items() if tests} - REQUIREMENTS.keys()
    assert [] == [
        (path, function)
        for tests in marked().values()
        for path, function in tests
        if not function.startswith("test_")
    ]


@pytest.mark.parametrize("where", PROMISES)
def test_the_documents_promise_nothing_that_has_no_entry(where):
    document, _, only = where.partition("#")
    missing = []
    for heading, text in sections(document).items():
        if not only or heading == only:
            source = f"{document}#{heading}".rstrip("#")
            phrases = [entry.phrase for entry in REQUIREMENTS.values() if entry.source == source]
            missing += uncovered(text, phrases)

    assert [] == missing


@pytest.mark.parametrize("name", [name for name in REQUIREMENTS if name.startswith("reason.")])
def test_a_test_that_shows_a_reason_stands_in_a_module_that_names_it(name):
    word = name.removeprefix("reason.")
    named = re.compile(rf"\b(?:Reason|R)\.{word.upper()}\b|\"{word}\"")

    assert [] == [path for path, _ in marked()[name] if not named.search(path.read_text("utf-8"))]

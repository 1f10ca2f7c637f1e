"""The words of the house: none that was retired in favour of the field's own term comes back, in code or in prose.

A table gives each retired word and the term that replaced it. Only words that mean nothing else here are in it, so a
match needs no judgement. Console output in a document is not looked at: it is checked in the package that prints it.
"""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


RETIRED = {
    r"\b[Oo]ccasions?\b": "evaluation context",
    r"\b[Oo]utlook\b": "status",
    r"\b[Hh]andovers?\b": "response context",
    r"\b[Bb]aggage\b": "response context",
    r"\b[Ll]ook-?alikes?\b": "confusable",
    r"\bhopeful\b": "may_refetch",
    r"\bin_vain\b": "recently_missed",
    r"\b_weigh\b": "evaluate_with_shadows",
    r"\b_sorted_out\b": "group_by_effect",
    r"\b_nobodys\b": "reject_all",
    r"\b_manner\b": "denial_style",
    r"\b[Tt]all(?:y|ies)\b": "counters",
    r"\bnudge[sd]?\b": "wake",
    r"\bclass (?:Walk|Among|Beside|Ending|Home|Gone|Refused)\b": "see the design's names",
    r"\bso many\b": "the number or the limit itself",
    r"\b[Ww]hoever\b": "anyone who, the caller",
    r"\bnone that\b": "no ... that",
    r"\bno \w+ of (?:its|their|his) own\b": "has no",
    r"\b[Rr]ead are\b": "the subject before the verb",
    r"\byes is a no\b": "an allow that comes too late becomes a denial",
    r"\banew\b": "again",
    r"\bto the letter\b": "exactly",
}
"""Retired word to the term in its place."""
OPENINGS = re.compile(r"(?:Give|Gives|Says|Takes)\b")
"""A docstring is in the imperative, and says what is returned by "Return" (PEP 257)."""
CONSOLE = re.compile(r"^```console\n.*?^```", re.DOTALL | re.MULTILINE)


def _tracked(*patterns: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


PYTHON = _tracked("authz/*.py", ":!authz/proto/*")
TEXTS = [*PYTHON, *_tracked("*.md", "authz/*.yaml", ":!tests/*")]


def _retired(text: str) -> list[str]:
    without = CONSOLE.sub(lambda block: "\n" * block[0].count("\n"), text)
    return [
        f"line {number}: {match[0]!r}, say {instead!r}"
        for number, line in enumerate(without.splitlines(), start=1)
        for word, instead in RETIRED.items()
        for match in re.finditer(word, line)
    ]


@pytest.mark.parametrize("file", TEXTS)
def test_no_line_has_a_retired_word(file):
    assert [] == _retired((ROOT / file).read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", PYTHON)
def test_every_docstring_is_in_the_imperative(file):
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [
        node for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))) if isinstance(node, kinds)
    ]
    docstrings = [text for node in nodes if (text := ast.get_docstring(node))]

    assert [] == [text.splitlines()[0] for text in docstrings if OPENINGS.match(text)]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("the occasion of a rule", 1),
        ("Whoever reaches the server does it anew", 2),
        ("occasionally, a hopefully wholesale outcome", 0),
        ("```console\n$ make\nwhoever\n```\nnudged", 1),
    ],
)
def test_the_check_of_words_finds_a_retired_word_and_nothing_else(line, found):
    assert found == len(_retired(line))

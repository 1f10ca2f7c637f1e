"""Policies whose denials would show which names are hidden cannot be used."""

import pytest

from authz.config.lint.hiding import overlap
from authz.core.policy.rule import Pattern
from tests.support.policy_files import NATIVE, problems, settings

HIDDEN = "deny: {tools: ['admin_*']}\n        hide: true"
BETRAYED = (
    "shows which names {} hides: what it denies of other names is not hidden "
    "(set hide to true here too, or let the two select different names)"
)
SCOPED, VISIBLE, SHADOW = "\n        scopes: [s]", "\n        hide: false", "\n        shadow: true"


def written(rules, *, hide=False):
    text = NATIVE.replace("allow: {tools: [echo]}", "\n      - ".join(rules))
    return text.replace("    rules:", "    hide: true\n    rules:") if hide else text


@pytest.mark.parametrize(
    ("rules", "hide", "index"),
    [
        ([HIDDEN, "allow: {tools: ['*']}" + SCOPED], False, 1),
        (["allow: {tools: ['a*']}" + SCOPED, HIDDEN], False, 0),
        ([HIDDEN, "deny: {tools: ['*_users']}", "allow: {tools: [echo]}"], False, 1),
        (["deny: {tools: [admin_x]}", "allow: {tools: ['admin_*']}" + SCOPED + VISIBLE], True, 1),
    ],
)
def test_a_visible_denial_of_names_among_hidden_ones_is_refused(rules, hide, index):
    (found,) = problems(written(rules, hide=hide))
    hiding = "rule-2" if index == 0 else "rule-1"

    assert f"servers.files.rules[{index}]: {BETRAYED.format(hiding)}" == found.split(": ", 1)[1]


@pytest.mark.parametrize(
    ("rules", "hide"),
    [
        ([HIDDEN, "allow: {tools: [echo]}" + SCOPED], False),
        ([HIDDEN, "allow: {tools: ['read_*']}" + SCOPED], False),
        ([HIDDEN, "allow: {tools: ['*']}" + SCOPED + "\n        hide: true"], False),
        ([HIDDEN, "allow: {tools: ['*']}"], False),
        ([HIDDEN, "allow: {prompts: ['*']}" + SCOPED], False),
        ([HIDDEN, "allow: {tools: ['*']}" + SCOPED + SHADOW, "allow: {tools: [echo]}"], False),
        (["deny: {tools: [secret]}", "allow: {tools: ['*']}" + SCOPED], False),
        (["deny: {tools: [secret]}", "allow: {tools: ['read_*']}" + SCOPED + VISIBLE], True),
        (["deny: {tools: [secret]}", "allow: {tools: ['*']}" + SCOPED], True),
    ],
)
def test_a_visible_denial_of_other_names_is_no_problem(rules, hide):
    assert {"files"} == {server.name for server in settings(written(rules, hide=hide)).directory.servers}


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("a*", "ab", True),
        ("a*", "b", False),
        ("a*", "*b", True),
        ("a*c", "ab*", True),
        ("a*", "b*", False),
        ("*a", "*b", False),
        ("*", "*", True),
    ],
)
def test_patterns_overlap_if_their_beginnings_and_ends_agree(pattern, name, expected):
    assert expected is overlap(Pattern(tuple(pattern.split("*"))), name)

"""A decision denies until it is built otherwise, and cannot contradict itself; what a sender wrote is reported safely."""

import unicodedata

import pytest

from authz.core.decision import Decision, clip
from authz.core.reasons import Reason
from tests.support.core import context, principal


@pytest.mark.requirement("security.one-allow")
def test_a_decision_is_a_denial_until_it_is_built_otherwise():
    assert (False, Reason.INTERNAL) == (Decision().allowed, Decision().reason)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.ALLOWED])
def test_a_decision_that_contradicts_itself_cannot_be_built(reason):
    assert not Decision(reason=reason).allowed
    with pytest.raises(ValueError, match="exactly when"):
        Decision(reason=reason, allowed=True)
    with pytest.raises(ValueError, match="exactly when"):
        Decision(reason=Reason.ALLOWED, allowed=False)


def test_an_allow_has_its_reason():
    assert Decision(reason=Reason.ALLOWED, allowed=True).allowed


def test_the_principal_is_the_callers_where_there_is_one():
    who = principal("a")

    assert who is Decision(caller=context(who).caller).principal
    assert None is Decision().principal


def test_a_denial_by_default_names_nobody_and_nothing():
    made = Decision()

    assert (None, None, None) == (made.principal, made.item, made.request_id)
    assert ("", "", "", (), ()) == (made.server, made.method, made.rule, made.scopes, made.shadows)
    assert (False, False, False, "") == (made.rewrite, made.hide, made.as_result, made.version)


def test_records_call_a_decision_allow_or_deny():
    assert "deny" == Decision().verdict
    assert "allow" == Decision(reason=Reason.ALLOWED, allowed=True).verdict


@pytest.mark.parametrize("name", Decision.__struct_fields__)
def test_a_decision_cannot_be_changed_afterwards(name):
    made = Decision()
    with pytest.raises(AttributeError):
        setattr(made, name, getattr(made, name))


MAX = 512


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("echo", "echo"),
        ("größe-名前", "größe-名前"),
        ("größe und 名前", "größe und 名前"),
        ("a\nb\r\x00\x7f", "a�b���"),
        ("a\x85b", "a�b"),
        ("a\u2028b\u2029", "a�b�"),
        ("a\u202ecod.exe", "a�cod.exe"),
        ("a\u2066b\u2069", "a�b�"),
        ("x" * MAX, "x" * MAX),
        ("x" * (MAX + 1), "x" * MAX + "…"),
    ],
)
def test_characters_that_forge_or_reorder_a_line_are_replaced(text, expected):
    assert expected == clip(text)


BIDIRECTIONAL = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
MARKS = {"\u061c", "\u200e", "\u200f"}


def _forges(character):
    return (
        unicodedata.category(character) in {"Cc", "Zl", "Zp"}
        or unicodedata.bidirectional(character) in BIDIRECTIONAL
        or character in MARKS
    )


def test_exactly_the_control_and_bidirectional_characters_of_unicode_are_replaced():
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]

    assert {each for each in every if _forges(each)} == {
        each for each in every if clip(f"a{each}") == "a\ufffd"
    } - {"\ufffd"}

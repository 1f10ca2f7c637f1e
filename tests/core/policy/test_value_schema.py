"""What a declared argument asks of a value, keyword by keyword; how the words are read is tests/config/native."""

import pytest

from authz.core.policy.rule import Arguments
from authz.core.policy.value_schema import KEYWORD_TYPES, ValueSchema, bound, one_of, pattern
from authz.core.wire.confusables import Budget, OverBudgetError
from authz.core.wire.strict_json import InexactNumber

BOUNDS = {
    "minLength": ("string", 2, ["ab", "abc"], ["a", ""]),
    "maxLength": ("string", 2, ["ab", ""], ["abc"]),
    "minItems": ("array", 2, [[1, 2], [1, 2, 3]], [[1], []]),
    "maxItems": ("array", 2, [[1, 2], []], [[1, 2, 3]]),
    "minimum": ("number", 2, [2, 2.5], [1, 1.5]),
    "maximum": ("number", 2, [2, 1.5], [3, 2.5]),
    "exclusiveMinimum": ("number", 2, [3, 2.5], [2, 1.5]),
    "exclusiveMaximum": ("number", 2, [1, 1.5], [2, 2.5]),
}


@pytest.mark.parametrize(("keyword", "row"), BOUNDS.items(), ids=BOUNDS)
def test_a_bound_holds_up_to_its_value(keyword, row):
    type_, limit, fitting, others = row
    schema = ValueSchema("text", type_, tests=(bound(keyword, limit),))

    assert all(schema.fits(value, None) for value in fitting)
    assert not any(schema.fits(value, None) for value in [*others, None, True, {}])


TYPES_OF = {
    ("string",): ["pattern", "minLength", "maxLength"],
    ("int", "integer", "number"): ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
    ("array", "list"): ["items", "minItems", "maxItems"],
    ("map", "object"): ["properties", "required", "additionalProperties"],
}


def test_each_keyword_is_about_the_types_that_json_schema_gives_it():
    expected = {keyword: set(types) for types, keywords in TYPES_OF.items() for keyword in keywords}

    assert expected == dict(KEYWORD_TYPES)


def test_a_schema_that_says_nothing_fits_every_value_and_says_so():
    schema = ValueSchema("any")

    assert ("any", "any") == (str(schema), schema.type_)
    assert (False, False, (), None, None) == (
        schema.optional,
        schema.reads_text,
        schema.tests,
        schema.items,
        schema.members,
    )
    for value in ("a", 1, 0.5, None, True, [], {}):
        assert schema.fits(value, None) is True
        assert schema.fits(value, Budget(nodes=0, characters=0)) is True


def test_every_test_must_hold():
    schema = ValueSchema("text", "string", tests=(bound("minLength", 2), bound("maxLength", 3)))

    assert [False, True, True, False] == [schema.fits("a" * length, None) for length in (1, 2, 3, 4)]


def test_two_schemas_are_one_whatever_their_tests_if_they_were_written_alike():
    one, other = (
        ValueSchema("x", "string", reads_text=bool(n), tests=(bound("minLength", n),)) for n in (0, 1)
    )

    assert one == other
    assert "tests" not in repr(one)


@pytest.mark.parametrize(
    ("items", "fitting", "others"),
    [
        ("integer", [[], [1], [1, 2]], [["a"], [1, "a"], ["a", 1]]),
        (
            ValueSchema("x", "string", tests=(bound("maxLength", 1),)),
            [[], ["a", "b"]],
            [["ab"], ["a", "bc"], [1]],
        ),
    ],
)
def test_each_item_of_a_list_must_fit(items, fitting, others):
    schema = ValueSchema("list", "array", items=items)

    assert all(schema.fits(value, None) for value in fitting)
    assert not any(schema.fits(value, None) for value in others)


MEMBERS = ValueSchema("object", "object", members=Arguments({"n": "integer", "more": "string?"}, extra=False))


@pytest.mark.parametrize("value", [{"n": 1}, {"n": 1, "more": "a"}])
def test_the_members_of_an_object_are_declared_as_arguments_are(value):
    budget = Budget(nodes=2, characters=0)

    assert MEMBERS.fits(value, None) is True
    assert MEMBERS.fits(value, budget) is True
    assert 2 - len(value) == budget.nodes


@pytest.mark.parametrize("value", [{}, {"n": "1"}, {"n": 1, "x": 1}, {"N": 1}, {"n": 1, "more": 2}, [], None])
def test_an_object_with_other_members_does_not_fit(value):
    assert MEMBERS.fits(value, None) is False


def test_the_members_of_an_object_are_paid_for_before_they_are_looked_at():
    with pytest.raises(OverBudgetError):
        MEMBERS.fits({"n": 1}, Budget(nodes=0, characters=0))


def test_what_is_walked_is_paid_for_and_nothing_else():
    listed, budget = ValueSchema("list", "array", items="any"), Budget(nodes=5, characters=0)
    assert listed.fits([1, 2, 3], budget)
    assert 2 == budget.nodes
    assert ValueSchema("list", "array").fits([1, 2, 3], budget)
    assert ValueSchema("text", "string", tests=(bound("minLength", 1),)).fits("abc", budget)
    assert 2 == budget.nodes
    with pytest.raises(OverBudgetError):
        listed.fits([1, 2, 3], budget)
    assert not listed.fits("no list", budget)


def test_lengths_are_compared_before_anything_is_walked():
    schema = ValueSchema("list", "array", tests=(bound("maxItems", 2),), items="any")

    assert not schema.fits([1, 2, 3], Budget(nodes=0, characters=0))


@pytest.mark.parametrize(
    ("values", "equal", "others"),
    [
        ([1], [1, 1.0], [True, "1", 2, None, InexactNumber("1")]),
        ([True], [True], [1, 1.0, "true", False]),
        ([None], [None], [False, 0, "", []]),
        (["a", "b"], ["a", "b"], ["c", "", ["a"]]),
        ([[1]], [[1]], [1, []]),
        ([0], [0, -0.0], [False]),
    ],
)
def test_a_value_is_one_of_several_if_json_takes_them_for_equal(values, equal, others):
    test = one_of(values)

    assert all(test(value) is True for value in equal)
    assert not any(test(value) for value in others)


@pytest.mark.parametrize(
    ("text", "found", "others"),
    [
        ("b", ["abc", "b"], ["", "ac"]),
        ("^a+$", ["a", "aaa"], ["", "ab", "a\n", "ba"]),
        ('"\\\\', ['x"\\'], ['"', "\\"]),
        ("é", ["café"], ["cafe"]),
    ],
)
def test_a_pattern_is_found_anywhere_in_a_text(text, found, others):
    test = pattern(text)

    assert all(test(value) is True for value in found)
    assert all(test(value) is False for value in [*others, 1, None, [text], object()])


@pytest.mark.parametrize("text", ["(?=a)", "(a)\\1", "(", "a{5000}", "[", "*"])
def test_what_is_no_pattern_of_re2_is_refused(text):
    with pytest.raises(ValueError, match=r"^is no pattern of RE2"):
        pattern(text)

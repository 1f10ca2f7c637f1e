"""Declared arguments in the words of JSON Schema; what they accept is compared with an implementation of JSON Schema."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from authz.core.reasons import Reason
from tests.config.native.test_arguments import policy
from tests.support.policy_files import principal, problems, reason, settings, tool


def said(schema, value, effect="allow"):
    """Give the reason for a call with one argument `x`, by a rule that declares it."""
    text = policy(f"arguments: {{x: {json.dumps(schema)}}}", effect=effect)
    return reason(settings(text), principal(), tool("echo"), arguments={"x": value})


FITS = [
    # schema, values that fit, values that do not
    ({"enum": ["read", "write"]}, ["read", "write"], ["Read", "", None, ["read"]]),
    ({"enum": [1, True, None]}, [1, 1.0, True, None], [0, False, "1", 2]),
    ({"type": "integer", "minimum": 1, "maximum": 3}, [1, 3], [0, 4, True, "2", 1.5]),
    ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, [0.5], [0, 1, "0.5"]),
    ({"type": "string", "minLength": 1, "maxLength": 3}, ["a", "äöü"], ["", "abcd", 5]),
    (
        {"type": "string", "pattern": "^/inbox/[a-z]+$"},
        ["/inbox/a"],
        ["/inbox/", "/inbox/a\n", "x/inbox/a", 5],
    ),
    ({"type": "string", "pattern": "b"}, ["abc"], ["", "ac"]),
    ({"type": "array", "items": "integer", "maxItems": 2}, [[], [1, 2]], [[1, "a"], [1, 2, 3], "12", {}]),
    ({"type": "array", "items": {"enum": ["a"]}, "minItems": 1}, [["a", "a"]], [[], ["b"]]),
    (
        {"type": "array", "items": {"type": "array", "items": {"type": "string", "maxLength": 1}}},
        [[["a"]]],
        [[["ab"]]],
    ),
    (
        {
            "type": "object",
            "properties": {"path": {"type": "string", "maxLength": 2}, "n": "integer"},
            "required": ["path"],
        },
        [{"path": "a"}, {"path": "a", "n": 1}, {"path": "a", "more": 1}],
        [
            {},
            {"path": "abc"},
            {"path": "a", "n": "1"},
            {"path": "a", "Path": "b"},
            {"path": "a", "__proto__": {}},
            [],
        ],
    ),
    (
        {"type": "object", "properties": {"a": "any"}, "additionalProperties": False},
        [{}, {"a": None}],
        [{"b": 1}, {"A": 1}],
    ),
    ({"type": "object", "additionalProperties": False}, [{}], [{"a": 1}]),
    ({"type": "null"}, [None], [0, ""]),
]


@pytest.mark.parametrize(("schema", "fitting", "others"), FITS, ids=[json.dumps(row[0]) for row in FITS])
def test_a_value_that_is_as_declared_is_allowed_and_any_other_is_not(schema, fitting, others):
    assert [Reason.ALLOWED] * len(fitting) == [said(schema, value) for value in fitting]
    assert [Reason.ARGS_NOT_ALLOWED] * len(others) == [said(schema, value) for value in others]


def test_a_deny_denies_what_it_cannot_judge():
    schema = {"type": "array", "items": "integer"}

    assert Reason.DENIED_BY_RULE is said(schema, [1], effect="deny")
    assert Reason.RULE_ERROR is said(schema, ["a"], effect="deny")


def test_what_may_be_left_out_says_so():
    text = policy("arguments: {x: {type: string, optional: true, maxLength: 2}, y: {enum: [1]}}")
    given = settings(text)
    calls = [{"y": 1}, {"x": "a", "y": 1}, {"x": "abc", "y": 1}, {"x": "a"}]

    assert [True, True, False, False] == [
        reason(given, principal(), tool("echo"), arguments=call) is Reason.ALLOWED for call in calls
    ]


REFUSED = [
    ("{type: strin}", ".type: unknown type strin; known: string, int"),
    ("{maxLength: 3}", ": maxLength is about values of type string; write that type"),
    (
        "{type: string, minimum: 3}",
        ": minimum is about values of type int or integer or number; write that type",
    ),
    ("{type: integer, minimum: '3'}", ".minimum: a number is needed"),
    ("{type: string, maxlength: 3}", ".maxlength: unknown key (did you mean maxLength?)"),
    ("{type: string, maxLength: -1}", ".maxLength: Input should be greater than or equal to 0"),
    ("{type: string, pattern: '(?=a)b'}", ".pattern: is no pattern of RE2 (lookahead"),
    ("{type: string, pattern: '(a)\\1'}", ".pattern: is no pattern of RE2 (lookahead"),
    ("{type: string, pattern: '['}", ".pattern: is no pattern of RE2 (lookahead"),
    ("{optional: true}", ": asks for nothing: write type or enum"),
    ("{enum: []}", ".enum: must not be empty"),
    ("{enum: [[1]]}", ".enum[0]: a string, a number, true, false or null is needed"),
    ("{type: object, required: [a]}", ": required names a, which properties does not have"),
    ("{type: array, items: {type: text}}", ".items.type: unknown type text; known: string, int"),
    ("{type: object, properties: {a: {type: text}}}", ".properties.a.type: unknown type text; known: string"),
]


@pytest.mark.parametrize(("schema", "expected"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_schema_that_cannot_be_is_refused_at_its_place(schema, expected):
    (found,) = problems(policy("arguments:", f"  x: {schema}"))

    assert f"FILE:12: servers.files.rules[0].arguments.x{expected}" in found


def test_a_pattern_that_ruins_other_engines_takes_no_time_here():
    assert Reason.ARGS_NOT_ALLOWED is said({"type": "string", "pattern": "^(a+)+$"}, "a" * 30_000 + "b")


def test_a_pattern_is_not_asked_of_a_request_beyond_the_limit_for_arguments():
    schema = {"type": "string", "pattern": "^a"}
    body = b" " * 32_769
    given = settings(policy(f"arguments: {{x: {json.dumps(schema)}}}"))

    assert Reason.ALLOWED is reason(given, principal(), tool("echo"), arguments={"x": "a"})
    assert Reason.ARGS_NOT_ALLOWED is reason(
        given, principal(), tool("echo"), arguments={"x": "a"}, body=body
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "ab", "äöü", "abcd"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=5,
)
WORDS = st.fixed_dictionaries(
    {},
    optional={
        "minLength": st.integers(0, 2),
        "maxLength": st.integers(0, 3),
        "pattern": st.sampled_from(["a", "^b"]),
    },
).map(lambda rest: {"type": "string", **rest})
NUMBERS = st.fixed_dictionaries(
    {}, optional={"minimum": st.integers(-2, 2), "exclusiveMaximum": st.integers(-2, 2)}
).map(lambda rest: {"type": "integer", **rest})
LEAVES = WORDS | NUMBERS | st.just({"enum": ["a", 1, True]}) | st.just({"type": "boolean"})
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(
            lambda items, most: {"type": "array", "items": items, "maxItems": most}, inner, st.integers(0, 3)
        )
        | st.builds(
            lambda a, needed, more: {
                "type": "object",
                "properties": {"a": a},
                "required": ["a"] if needed else [],
                "additionalProperties": more,
            },
            inner,
            st.booleans(),
            st.booleans(),
        )
    ),
    max_leaves=3,
)


@given(SCHEMAS, JSON)
def test_the_words_mean_what_they_mean_in_json_schema(schema, value):
    expected = Draft202012Validator(schema).is_valid(value)

    assert expected == (said(schema, value) is Reason.ALLOWED)

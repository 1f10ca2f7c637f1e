"""A call's arguments against a locked schema: what leaves it is named by the schema's own words."""

import pytest

from authz.config.lock_schema import BothSchemas, LockedSchema, SchemaError
from authz.core.mcp.definition import marked
from authz.core.wire.strict_json import InexactNumber, loads_marked

SCHEMA = {
    "type": "object",
    "properties": {
        "filename": {"type": "string", "pattern": "^/inbox/", "maxLength": 20},
        "ids": {"type": "array", "items": {"type": "integer", "minimum": 1}},
        "a/b": {"enum": ["x"]},
        "to": {"type": "object", "properties": {"ip": {"type": "string", "format": "ipv4"}}},
        "any": {},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "left": {"$ref": "#/$defs/side"},
    },
    "required": ["filename"],
    "$defs": {"side": {"type": "object", "properties": {"n": {"type": "number"}}}},
}
GOOD = {"filename": "/inbox/a"}
CASES = [
    ({}, "", "required"),
    ({"filename": "/etc/CANARY"}, "/filename", "pattern"),
    ({"filename": 7}, "/filename", "type"),
    ({"filename": "/inbox/" + "CANARY" * 9}, "/filename", "maxLength"),
    ({**GOOD, "ids": [1, 0]}, "/ids/*", "minimum"),
    ({**GOOD, "ids": [1, "CANARY"]}, "/ids/*", "type"),
    ({**GOOD, "ids": [True]}, "/ids/*", "type"),
    ({**GOOD, "a/b": "CANARY"}, "/a~1b", "enum"),
    ({**GOOD, "to": {"ip": "CANARY"}}, "/to/ip", "format"),
    ({**GOOD, "labels": {"CANARY": 1}}, "/labels/*", "type"),
    ({"filename": InexactNumber("9007199254740993")}, "/*", "number"),
    ({**GOOD, "to": InexactNumber("1e999")}, "/*", "number"),
]


@pytest.mark.parametrize(("arguments", "place", "keyword"), CASES)
def test_a_misfit_names_place_and_keyword_and_nothing_of_the_call(arguments, place, keyword):
    misfit = LockedSchema(SCHEMA).misfit(arguments)

    assert (place, keyword) == (misfit.place, misfit.keyword)
    assert "CANARY" not in str(misfit)


FITS = [
    GOOD,
    {**GOOD, "any": InexactNumber("1e999")},
    {**GOOD, "ids": [1, 2.0]},
    {**GOOD, "more": 1, "to": {"else": 1}},
    {**GOOD, "labels": {"x": "y"}},
]


@pytest.mark.parametrize("arguments", FITS)
def test_what_the_schema_leaves_open_fits(arguments):
    assert LockedSchema(SCHEMA).misfit(arguments) is None


CLOSED = [
    ({**GOOD, "CANARY": 1}, ""),
    ({**GOOD, "to": {"CANARY": 1}}, "/to"),
    ({**GOOD, "left": {"CANARY": 1}}, "/left"),
]


@pytest.mark.parametrize(("arguments", "place"), CLOSED)
def test_extra_deny_refuses_what_no_object_of_the_schema_names(arguments, place):
    misfit = LockedSchema(SCHEMA, extra=False).misfit(arguments)

    assert (place, "additionalProperties") == (misfit.place, misfit.keyword)
    assert LockedSchema(SCHEMA, extra=False).misfit({**GOOD, "labels": {"x": "y"}}) is None


A, B = ({"type": "object", "properties": {name: {"type": "string"}}} for name in "ab")
DRAFT_7 = {"$schema": "http://json-schema.org/draft-07/schema#"}
HOLES = {
    "a member that may be null": ({"properties": {"x": {"anyOf": [A, {"type": "null"}]}}}, {"x": {"a": "1", "CANARY": 1}}),
    "one of two forms": ({"properties": {"x": {"oneOf": [A, B]}}}, {"x": {"a": "1", "CANARY": 1}}),
    "what only the other form has": ({"properties": {"x": {"anyOf": [A, B]}}}, {"x": {"a": "1", "b": 7}}),
    "a form that is anything": ({"properties": {"x": {"anyOf": [A, {}]}}}, {"x": {"CANARY": 1}}),
    "an element of a tuple": ({"properties": {"x": {"prefixItems": [A]}}}, {"x": [{"CANARY": 1}]}),
    "an element of an old tuple": ({**DRAFT_7, "properties": {"x": {"items": [A]}}}, {"x": [{"CANARY": 1}]}),
    "beside patterns": ({"properties": {"a": {}}, "patternProperties": {"^x-": {}}}, {"CANARY": 1}),
    "below further members": ({"additionalProperties": {"anyOf": [A]}}, {"k": {"CANARY": 1}}),
    "under then": ({"properties": {"x": {"if": {}, "then": A}}}, {"x": {"CANARY": 1}}),
    "two halves": ({"allOf": [A, B]}, {"a": "1", "b": "2", "CANARY": 1}),
    "beside a reference": ({"$ref": "#/$defs/m", "$defs": {"m": A}}, {"CANARY": 1}),
    "beside an old reference": ({**DRAFT_7, "$ref": "#/definitions/m", "definitions": {"m": A}}, {"CANARY": 1}),
    "beside an anchor": ({"properties": {"c": {"$ref": "#n"}}, "$defs": {"m": {"$anchor": "n", **A}}}, {"c": {"CANARY": 1}}),
    "beside an old anchor": ({**DRAFT_7, "properties": {"c": {"$ref": "#n"}}, "definitions": {"m": {"$id": "#n", **A}}}, {"c": {"CANARY": 1}}),
    "itself by a dynamic anchor": ({"$dynamicAnchor": "n", "properties": {"c": {"$dynamicRef": "#n"}}}, {"c": {"c": {"CANARY": 1}}}),
    "a reference into a form": ({"properties": {"a": {"anyOf": [A]}, "b": {"$ref": "#/properties/a/anyOf/0"}}}, {"b": {"CANARY": 1}}),
    "an object or null": ({"properties": {"x": {"type": ["object", "null"]}}}, {"x": {"CANARY": 1}}),
    "no schema at all": ({}, {"CANARY": 1}),
    "true": ({"properties": {}, "additionalProperties": True, "unevaluatedProperties": True}, {"CANARY": 1}),
}  # fmt: skip


@pytest.mark.parametrize(("schema", "arguments"), HOLES.values(), ids=HOLES)
def test_extra_deny_leaves_no_way_around(schema, arguments):
    misfit = LockedSchema(schema, extra=False).misfit(arguments)

    assert misfit is not None
    assert "CANARY" not in str(misfit)


NAMED = {
    "two halves": ({"type": "object", "allOf": [A, B]}, {"a": "1", "b": "2"}),
    "a half and a reference": ({**B, "allOf": [{"$ref": "#/$defs/m"}], "$defs": {"m": A}}, {"a": "1", "b": "2"}),
    "an old reference": ({**DRAFT_7, "$ref": "#/definitions/m", "definitions": {"m": A}}, {"a": "1"}),
    "either form": ({"anyOf": [A, B]}, {"b": "2"}),
    "a form and what is beside it": ({**B, "anyOf": [A]}, {"a": "1", "b": "2"}),
    "what follows from a condition": ({**A, "if": {"required": ["a"]}, "then": B}, {"a": "1", "b": "2"}),
    "a pattern": ({"patternProperties": {"^x-": {}}}, {"x-a": 1}),
    "null": ({"properties": {"x": {"anyOf": [A, {"type": "null"}]}}}, {"x": None}),
    "further members of a type": ({"additionalProperties": {"type": "integer"}}, {"any": 1}),
    "anything, where anything may stand": ({"properties": {"x": {}, "y": True}}, {"x": {"k": 1}, "y": {"k": 1}}),
    "itself by an anchor": ({"$dynamicAnchor": "n", "properties": {"c": {"$dynamicRef": "#n"}}}, {"c": {"c": {}}}),
    "itself": ({"properties": {"c": {"$ref": "#"}, "n": {}}}, {"c": {"c": {"n": 1}}}),
}  # fmt: skip


@pytest.mark.parametrize(("schema", "arguments"), NAMED.values(), ids=NAMED)
def test_extra_deny_refuses_nothing_that_a_schema_names(schema, arguments):
    assert LockedSchema(schema, extra=False).misfit(arguments) is None


UNFOLLOWED = [
    {"properties": {"c": {"$ref": "#/x-shared/m"}}, "x-shared": {"m": A}},
]


@pytest.mark.parametrize("schema", UNFOLLOWED)
def test_extra_deny_refuses_a_schema_whose_names_cannot_be_told(schema):
    LockedSchema(schema)
    with pytest.raises(SchemaError, match="extra: deny"):
        LockedSchema(schema, extra=False)


def test_extra_deny_closes_many_levels_of_forms_as_fast_as_few():
    schema, deep = A, {"CANARY": 1}
    for _ in range(60):  # twice the work at each level would not end
        schema, deep = {"anyOf": [{"properties": {"c": schema}}, {"type": "null"}]}, {"c": deep}

    assert LockedSchema(schema, extra=False).misfit(deep) is not None


FORKED = [
    {"properties": {"c": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}, "required": ["z"]},
    {"$dynamicAnchor": "n", "properties": {"c": {"anyOf": [{"$dynamicRef": "#n"}] * 2}}, "required": ["z"]},
    {"$anchor": "n", "properties": {"c": {"anyOf": [{"$ref": "#n"}] * 2}}, "required": ["z"]},
    {"allOf": [{"properties": {"c": {"$ref": "#"}}, "required": ["z"]}] * 2},
]


@pytest.mark.parametrize("schema", FORKED)
def test_deep_arguments_cost_a_forked_schema_that_refers_to_itself_no_more_than_a_look(schema):
    deep = {}
    for _ in range(60):  # twice the work at each level would not end
        deep = {"c": deep}

    assert ("", "schema") == ((misfit := LockedSchema(schema).misfit(deep)).place, misfit.keyword)


def forks(count):
    fork = [{"properties": {"c": {"anyOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2}}} for n in range(count)]
    return {"$ref": "#/$defs/0", "$defs": {**{str(n): each for n, each in enumerate(fork)}, str(count): A}}


def chain(count):
    links = {str(n): {"$ref": f"#/$defs/{n + 1}"} for n in range(count)}
    return {"$ref": "#/$defs/0", "$defs": {**links, str(count): A}}


def forks_by_anchors(count):
    fork = [
        {"$anchor": f"a{n}", "properties": {"c": {"anyOf": [{"$ref": f"#a{n + 1}"}] * 2}}}
        for n in range(count)
    ]
    return {
        "$ref": "#a0",
        "$defs": {str(n): each for n, each in enumerate([*fork, {"$anchor": f"a{count}"}])},
    }


def left_over(count):
    """Levels at which the library has to look at every form again, to know what is left over."""
    schema = {}
    for _ in range(count):
        schema = {"anyOf": [{"properties": {"c": schema}}], "unevaluatedProperties": False}
    return schema


MANY = {
    "forks": forks(30),
    "chain": chain(3000),
    "forks by anchors": forks_by_anchors(30),
    "left over": left_over(30),
}


@pytest.mark.parametrize("schema", MANY.values(), ids=MANY)
@pytest.mark.parametrize("extra", [True, False])
def test_a_schema_whose_references_multiply_is_refused_when_it_is_loaded(schema, extra):
    with pytest.raises(SchemaError, match="parts"):
        LockedSchema(schema, extra=extra)


BAD = {
    "nothing is fetched": {"$ref": "https://example.com/schema"},
    "nor read from a file": {"$ref": "file:///etc/hostname"},
    "a place that is not there": {"$ref": "#/$defs/none"},
    "an anchor that is not there": {"$ref": "#none"},
    "a resource of its own": {"$ref": "#/$defs/a", "$defs": {"a": {"$id": "https://example.com/a", **A}}},
    "itself by another name": {"$id": "https://example.com/a", "$ref": "https://example.com/a"},
    "no schema": {"type": "nope"},
    "a bound that readers differ about": marked(
        loads_marked(b'{"maximum":9007199254740993}', max_depth=3, nodes=9, keys=9)
    ),
    "a dialect that is not known": {"$schema": "https://example.com/own"},
    "a pattern that would backtrack": {"properties": {"a": {"pattern": "(a+)+(?=b)"}}},
    "a pattern that is too large": {"properties": {"a": {"pattern": "(x{1000}){1000}"}}},
}


@pytest.mark.parametrize("schema", BAD.values(), ids=BAD)
def test_a_schema_that_cannot_be_used_is_refused_when_it_is_loaded(schema):
    with pytest.raises(SchemaError):
        LockedSchema(schema)


def test_the_draft_that_a_schema_names_is_the_one_that_counts():
    newer = {"properties": {"a": {"prefixItems": [{"type": "string"}]}}}
    draft7 = {"$schema": "http://json-schema.org/draft-07/schema#", **newer}

    assert "type" == LockedSchema(newer).misfit({"a": [1]}).keyword
    assert LockedSchema(draft7).misfit({"a": [1]}) is None


def test_a_schema_that_refers_to_itself_is_as_deep_as_the_arguments():
    tree = {"properties": {"below": {"$ref": "#"}}, "additionalProperties": False}

    assert LockedSchema(tree).misfit({"below": {"below": {}}}) is None
    assert "/below/below" == LockedSchema(tree).misfit({"below": {"below": {"x": 1}}}).place


def test_where_two_eras_describe_a_tool_differently_arguments_must_fit_both():
    both = BothSchemas(LockedSchema({"required": ["a"]}), LockedSchema({"required": ["b"]}))

    assert both.misfit({"a": 1, "b": 1}) is None
    assert "required" == both.misfit({"a": 1}).keyword == both.misfit({"b": 1}).keyword


def test_many_values_that_fit_none_of_many_branches_are_refused_without_a_list_of_them():
    schema = {"properties": {"a": {"items": {"anyOf": [{"type": "string"}] * 500}}}}

    assert "schema" == LockedSchema(schema).misfit({"a": [1] * 20_000}).keyword
    assert "anyOf" == LockedSchema(schema).misfit({"a": [1] * 20}).keyword

"""A call's arguments against a locked schema: what leaves it is named by the schema's own words."""

import pytest

from authz.config.lock_schema import BothSchemas, LockedSchema, SchemaError
from authz.core.wire.strict_json import InexactNumber

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


BAD = {
    "nothing is fetched": {"$ref": "https://example.com/schema"},
    "nor read from a file": {"$ref": "file:///etc/hostname"},
    "a place that is not there": {"$ref": "#/$defs/none"},
    "no schema": {"type": "nope"},
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

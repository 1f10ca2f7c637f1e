"""Any arguments against any locked schema: the answer is the one of another implementation, and closing never opens."""

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from authz.config.lock_schema import LockedSchema, SchemaError

NAMES = st.sampled_from("abc")
LEAVES = [
    True,
    {},
    {"type": "string"},
    {"type": ["object", "null"]},
    {"type": "integer"},
    {"enum": [1, "a", None, {"a": 1}]},
    {"minimum": 1},
    {"maxLength": 1},
    {"required": ["a"]},
    {"propertyNames": {"maxLength": 1}},
    {"uniqueItems": True},
    {"minProperties": 1, "maxItems": 1},
]
REFERENCES = st.sampled_from([{"$ref": "#"}, {"$ref": "#/$defs/x"}, {"$ref": "#anchor"}])
VALUES = st.recursive(
    st.sampled_from([1, 0, 2.5, "a", "bb", "", True, None]),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(NAMES, below, max_size=3),
    max_leaves=6,
)


def combined(below):
    """Schemas about one place, and about those below it; only the latter refer, as nothing else ends."""
    places = below | REFERENCES
    several = st.lists(below, min_size=1, max_size=2)
    keywords = {
        "properties": st.dictionaries(NAMES, places, min_size=1, max_size=2),
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "."]), places, min_size=1, max_size=1),
        "additionalProperties": places,
        "unevaluatedProperties": places,
        "dependentSchemas": st.dictionaries(NAMES, below, min_size=1, max_size=1),
        "items": places,
        "prefixItems": st.lists(places, min_size=1, max_size=2),
        "contains": places,
        "unevaluatedItems": places,
        "anyOf": several,
        "oneOf": several,
        "allOf": several,
        "not": below,
        "if": below,
        "then": below,
        "else": below,
    }
    return st.lists(st.sampled_from(sorted(keywords)), min_size=1, max_size=3, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({keyword: keywords[keyword] for keyword in chosen})
    )


SCHEMAS = st.recursive(st.sampled_from(LEAVES), combined, max_leaves=5)


@settings(max_examples=100)
@given(
    st.dictionaries(NAMES, SCHEMAS | REFERENCES, min_size=1),
    SCHEMAS,
    SCHEMAS,
    st.lists(st.dictionaries(NAMES, VALUES, max_size=3), min_size=1, max_size=8),
)
def test_arguments_fit_as_another_implementation_says_and_closing_a_schema_never_opens_it(
    properties, referred, anchored, calls
):
    anchored = {"$anchor": "anchor", "allOf": [anchored]}
    schema = {"properties": properties, "$defs": {"x": referred, "y": anchored}}
    locked, other = LockedSchema(schema), Draft202012Validator(schema)
    try:
        tight = LockedSchema(schema, extra=False)
    except SchemaError:
        tight = locked
    for arguments in calls:
        fits = locked.misfit(arguments) is None

        assert other.is_valid(arguments) is fits
        assert fits or tight.misfit(arguments) is not None

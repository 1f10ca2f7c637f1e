import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.core.policy.rule import TYPES, Arguments
from authz.core.wire.strict_json import InexactNumber

# A value of each JSON type, with the declared types that it fits.
FITS = [
    ("a", {"string"}),
    ("", {"string"}),
    ("5", {"string"}),
    (5, {"int", "integer", "number"}),
    (0, {"int", "integer", "number"}),
    (-1, {"int", "integer", "number"}),
    (2.0, {"number"}),
    (0.5, {"number"}),
    (True, {"bool", "boolean"}),
    (False, {"bool", "boolean"}),
    ([], {"list", "array"}),
    (["a"], {"list", "array"}),
    ({}, {"map", "object"}),
    ({"a": 1}, {"map", "object"}),
    (None, {"null"}),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["a", "b", "c"])
DECLARED = st.sampled_from([*TYPES, *(f"{name}?" for name in TYPES)])


@pytest.mark.parametrize(("value", "types"), FITS)
def test_a_value_fits_its_own_types_and_any(value, types):
    assert types | {"any"} == {name for name in TYPES if Arguments({"x": name}).fit({"x": value})}


@pytest.mark.parametrize(("value", "types"), FITS)
def test_a_type_that_may_be_left_out_is_as_strict_where_it_is_not(value, types):
    assert types | {"any"} == {name for name in TYPES if Arguments({"x": f"{name}?"}).fit({"x": value})}


@pytest.mark.parametrize("name", TYPES)
def test_only_what_is_marked_may_be_left_out(name):
    assert not Arguments({"x": name}).fit({})
    assert Arguments({"x": f"{name}?"}).fit({})


@pytest.mark.parametrize(
    ("extra", "arguments", "expected"),
    [
        (True, {"x": 1, "y": 2}, True),
        (False, {"x": 1, "y": 2}, False),
        (False, {"x": 1}, True),
        (False, {"x": 1, "X": 1}, False),
        (False, {"x": 1, "": None}, False),
    ],
)
def test_arguments_that_are_not_declared_are_accepted_unless_denied(extra, arguments, expected):
    assert expected == Arguments({"x": "int"}, extra=extra).fit(arguments)


@pytest.mark.parametrize("extra", [True, False])
def test_nothing_declared_with_extra_denied_is_no_argument_at_all(extra):
    assert Arguments({}, extra=extra).fit({})
    assert extra == Arguments({}, extra=extra).fit({"x": 1})


@pytest.mark.parametrize("name", ["", "?", "str", "String", "int??", "string ", " int", "int|string"])
def test_an_unknown_type_cannot_be_declared_and_the_known_ones_are_named(name):
    known = "string, int, number, bool, list, map, any, integer, boolean, array, object, null, each with ? when it may be left out"
    with pytest.raises(ValueError, match=r"unknown type") as caught:
        Arguments({"x": name})

    assert f"unknown type {name}; known: {known}" == str(caught.value)


@pytest.mark.parametrize("name", TYPES)
def test_a_number_that_a_double_does_not_hold_fits_no_type_and_passes_where_it_is_not_declared(name):
    assert not Arguments({"x": name}).fit({"x": InexactNumber("9007199254740993")})
    assert Arguments({"x": f"{name}?"}).fit({"y": InexactNumber("9007199254740993")})


@pytest.mark.parametrize("name", ["X", "x\0", "__proto__", "constructor", "prototype"])
def test_a_name_that_could_stand_for_a_declared_one_does_not_fit(name):
    assert not Arguments({"x": "int?"}).fit({name: 1})
    assert Arguments({"x": "map"}).fit({"x": {name: 1}})


@given(st.dictionaries(NAMES, DECLARED), st.dictionaries(NAMES, JSON))
def test_whatever_fits_also_fits_where_more_is_accepted(types, arguments):
    strict = Arguments(types, extra=False).fit(arguments)
    optional = {name: type_ if type_.endswith("?") else f"{type_}?" for name, type_ in types.items()}

    assert Arguments(types).fit(arguments) or not strict
    assert Arguments(optional, extra=False).fit(arguments) or not strict
    assert Arguments(dict.fromkeys(types, "any?")).fit(arguments)


@given(st.dictionaries(NAMES, DECLARED), st.dictionaries(NAMES, JSON))
def test_denying_extra_arguments_takes_away_exactly_those_calls_that_have_some(types, arguments):
    expected = Arguments(types).fit(arguments) and arguments.keys() <= types.keys()

    assert expected == Arguments(types, extra=False).fit(arguments)


@pytest.mark.parametrize("extra", [True, False])
@pytest.mark.parametrize("name", ["X", "x\0", "\uff58"])
def test_an_argument_that_another_parser_takes_for_a_declared_one_is_refused_even_where_others_are_accepted(
    name, extra
):
    assert False is Arguments({"x": "int"}, extra).fit({"x": 1, name: "a"})
    assert False is Arguments({"x": "int?"}, extra).fit({name: "a"})

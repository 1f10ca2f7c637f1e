import contextlib
import json
import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.core.wire import strict_json as strictjson
from authz.core.wire.confusables import OverBudgetError
from authz.core.wire.strict_json import StrictJSONError, loads
from tests.support.work import counted

SUITE = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "json-test-suite"
NO_SUITE = "needs ../shared/vectors/json-test-suite: test_parsing of https://github.com/nst/JSONTestSuite"

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)
PIECES = rb"""{ } [ ] : , " \ "a" "\u0061" \ud800 \uDC00 -0 1e999 NaN Infinity true null 99999999999999999999""".split()
fragments = st.sampled_from([*PIECES, b" ", b"\n", b"\x00", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xff"])
junk = st.binary(max_size=200) | st.lists(fragments, max_size=30).map(b"".join)


def suite(prefix: str) -> list[Path]:
    return sorted(SUITE.rglob(f"{prefix}_*.json"))


def accepted(data: bytes) -> bool:
    try:
        loads(data)
    except StrictJSONError:
        return False
    return True


@pytest.mark.skipif(not SUITE.exists(), reason=NO_SUITE)
def test_every_invalid_document_of_the_suite_is_refused():
    assert 188 == len(suite("n"))
    assert [] == [path.name for path in suite("n") if accepted(path.read_bytes())]


@pytest.mark.skipif(not SUITE.exists(), reason=NO_SUITE)
def test_every_valid_document_of_the_suite_is_accepted_unless_it_repeats_a_key():
    duplicates = ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"]

    assert 95 == len(suite("y"))
    assert duplicates == [path.name for path in suite("y") if not accepted(path.read_bytes())]


@pytest.mark.skipif(not SUITE.exists(), reason=NO_SUITE)
def test_of_the_documents_that_implementations_may_treat_as_they_like_only_those_that_all_agree_on_pass():
    passed = {path.name for path in suite("i") if accepted(path.read_bytes())}

    assert {"i_number_double_huge_neg_exp.json", "i_number_real_underflow.json"} == passed


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b" ", "not JSON"),
        (b"{}{}", "not JSON"),
        (b"{} x", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        ("{}".encode("utf-16"), "not UTF-8"),
        ("[1]".encode("utf-16-le"), "not JSON"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"\xc0\xaf"', "not UTF-8"),
        (b'{"a":1,"a":1}', "duplicate key"),
        (b'{"a":1,"\\u0061":2}', "duplicate key"),
        (b'[{"b":[{"a":1,"a":2}]}]', "duplicate key"),
        (b"NaN", "not a JSON number"),
        (b"[-Infinity]", "not a JSON number"),
        (b"1e999", "number out of range"),
        (b"-1e999", "number out of range"),
        (b"9223372036854775808", "integer out of range"),
        (b"-9223372036854775809", "integer out of range"),
        (b"9" * 100_000, "integer out of range"),
        (b"01", "not JSON"),
        (b"+1", "not JSON"),
        (b"1.", "not JSON"),
        (b"'a'", "not JSON"),
        (b"[1,]", "not JSON"),
        (b'"\\ud800"', "lone surrogate"),
        (b'{"\\uDC00":1}', "lone surrogate"),
        (b'"\\ude00\\ud83d"', "lone surrogate"),
        (b'"\x00"', "not JSON"),
        (b'"\n"', "not JSON"),
        (b"\x0c1", "not JSON"),
        (b"\xc2\xa01", "not JSON"),
        ("\u0661".encode(), "not JSON"),
        (b"[" * 65 + b"]" * 65, "nested too deeply"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "nested too deeply"),
    ],
)
def test_what_parsers_disagree_on_is_refused_with_a_fixed_text(data, why):
    with pytest.raises(StrictJSONError) as caught:
        loads(data)

    assert why == str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b" \t\r\n1 \n", 1),
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b"-0", 0),
        (b"1E2", 100.0),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\\\ud800"', "\\ud800"),
        (b'"\\u0000"', "\x00"),
        (b'{"a":{"a":1}}', {"a": {"a": 1}}),
        (b'{"a":1,"A":2}', {"a": 1, "A": 2}),
        (b'["' + b"[" * 1000 + b'"]', ["[" * 1000]),
        (b'["\\"' + b"[" * 1000 + b'"]', ['"' + "[" * 1000]),
        (b"[" + b",".join([b"[]"] * 1000) + b"]", [[]] * 1000),
    ],
)
def test_what_every_parser_agrees_on_is_accepted(data, value):
    assert value == loads(data)


@pytest.mark.requirement("security.bounded-depth")
def test_as_many_levels_as_the_limit_are_accepted_and_one_more_is_not():
    assert accepted(b"[" * 64 + b"]" * 64)
    assert not accepted(b"[" * 65 + b"]" * 65)
    assert [[]] == loads(b"[[]]", max_depth=2)
    with pytest.raises(StrictJSONError):
        loads(b"[[]]", max_depth=1)


def marked(data, **limits):
    return strictjson.loads_marked(data, **{"max_depth": 64, "nodes": 1000, "keys": 1000, **limits})


@pytest.mark.parametrize(
    "literal",
    [
        *("0", "-1", "9007199254740992", "-9007199254740992", "1152921504606846976", "-9223372036854775808"),
        *("0.1", "1.50", "-0.0", "1e23", "1E2", "5e-324", "1.7976931348623157e308", "0.30000000000000004"),
        *("12345678901234567e-2", "9007199254740994.0", "100000000000000000000000.0", "0.00001", "1E-5"),
        "0.5" + "0" * 61,
    ],
)
def test_a_number_that_a_double_holds_is_that_number(literal):
    assert json.loads(literal) == marked(literal.encode())
    assert [json.loads(literal)] == marked(b" [" + literal.encode() + b"]")


@pytest.mark.parametrize(
    "literal",
    [
        *("9007199254740993", "-9007199254740993", "1152921504606847000", "9223372036854775807"),
        *("9223372036854775808", "18446744073709551616", "1" * 5000),
        *("0.30000000000000000001", "9007199254740993.0", "1e400", "-1e400", "1e-999", "4.9e-324"),
        *("0.5" + "0" * 62, "1e-" + "9" * 20, "0e" + "9" * 20),
        *("0.1" + "0" * 100, "1e" + "9" * 60, "123456789012345678e-2", "0." + "1" * 400 + "e9"),
    ],
)
def test_a_number_that_a_double_does_not_hold_is_marked_and_keeps_its_text(literal):
    assert strictjson.InexactNumber(literal) == marked(literal.encode())
    assert {"a": strictjson.InexactNumber(literal)} == marked(b'{"a":' + literal.encode() + b"}")


def test_more_fractions_than_are_looked_at_are_marked_unseen():
    few = [0.5, 123456789012345.25] * 2048
    many, text = [*few, 0.25], ["." * 5000]

    assert [few, text] == marked(json.dumps([few, text]).encode(), nodes=5000)
    assert {strictjson.InexactNumber} == set(map(type, marked(json.dumps(many).encode(), nodes=5000)))


@pytest.mark.parametrize("fraction", ["123456789012345.25", "1e2", "1E2"])
def test_fractions_are_counted_in_every_form_and_not_in_texts(fraction):
    few, many = ("[" + ",".join([fraction] * count) + "]" for count in (4096, 4097))
    beside = f'[{few},"{fraction * 1000}"]'

    assert json.loads(beside) == marked(beside.encode(), nodes=5000)
    assert [strictjson.InexactNumber(fraction)] * 4097 == marked(many.encode(), nodes=5000)


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_marked_exactly_when_a_double_means_another(number):
    literal = json.dumps(number)
    is_exact = isinstance(number, float) or (-(2**63) <= number < 2**63 and int(float(number)) == number)

    assert (number if is_exact else strictjson.InexactNumber(literal)) == marked(literal.encode())


@pytest.mark.parametrize(
    ("data", "nodes", "keys"),
    [
        (b"[1,2,3]", 4, 0),
        (b'{"a":1,"b":[2,{"c":3}]}', 6, 3),
        (b'["[,:{", "\\"[,:{", "\\\\", ""]', 5, 0),
        (b'{"a":"\\\\\\"[[[[,,,,::::"}', 2, 1),
    ],
)
def test_values_and_keys_are_counted_outside_of_texts(data, nodes, keys):
    assert json.loads(data) == marked(data, nodes=nodes, keys=keys)
    for fewer in ({"nodes": nodes - 2, "keys": keys}, {"nodes": nodes, "keys": keys - 1}):
        with pytest.raises(OverBudgetError):
            marked(data, **fewer)


@pytest.mark.parametrize(
    ("data", "nodes", "keys"),
    [
        (b'",:[{"', 1, 0),
        (b'["\\\\","[,{,,,,"]', 3, 0),
        (b'["\\"","[,{,,,,"]', 3, 0),
        (b'{"a":"::::"}', 1000, 1),
    ],
)
def test_what_stands_in_a_text_is_no_value_and_no_key(data, nodes, keys):
    assert json.loads(data) == marked(data, nodes=nodes, keys=keys)


@pytest.mark.parametrize("limits", [{"nodes": 1000, "keys": 1}, {"nodes": 2, "keys": 1000}])
def test_values_and_keys_have_a_limit_each(limits):
    with pytest.raises(OverBudgetError):
        marked(b'{"a":1,"b":2}', **limits)


@pytest.mark.parametrize(
    ("data", "depth"),
    [(b"1", 0), (b'"["', 0), (b'"[[]]{"', 0), (b"[[],[[]]]", 3), (b'{"a":[],"b":[{}]}', 3), (b'["[[["]', 1)],
)
@pytest.mark.requirement("security.bounded-depth")
def test_a_depth_is_reached_whatever_stands_beside_and_passed_by_none(data, depth):
    assert json.loads(data) == marked(data, max_depth=depth) == loads(data, max_depth=depth)
    if depth:
        for read in (loads, marked):
            with pytest.raises(StrictJSONError):
                read(data, max_depth=depth - 1)


@given(values)
def test_every_value_survives_a_round_trip_in_either_spelling(value):
    for escaped in (True, False):
        assert value == loads(json.dumps(value, ensure_ascii=escaped).encode())


def same(left, right):
    """Compare as JSON does, where True is not 1, and 1 is not 1.0 unless it is a negative zero."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right and (type(left) is type(right) or left == 0)


@given(junk | values.map(lambda value: json.dumps(value).encode()))
def test_what_is_accepted_means_the_same_to_json_and_to_msgspec(data):
    try:
        value = loads(data)
    except StrictJSONError:
        return
    assert same(value, json.loads(data))
    assert same(value, msgspec.json.decode(data))


@given(values, junk)
def test_a_document_with_anything_but_white_space_behind_it_is_refused(value, tail):
    document = json.dumps([value]).encode()

    assert (not tail.strip(b" \t\r\n")) == accepted(document + tail)


@given(values)
def test_no_proper_prefix_of_an_array_is_a_document(value):
    document = json.dumps([value]).encode()

    assert [] == [end for end in range(len(document)) if accepted(document[:end])]


MEGABYTE = 1_000_000


def hostile(size):
    return {
        "open lists": b"[" * size,
        "open objects": b'{"a":' * (size // 5),
        "escaped quotes": b"[" * 65 + b'"' + b'\\"' * (size // 2),
        "backslashes": b"[" * 65 + b'"' + b"\\" * size,
        "quotes": b"[" * 65 + b'"' * size,
        "digits in lists": b"[" * 65 + b"1" * size,
        "closing brackets": b"[" * 65 + b"]" * size,
        "digits": b"1" * size,
        "an exponent": b"1e" + b"1" * size,
        "lone surrogates": b'"' + b"\\ud800" * (size // 6) + b'"',
        "empty lists": b"[" + b"[]," * (size // 3) + b"[[]" + b"]" * 3,
    }


@pytest.mark.parametrize("kind", hostile(0))
def test_a_hostile_megabyte_is_refused_in_as_many_steps_as_a_kilobyte(kind):
    (taken, steps), (_, few) = (
        counted(lambda size=size: accepted(hostile(size)[kind])) for size in (MEGABYTE, MEGABYTE // 1000)
    )

    assert not taken
    assert few + 10 > steps


@pytest.mark.parametrize(
    "literal", [b"1" * 5000, b"-" + b"9" * 5000, b"1e" + b"1" * 5000, b"0." + b"1" * 400 + b"e9"]
)
def test_a_number_that_takes_long_to_read_is_never_given_to_what_takes_long(monkeypatch, literal):
    """Reading it takes time in the square of its digits, as an integer in Python and with an exponent in msgspec."""
    seen = []
    monkeypatch.setattr(strictjson, "_READ", seen.append)
    monkeypatch.setattr(strictjson, "int", seen.append, raising=False)
    with contextlib.suppress(StrictJSONError):
        loads(b"[" + literal + b"]")

    assert [] == seen


def test_numbers_that_are_accepted_are_finite():
    assert math.isfinite(loads(b"1.7976931348623157e308"))
    assert 0 == loads(b"1e-999")


@given(junk | values.map(msgspec.json.encode) | values.map(lambda value: json.dumps(value).encode()))
def test_the_short_cut_accepts_only_what_the_long_way_accepts_and_gives_the_same_value(data):
    short = strictjson._UNREAD if strictjson._is_doubtful(data) else strictjson._canonical(data)

    if short is not strictjson._UNREAD:
        expected = strictjson._parse(strictjson._text(data), strictjson._MARKING)
        assert (expected, repr(expected)) == (short, repr(short))


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}',
        "9007199254740993",
        "9223372036854775808",
        "18446744073709551615",
        "1234567.12345678901",
        '"\\ud800"',
        "1e400",
        "NaN",
        "-0",
        "1E5",
        " 1",
        "[1 ]",
    ],
)
def test_the_short_cut_leaves_every_doubtful_spelling_to_the_long_way(text):
    doubtful = strictjson._is_doubtful(text.encode())

    assert doubtful or strictjson._UNREAD is strictjson._canonical(text.encode())


@pytest.mark.parametrize(
    ("text", "doubtful"),
    [
        ('{"iss":"https://issuer.example.com/","sub":"a10e5b","jti":"12345678901234567890"}', False),
        ('{"a\\"1e5":"\\\\"}', False),
        ('{"a":"1e5","b":1e5}', True),
        ('{"a":"\\"","b":12345678901234567890}', True),
        ('"1e5', False),
        ('1e5"', True),
    ],
)
def test_only_numbers_are_doubtful_and_not_what_looks_like_one_in_a_string(text, doubtful):
    assert doubtful is strictjson._is_doubtful(text.encode())

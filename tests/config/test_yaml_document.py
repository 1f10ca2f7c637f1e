import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.config.problems import ConfigError
from authz.config.yaml_document import read_documents

MULTIPLYING = "\n".join(
    ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
)


def read(text, **environment):
    return [document.value for document in read_documents(text, "FILE", environment)]


def refused(text, **environment):
    with pytest.raises(ConfigError) as caught:
        read(text, **environment)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("text", "text"),
        ("'5'", "5"),
        ("5", 5),
        ("5.5", 5.5),
        ("true", True),
        ("null", None),
        ("2025-01-31", "2025-01-31"),
        ("2025-01-31T10:00:00Z", "2025-01-31T10:00:00Z"),
        ("2025-13-45", "2025-13-45"),
        ("!!str 5", "5"),
        ("[a, [b]]", ["a", ["b"]]),
        ("&x [a]", ["a"]),
    ],
)
def test_a_scalar_has_the_value_that_json_would_give_it_and_a_date_is_text(written, value):
    assert [{"key": value}] == read(f"key: {written}")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("!!binary aGk=", "binary"),
        ("!!set {a}", "set"),
        ("!!omap [a: b]", "omap"),
        ("!!map text", "map"),
        ("!!python/object/apply:os.system [ls]", "python/object/apply:os.system"),
        ("!!python/name:os.system x", "python/name:os.system"),
        ("!mine {a: b}", "!mine"),
        ("!!int text", "int"),
        ("!!bool text", "bool"),
        ("9" * 5000, "int"),
    ],
)
def test_a_value_that_json_does_not_have_is_refused_at_its_line(written, name):
    assert [f"FILE:2: key: a value of type {name} is not allowed"] == refused(f"first: 1\nkey: {written}")


@pytest.mark.parametrize("key", ["1", "true", "null", "1.5", "[a]", "{a: b}", "!!binary aGk="], ids=repr)
def test_a_key_that_is_no_string_is_refused(key):
    assert ["FILE:2: in: a key must be a string (put it in quotes)"] == refused(f"in:\n  ? {key}\n  : 1")


def test_a_merge_key_does_not_smuggle_keys_in():
    text = "base: &base {a: 1}\nother:\n  <<: *base\n"

    says = "a merge key (<<) is not read (write the keys out, or repeat the whole value with an alias)"
    assert [f"FILE:3: other: {says}"] == refused(text)


def test_a_key_that_stands_twice_is_refused_at_its_second_line_however_it_is_spelled():
    text = 'servers:\n  demo: 1\n  "de\\u006do": 2\n'

    assert ["FILE:3: servers.demo: this key occurs twice (keep one of the two)"] == refused(text)


def test_every_problem_of_a_document_is_reported_at_once():
    text = "a: 1\na: 2\nb: ${UNSET}\nc: !!binary aGk=\n"

    assert [
        "FILE:2: a: this key occurs twice (keep one of the two)",
        "FILE:3: b: the environment variable UNSET is not set (set it, for example: export UNSET=…)",
        "FILE:4: c: a value of type binary is not allowed",
    ] == refused(text)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${NAME}", "value"),
        ("https://${NAME}/", "https://value/"),
        ("${NAME}${EMPTY}${NAME}", "valuevalue"),
        ('"${NAME}"', "value"),
        ("$${NAME}", "${NAME}"),
        ("$$${NAME}", "$${NAME}"),
        ("$NAME", "$NAME"),
        ("${}", "${}"),
        ("${1}", "${1}"),
        ("${NA ME}", "${NA ME}"),
        ("${NESTED}", "${NAME}"),
        ("${YAML}", "{a: b}"),
        ("${NUMBER}", "5"),
    ],
)
def test_a_variable_is_replaced_once_and_stays_text(written, value):
    environment = {"NAME": "value", "EMPTY": "", "NESTED": "${NAME}", "YAML": "{a: b}", "NUMBER": "5"}

    assert [{"key": value}] == read(f"key: {written}", **environment)


def test_a_variable_in_a_key_stays_as_written():
    assert [{"${NAME}": 1}] == read('"${NAME}": 1', NAME="value")


def test_each_document_of_a_stream_is_read_and_empty_ones_are_left_out():
    assert [{"a": 1}, {"b": 2}] == read("---\n---\na: 1\n---\n# nothing\n---\nb: 2\n---\n")


@pytest.mark.parametrize("text", ["", "# nothing", "---", "null", "--- ~\n--- null\n"])
def test_a_stream_without_values_holds_no_documents(text):
    assert [] == read(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a: [1, 2\nb: 3",
            "FILE:2: not valid YAML: did not find expected ',' or ']' (close the list that begins with [ here or above)",
        ),
        (
            "a: 1\n\tb: 2",
            "FILE:2: not valid YAML: found a tab character that violates indentation (indent with spaces, not tabs)",
        ),
        ("a: *b", "FILE:1: not valid YAML: found undefined alias"),
        ("a: 1\nb: \x07", "FILE:2: a character that YAML forbids"),
        ("[" * 5000, "FILE:1: nested deeper than 64 levels"),
        ("a: " + "[" * 70 + "]" * 70, "FILE:1: nested deeper than 64 levels"),
        ("a: &a [*a]", "FILE:1: nested deeper than 64 levels"),
        ("a: &a {b: *a}", "FILE:1: nested deeper than 64 levels"),
        (MULTIPLYING, "FILE: more than 200000 values (use fewer aliases)"),
    ],
    ids=["flow", "tab", "alias", "control", "deep", "deeper", "own list", "own mapping", "multiplying"],
)
def test_what_is_no_yaml_or_has_no_bounds_is_refused_in_one_line(text, expected):
    assert [expected] == refused(text)


TEXT = """\
# a comment
servers:
  demo:
    rules:
      - name: first
        when: >-
          folded
          text
      -
        when: |
          one
          two
    list: [a, b,
           c]
"""

PLACES = [
    ((), 2),
    (("servers",), 2),
    (("servers", "demo"), 3),
    (("servers", "demo", "rules"), 4),
    (("servers", "demo", "rules", 0), 5),
    (("servers", "demo", "rules", 0, "name"), 5),
    (("servers", "demo", "rules", 0, "when"), 6),
    (("servers", "demo", "rules", 1), 10),
    (("servers", "demo", "rules", 1, "when"), 10),
    (("servers", "demo", "list", 1), 13),
    (("servers", "demo", "list", 2), 14),
    (("servers", "demo", "missing"), 3),
    (("servers", "other", "missing"), 2),
]


@pytest.mark.parametrize(("path", "line"), PLACES)
def test_a_value_stands_where_it_or_its_key_was_written_and_a_missing_one_at_what_should_hold_it(path, line):
    (document,) = read_documents(TEXT, "FILE", {})

    assert line == document.problem(path, "wrong").line


@pytest.mark.parametrize(
    ("index", "line_of_text", "line"),
    [(0, 1, 7), (0, 2, 7), (1, 1, 11), (1, 2, 12)],
)
def test_a_line_of_a_literal_block_is_found_in_the_file_and_a_folded_one_at_its_first(
    index, line_of_text, line
):
    (document,) = read_documents(TEXT, "FILE", {})
    place = document.place(("servers", "demo", "rules", index, "when"))

    assert line == place.line + place.offset(line_of_text)


def test_a_path_is_written_as_an_operator_would():
    (document,) = read_documents(TEXT, "FILE", {})

    assert "servers.demo.rules[1].when" == document.problem(("servers", "demo", "rules", 1, "when"), "").key


@given(st.text(alphabet="ab:-[]{}&*!|>'\"\n #${}\t\\?~0\ufeff\x00", max_size=60))
def test_any_text_is_read_or_refused_with_problems_that_stand_within_it(text):
    documents, found = [], ()
    try:
        documents = read_documents(text, "FILE", {})
    except ConfigError as error:
        found = error.problems

    assert all(0 <= problem.line <= text.count("\n") + 2 for problem in found)
    assert all(document.value is not None for document in documents)

import pytest

from authz.config.problems import ConfigError
from authz.tools.option_values import headers_of, json_object, read_bytes, server_of
from tests.support.policy_files import NATIVE, settings

ONE = settings(NATIVE)
TWO = settings(
    NATIVE.replace(
        "servers:\n", "servers:\n  other: {resource: 'https://other.example/mcp', issuers: [main]}\n"
    )
)


def problem(call, *given):
    with pytest.raises(ConfigError) as caught:
        call(*given)
    return str(caught.value)


def test_headers_are_read_with_names_in_lower_case():
    assert {"x-env": "a=b", "y": ""} == headers_of(["X-Env=a=b", "y="])


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("x", "--header: not of the form NAME=VALUE"),
        ("=x", "--header: not of the form NAME=VALUE"),
        (
            "Authorization=Bearer hunter2",
            "--header: authorization is a credential, which no rule sees (give --token)",
        ),
        ("cookie=hunter2", "--header: cookie is a credential, which no rule sees (give --token)"),
    ],
)
def test_a_header_that_no_rule_may_see_or_of_another_form_is_refused_and_not_repeated(entry, expected):
    assert expected == problem(headers_of, [entry])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1, "a": 2}', "NaN", '"hunter2"'])
def test_only_a_strict_json_object_is_one_and_nothing_of_the_text_is_repeated(text):
    said = problem(json_object, "--args", text)

    assert said.startswith("--args: ")
    assert "hunter2" not in said


def test_a_server_is_found_by_name_and_the_only_one_without():
    assert ("files", "files") == (server_of(ONE, "").name, server_of(TWO, "files").name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "--server: the file has several servers (one of: other, files)"),
        ("gone", "--server: there is no such server (one of: other, files)"),
    ],
)
def test_a_server_that_is_not_clear_is_a_problem_with_the_names(name, expected):
    assert expected == problem(server_of, TWO, name)


def test_a_file_is_read_as_bytes_or_named(tmp_path):
    (tmp_path / "body").write_bytes(b"\xff{")

    assert b"\xff{" == read_bytes(str(tmp_path / "body"))
    assert "cannot be read: No such file or directory" in problem(read_bytes, str(tmp_path / "none"))

import pytest

from authz.tools.agentgateway_import.placeholders import Placeholders


def test_every_variable_is_set_and_those_that_were_read_are_remembered_once():
    names = Placeholders()

    assert "ANY" in names
    assert [] == list(names)
    assert "variable-HOST.invalid" == names["HOST"] == names["HOST"]
    assert ["HOST"] == list(names)
    assert 1 == len(names)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://variable-HOST.invalid/", "https://${HOST}/"),
        ("https://variable-host.invalid/", "https://${HOST}/"),  # hosts are lower case once they are parsed
        ("https://variable-OTHER.invalid/", "https://variable-OTHER.invalid/"),
        ("a ${literal}", "a $${literal}"),
        ({"variable-HOST.invalid": ["variable-HOST.invalid", 5]}, {"${HOST}": ["${HOST}", 5]}),
        (None, None),
    ],
)
def test_a_variable_is_written_by_its_name_wherever_its_placeholder_stands(value, expected):
    names = Placeholders()
    names["HOST"]

    assert expected == names.restore(value)

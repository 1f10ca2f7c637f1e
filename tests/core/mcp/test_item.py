"""What the protocol calls the kinds of items, their lists, and the member that names an item in each."""

import pytest

from authz.core.mcp.item import LIST_NAMES, NAMED_BY, Item, Kind, ListName, Template, resource_or_template


def test_kinds_and_lists_are_called_what_the_protocol_and_records_call_them():
    assert ["tool", "prompt", "resource", "task"] == [kind.value for kind in Kind]
    assert {"tools", "prompts", "resources", "resourceTemplates", "skills"} == {
        name.value for name in ListName
    }


def test_an_item_is_named_by_one_member_of_its_entry_in_each_list():
    assert {
        "tools": "name",
        "prompts": "name",
        "resources": "uri",
        "resourceTemplates": "uriTemplate",
        "skills": "uri",
    } == {str(name): member for name, member in NAMED_BY.items()}


def test_the_lists_in_which_an_item_of_a_kind_may_stand():
    lists = {kind.value: {str(name) for name in names} for kind, names in LIST_NAMES.items()}

    assert {
        "tool": {"tools"},
        "prompt": {"prompts"},
        "resource": {"resources", "skills", "resourceTemplates"},
        "task": set(),
    } == lists


@pytest.mark.parametrize(
    ("text", "is_template"),
    [("file:///a", False), ("file:///{a}", True), ("file:///{a", True), ("file:///a}", True)],
)
def test_a_uri_with_any_brace_is_a_template(text, is_template):
    found = resource_or_template(text)

    assert (is_template, Kind.RESOURCE, text) == (isinstance(found, Template), found.kind, found.name)
    assert isinstance(found, Item)

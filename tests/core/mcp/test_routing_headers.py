"""Headers that repeat the body agree with it or the request is refused (SEP-2243)."""

import base64

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.core.mcp.methods import METHODS
from authz.core.mcp.routing_headers import decode_header_value, headers_agree

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine that is busy with other tests is no failure."""

TEXT = st.text(st.characters(codec="utf-8"))


def coded(raw: bytes) -> str:
    return f"=?base64?{base64.b64encode(raw).decode()}?="


@pytest.mark.parametrize(
    ("sent", "decoded"),
    [
        ("echo", "echo"),
        ("", ""),
        ("=?base64?ZWNobw==?=", "echo"),
        ("=?base64?ZWNobw?=", None),  # padding left out
        ("=?base64?ZWNobx==?=", None),  # a second spelling of the same bytes
        ("=?base64?ZW\nNobw==?=", None),
        ("=?base64? ZWNobw==?=", None),
        ("=?base64?ZWNobw==ZWNobw==?=", None),
        ("=?base64?*?=", None),
        ("=?base64?\u00e9?=", None),
        ("=?base64?_-__?=", None),  # base64url is another alphabet
        (coded(b"\xff"), None),
        (coded(b"\xed\xa0\x80"), None),  # a surrogate in UTF-8's clothes
        (coded("\u00e9".encode()), "\u00e9"),
        ("=?BASE64?ZWNobw==?=", "=?BASE64?ZWNobw==?="),  # the markers are lower-case
        ("=?base64?ZWNobw==", "=?base64?ZWNobw=="),
    ],
)
def test_a_mirrored_value_is_decoded_from_its_one_canonical_form(sent, decoded):
    assert decoded == decode_header_value(sent)


@UNHURRIED
@given(TEXT)
def test_every_text_survives_the_sentinel(text):
    assert text == decode_header_value(coded(text.encode()))


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    ("headers", "agree"),
    [
        ({"mcp-method": "tools/call", "mcp-name": "echo"}, True),
        ({"mcp-method": "tools/call", "mcp-name": coded(b"echo")}, True),
        ({"mcp-method": "tools/list", "mcp-name": "echo"}, False),
        ({"mcp-method": "tools/call", "mcp-name": "Echo"}, False),
        ({"mcp-method": "Tools/Call", "mcp-name": "echo"}, False),
        ({"mcp-method": "tools/call", "mcp-name": ""}, False),
        ({"mcp-method": "tools/call", "mcp-name": "echo,echo"}, False),
        ({"mcp-method": "tools/call", "mcp-name": "=?base64?ZWNobx==?="}, False),
        ({"mcp-method": coded(b"tools/call"), "mcp-name": "echo"}, False),  # only names and params are coded
    ],
)
def test_headers_that_are_sent_agree_with_the_body_in_every_era(headers, agree, required):
    assert agree is headers_agree(headers, "tools/call", {"name": "echo"}, required=required)


@pytest.mark.parametrize("missing", ["mcp-method", "mcp-name"])
def test_a_missing_header_disagrees_only_where_it_is_required(missing):
    headers = {"mcp-method": "tools/call", "mcp-name": "echo"}
    del headers[missing]

    assert not headers_agree(headers, "tools/call", {"name": "echo"}, required=True)
    assert headers_agree(headers, "tools/call", {"name": "echo"}, required=False)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_name_is_mirrored_by_exactly_the_methods_the_specification_names(method):
    mirrors = {
        "tools/call": "name",
        "prompts/get": "name",
        "resources/read": "uri",
        "tasks/get": "taskId",
        "tasks/update": "taskId",
        "tasks/cancel": "taskId",
    }

    assert mirrors.get(method) == METHODS[method].mirror


def test_a_name_that_is_no_string_agrees_with_no_header():
    sent = {"mcp-method": "tools/call", "mcp-name": "5"}

    assert not headers_agree(sent, "tools/call", {"name": 5}, required=True)


def test_an_undecodable_header_agrees_with_no_absent_name():
    sent = {"mcp-method": "tools/call", "mcp-name": "=?base64?*?="}

    assert not headers_agree(sent, "tools/call", {}, required=True)


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    "method", [*(name for name, row in METHODS.items() if row.mirror is None), "x/unknown"]
)
def test_a_method_that_names_nothing_needs_no_name_and_the_header_of_one_is_not_compared(method, required):
    for name in ({}, {"mcp-name": "anything"}):
        assert headers_agree({"mcp-method": method, **name}, method, {}, required=required) is True

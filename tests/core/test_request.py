"""A request in plain values, and how much of one is read."""

import dataclasses

import pytest

from authz.core.request import DEFAULT_LIMITS, HttpRequest, Limits

REQUEST = HttpRequest(method="POST", host="mcp.example", path="/mcp", headers={})


def test_a_request_is_https_whole_and_from_nowhere_until_somebody_says_otherwise():
    assert ("https", b"", True, "", frozenset()) == (
        REQUEST.scheme,
        REQUEST.body,
        REQUEST.body_complete,
        REQUEST.source,
        REQUEST.repeated,
    )


@pytest.mark.parametrize("name", ["method", "host", "path", "headers"])
def test_what_no_request_lacks_has_no_default(name):
    given = {"method": "POST", "host": "mcp.example", "path": "/mcp", "headers": {}}
    with pytest.raises(TypeError, match=name):
        HttpRequest(**{key: value for key, value in given.items() if key != name})


@pytest.mark.parametrize("name", HttpRequest.__struct_fields__)
def test_a_request_cannot_be_changed_after_it_was_judged(name):
    with pytest.raises(AttributeError):
        setattr(REQUEST, name, getattr(REQUEST, name))


def test_the_limits_are_those_that_are_documented():
    bounds = {"depth": 64, "name": 2048, "items": 256, "args": 32_768}
    budget = {"nodes": 20_000, "keys": 12_000, "normalised": 1024}

    assert {**bounds, **budget} == dataclasses.asdict(DEFAULT_LIMITS)
    assert Limits() == DEFAULT_LIMITS


@pytest.mark.parametrize("field", dataclasses.fields(Limits), ids=lambda field: field.name)
def test_a_limit_cannot_be_raised_under_way(field):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(DEFAULT_LIMITS, field.name, 1)

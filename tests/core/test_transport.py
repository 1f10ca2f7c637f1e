"""What HTTP must be like before anything in a request is read: one table for each rule."""

import pytest

from authz.core.reasons import Reason
from authz.core.request import UNCHANGED
from authz.core.transport import SINGLE_HEADERS, check_transport
from tests.support.core import changed, post, server

SERVER = server(origins=frozenset({"https://app.example"}))
MAX_BODY = 100


def broken(headers=None, *, body=b"{}", **parts):
    found = check_transport(post(body, headers, **parts), SERVER, MAX_BODY)
    return None if found is UNCHANGED else found


def without_body(method, headers=None, **parts):
    return broken({"content-type": ..., **(headers or {})}, **{"body": b"", "method": method, **parts})


def test_a_plain_request_breaks_no_rule():
    assert None is broken()
    assert [None, None] == [without_body("GET"), without_body("DELETE")]


REPEATED = {
    "authorization": Reason.MALFORMED_TOKEN,
    "content-type": Reason.BAD_CONTENT_TYPE,
    "content-encoding": Reason.BAD_ENCODING,
    "content-length": Reason.BAD_MESSAGE,
    "host": Reason.UNKNOWN_ENDPOINT,
    ":authority": Reason.UNKNOWN_ENDPOINT,
    "origin": Reason.BAD_ORIGIN,
    "mcp-method": Reason.HEADER_MISMATCH,
    "mcp-name": Reason.HEADER_MISMATCH,
    "mcp-protocol-version": Reason.HEADER_MISMATCH,
    "mcp-session-id": Reason.SESSION_MISMATCH,
    "last-event-id": Reason.BAD_MESSAGE,
}


def test_the_headers_that_may_stand_only_once_are_these():
    assert REPEATED == SINGLE_HEADERS


@pytest.mark.parametrize(("header", "reason"), REPEATED.items())
def test_a_header_that_may_stand_once_is_refused_when_it_is_repeated(header, reason):
    assert reason is broken(repeated=frozenset({header, "accept"}))


def test_any_other_header_may_be_repeated():
    assert None is broken(repeated=frozenset({"accept", "x-forwarded-for"}))


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"origin": "null"}, {"origin": ""}])
@pytest.mark.parametrize("ask", [broken, lambda headers: without_body("GET", headers)])
def test_an_origin_that_is_not_listed_is_refused_whatever_the_method(ask, headers):
    assert Reason.BAD_ORIGIN is ask(headers)
    assert None is ask({"origin": "https://app.example"})


@pytest.mark.parametrize("method", ["PUT", "PATCH", "HEAD", "OPTIONS", "post", "get", ""])
def test_a_method_that_mcp_does_not_use_is_refused(method):
    assert Reason.METHOD_NOT_ALLOWED is broken(method=method)


@pytest.mark.parametrize(
    ("content_type", "reason"),
    [
        ("application/json", None),
        (" Application/JSON ", None),
        ("application/json;", None),
        ("application/json; charset=utf-8", None),
        ('application/json; Charset = "UTF-8"', None),
        ("application/json; x=y", None),
        (..., Reason.BAD_CONTENT_TYPE),
        ("", Reason.BAD_CONTENT_TYPE),
        ("text/json", Reason.BAD_CONTENT_TYPE),
        ("application/json-patch", Reason.BAD_CONTENT_TYPE),
        ("text/plain; application/json", Reason.BAD_CONTENT_TYPE),
        ("application/json; charset=utf-16", Reason.BAD_CONTENT_TYPE),
        ("application/json; charset=", Reason.BAD_CONTENT_TYPE),
        ("application/json; charset", Reason.BAD_CONTENT_TYPE),
        ("application/json; charset =utf-7", Reason.BAD_CONTENT_TYPE),
        ("application/json; charset=utf-8; charset=utf-16", Reason.BAD_CONTENT_TYPE),
        ("application/json; charset=utf-16; charset=utf-8", Reason.BAD_CONTENT_TYPE),
    ],
)
def test_a_post_has_one_json_content_type_and_no_charset_but_utf_8(content_type, reason):
    assert reason is broken({"content-type": content_type})


@pytest.mark.parametrize(
    ("coding", "reason"),
    [
        (..., None),
        ("identity", None),
        (" Identity ", None),
        ("", Reason.BAD_ENCODING),
        ("gzip", Reason.BAD_ENCODING),
        ("identity, gzip", Reason.BAD_ENCODING),
    ],
)
def test_a_post_has_no_content_coding(coding, reason):
    assert reason is broken({"content-encoding": coding})


@pytest.mark.parametrize(
    ("size", "parts", "reason"),
    [
        (MAX_BODY, {}, None),
        (MAX_BODY + 1, {}, Reason.BODY_TOO_LARGE),
        (MAX_BODY + 1, {"body_complete": False}, Reason.BODY_TOO_LARGE),
        (2, {"body_complete": False}, Reason.PARTIAL_BODY),
    ],
)
def test_a_body_is_whole_and_no_larger_than_the_limit(size, parts, reason):
    assert reason is broken(body=b"x" * size, **parts)


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (..., None),
        ("2", None),
        ("3", Reason.PARTIAL_BODY),
        ("02", Reason.PARTIAL_BODY),
        ("+2", Reason.PARTIAL_BODY),
        ("", Reason.PARTIAL_BODY),
    ],
)
def test_a_declared_length_is_the_length_that_was_received(declared, reason):
    assert reason is broken({"content-length": declared})


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"headers": {"content-length": "0"}}, None),
        ({"headers": {"content-length": "1"}}, Reason.BAD_MESSAGE),
        ({"body": b"x"}, Reason.BAD_MESSAGE),
        ({"body_complete": False}, Reason.BAD_MESSAGE),
        ({"headers": {"content-type": "text/plain", "content-encoding": "gzip"}}, None),
    ],
)
def test_get_and_delete_have_no_body_and_so_no_form_of_one(method, parts, reason):
    assert reason is without_body(method, **parts)


def test_what_a_repeated_header_says_is_not_read():
    request = post(b"{}", {"origin": "https://evil.example"})

    assert Reason.MALFORMED_TOKEN is check_transport(
        changed(request, repeated=frozenset({"authorization"})), SERVER, MAX_BODY
    )

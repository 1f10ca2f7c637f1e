import pytest

from authz.config.addresses import (
    check_address,
    check_authority,
    check_endpoint,
    check_host,
    check_http_url,
    check_path,
    check_tcp_address,
    is_guarded,
    is_loopback,
)

GOOD = [
    (check_address, "127.0.0.1:9001"),
    (check_address, ":9001"),
    (check_address, "*:9001"),
    (check_address, "[::1]:9001"),
    (check_address, "unix:/run/authz.sock"),
    (check_tcp_address, "localhost:9002"),
    (check_authority, "mcp.example"),
    (check_authority, "mcp.example:8443"),
    (check_authority, "[::1]:8443"),
    (check_authority, "*"),
    (check_host, "keys.internal"),
    (check_http_url, "https://issuer.example"),
    (check_http_url, "https://issuer.example/"),
    (check_http_url, "http://[::1]:8080/x"),
    (check_http_url, "https://tenant_1.example:8443/.well-known/jwks.json"),
    (check_endpoint, "http://localhost:10000/mcp"),
    (check_endpoint, "https://mcp.example"),
    (check_path, "/"),
    (check_path, "/mcp/v1"),
]


@pytest.mark.parametrize(("check", "text"), GOOD)
def test_a_good_address_is_given_back_as_it_is(check, text):
    assert text == check(text)


@pytest.mark.parametrize(
    ("check", "written", "given"),
    [
        (check_host, "Keys.Internal", "keys.internal"),
        (check_authority, "MCP.Example:8443", "mcp.example:8443"),
    ],
)
def test_hosts_are_compared_in_lower_case(check, written, given):
    assert given == check(written)


BAD = [
    *[(check_address, text) for text in ("", "9001", "host", "host:", "host:70000", "host:port", "unix:x")],
    *[(check_address, text) for text in ("http://host:1", "::1:9001", "host:1\n", "ho st:1", "host:\uff11")],
    *[(check_tcp_address, text) for text in ("unix:/x", "host")],
    *[(check_authority, text) for text in ("", "https://host", "host/x", "host:", "*.example", "a b", "**")],
    *[(check_host, text) for text in ("", "host:1", "https://host", "*", "a/b")],
    *[(check_http_url, text) for text in ("", "mcp", "//host/x", "ftp://host/", "https://", "https:///x")],
    *[(check_http_url, text) for text in ("https://host:0/", "https://host:99999/", "https://host:/")],
    *[(check_http_url, text) for text in ("https://*/", "https://[::1/", "https://host/a b", "https://h\n/")],
    *[(check_http_url, text) for text in ('https://host/"', "https://hést/", "https://host/\\x")],
    *[(check_http_url, text) for text in ("https://u:p@host/", "https://@host/", "https://host/?q=1")],
    *[(check_http_url, text) for text in ("https://host/?", "https://host/#f", "https://host/#")],
    *[(check_endpoint, f"https://host/{path}") for path in ("/mcp", "a/../b", "./a", "%6dcp", "a//b")],
    *[(check_path, text) for text in ("", "mcp", "//", "/a/./b", "/a%2fb", "/a?b", "/a b", "/é", "/a;b")],
]


@pytest.mark.parametrize(("check", "text"), BAD)
def test_a_bad_address_is_refused_with_the_cure(check, text):
    with pytest.raises(ValueError, match=r"needed|an address is|absolute path"):
        check(text)


@pytest.mark.parametrize("url", ["https://user:hunter2@host/", "https://host/?token=hunter2"])
def test_a_refusal_does_not_repeat_the_secret_in_a_url(url):
    with pytest.raises(ValueError) as caught:
        check_http_url(url)

    assert "hunter2" not in str(caught.value)


LOOPBACK = [
    "http://localhost/",
    "http://a.localhost:1/",
    "http://127.0.0.1/",
    "http://127.9.9.9/",
    "http://[::1]:8/",
]
ELSEWHERE = [
    "http://localhost.example/",
    "http://127.0.0.1.example/",
    "http://notlocalhost/",
    "http://10.0.0.1/",
    "http://0.0.0.0/",
    "http://[::2]/",
]


@pytest.mark.parametrize(
    ("url", "expected"), [(url, True) for url in LOOPBACK] + [(url, False) for url in ELSEWHERE]
)
def test_loopback_is_this_machine_and_no_name_that_resembles_it(url, expected):
    assert expected is is_loopback(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://anywhere.example/", True),
        ("http://localhost:1/", True),
        ("http://keys.internal:8080/", True),
        ("http://KEYS.internal/", True),
        ("http://keys.internal.example/", False),
        ("http://sub.keys.internal/", False),
        ("http://anywhere.example/", False),
    ],
)
def test_plain_http_is_for_this_machine_and_for_hosts_that_are_listed(url, expected):
    assert expected is is_guarded(url, {"keys.internal"})

"""A request addresses the server at exactly its host and path, the one that Envoy would route it to."""

import pytest

from authz.core.policy.rule import DenialStyle
from authz.core.servers import Directory, Server, authorities, host_without_port
from tests.support.core import server
from tests.support.tokens import trust

DEMO = server()
OTHER = server(name="other", hosts=frozenset({"other.example"}), path="/mcp")
ANYWHERE = server(name="anywhere", hosts=frozenset({"*"}), path="/mcp")


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("mcp.example", "/mcp"),
        ("mcp.example:443", "/mcp"),
        ("MCP.Example", "/mcp"),
        ("mcp.example", "/mcp?x=1"),
        ("mcp.example", "/mcp?"),
        ("mcp.example", "/mcp?/../admin"),
    ],
)
def test_a_server_answers_at_its_host_and_path_whatever_the_query(host, path):
    assert DEMO is Directory((DEMO,)).match(host, path)


WRONG_PATHS = [
    "//mcp",
    "/mcp/",
    "/mcp/../x",
    "/x/../mcp",
    "/./mcp",
    "/mcp/.",
    "/mcp;a",
    "/mcp;a=b",
    "/%6dcp",
    "/mc%70",
    "/mcp%2f",
    "/mcp%00",
    "/mcp#f",
    "/MCP",
    "/Mcp",
    "mcp",
    "/mcp\\",
    "\\mcp",
    "/mcp/x",
    "/mcpx",
    "/",
    "*",
    "http://mcp.example/mcp",
    "//mcp.example/mcp",
    "/..;/mcp",
    "/mcp%3fx=1",
]


@pytest.mark.parametrize("path", ["", " /mcp", "/mcp ", "/mcp\0", "/mcp\t", *WRONG_PATHS])
@pytest.mark.parametrize("target", [DEMO, ANYWHERE])
@pytest.mark.requirement("protocol.one-url")
def test_a_path_that_only_resembles_an_endpoint_is_none(target, path):
    assert Directory((target,)).match("mcp.example", path) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "mcp",
        "example",
        "mcp.example.",
        "mcp.example:8443",
        "mcp.example:",
        "xmcp.example",
        "mcp.example.evil",
        "mcp.example:443:443",
        "mcp.example@evil",
        "evil@mcp.example",
        " mcp.example",
        "*",
        "mcp.example,evil",
    ],
)
def test_another_host_or_port_is_none(host):
    assert Directory((DEMO,)).match(host, "/mcp") is None


@pytest.mark.parametrize(
    "host", ["", "unlisted.example", "unlisted.example:1", "[::1]:80", "[::1]", "127.0.0.1"]
)
def test_a_server_for_any_host_takes_what_no_other_names(host):
    assert ANYWHERE is Directory((DEMO, ANYWHERE)).match(host, "/mcp")


@pytest.mark.parametrize("port", ["8443", "", "+443", "-1", " 443", "443x", "x", "\u0664", "99999999"])
def test_a_host_that_a_server_names_never_falls_through_to_the_one_for_any_host(port):
    assert Directory((DEMO, ANYWHERE)).match(f"mcp.example:{port}", "/mcp") is None
    assert Directory((DEMO, ANYWHERE)).match(f"MCP.example:{port}", "/mcp") is None


def test_two_servers_are_told_apart_by_host_and_by_path():
    elsewhere = server(name="elsewhere", path="/other")
    directory = Directory((DEMO, OTHER, elsewhere))

    assert [DEMO, OTHER, elsewhere] == [
        directory.match("mcp.example", "/mcp"),
        directory.match("other.example", "/mcp"),
        directory.match("mcp.example", "/other"),
    ]


@pytest.mark.parametrize("hosts", [{"mcp.example"}, {"mcp.example:8443"}, {"x.example", "mcp.example:443"}])
def test_two_servers_at_one_place_are_refused_whatever_their_ports(hosts):
    with pytest.raises(ValueError, match=r"both answer at mcp\.example/mcp"):
        Directory((DEMO, server(name="twin", hosts=frozenset(hosts))))


@pytest.mark.parametrize(
    ("url", "spellings"),
    [
        ("https://h.example/mcp", {"h.example", "h.example:443"}),
        ("http://h.example/mcp", {"h.example", "h.example:80"}),
        ("https://h.example:443/mcp", {"h.example", "h.example:443"}),
        ("http://h.example:443/mcp", {"h.example:443"}),
        ("http://LOCALHOST:10000/mcp", {"localhost:10000"}),
        ("http://[::1]/mcp", {"[::1]", "[::1]:80"}),
        ("http://[::1]:80/mcp", {"[::1]", "[::1]:80"}),
        ("http://[::1]:8080/mcp", {"[::1]:8080"}),
        ("https://user@h.example/mcp", {"h.example", "h.example:443"}),
    ],
)
def test_an_authority_may_leave_out_only_its_schemes_own_port(url, spellings):
    assert spellings == authorities(url)


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("h.example", "h.example"),
        ("h.example:80", "h.example"),
        ("h.example:", "h.example"),
        ("h.example:x", "h.example"),
        ("[::1]", "[::1]"),
        ("[::1]:80", "[::1]"),
        ("", ""),
        ("*", "*"),
    ],
)
def test_a_port_is_whatever_envoy_takes_for_one(authority, host):
    assert host == host_without_port(authority)


@pytest.mark.parametrize(
    ("origins", "origin", "accepted"),
    [
        ((), None, True),
        ((), "https://app.example", False),
        ((), "null", False),
        ((), "", False),
        (("https://app.example",), "https://app.example", True),
        (("https://app.example",), "HTTPS://App.Example", True),
        (("https://app.example",), "https://app.example.evil", False),
        (("https://app.example",), "https://app.example/", False),
        (("https://app.example",), "http://app.example", False),
        (("https://app.example",), "https://app.example:8443", False),
        (("https://app.example",), "https://evil,https://app.example", False),
        (("*",), "null", True),
    ],
)
def test_a_browser_calls_only_from_a_listed_origin(origins, origin, accepted):
    assert accepted is server(origins=frozenset(origins)).accepts_origin(origin)


def test_a_server_that_says_nothing_else_is_closed_to_browsers_to_nobody_and_keeps_the_token():
    plain = Server(name="plain", hosts=frozenset(), path="/", resource="", issuers={}, policy=DEMO.policy)

    assert (frozenset(), frozenset(), frozenset()) == (plain.anonymous, plain.origins, plain.methods)
    assert (False, False, DenialStyle.AUTO, ()) == (
        plain.forward_token,
        plain.hide,
        plain.denial,
        plain.scopes,
    )
    assert ("", "") == (plain.title, plain.documentation)


def test_the_servers_are_known_by_name():
    assert {"demo": DEMO, "other": OTHER} == Directory((DEMO, OTHER)).by_name


def test_a_directory_is_shown_by_its_servers_alone():
    assert f"Directory(servers={(DEMO,)!r})" == repr(Directory((DEMO,)))


@pytest.mark.parametrize(
    ("issuers", "named", "told"),
    [
        (
            ["https://a.example/", "urn:b", "c", "http://localhost/"],
            None,
            ("https://a.example/", "http://localhost/"),
        ),
        (["https://a.example/", "https://b.example/"], ("https://b.example/",), ("https://b.example/",)),
        (["https://a.example/"], (), ()),
    ],
)
def test_clients_are_told_of_issuers_that_are_urls_unless_the_file_says_which(issuers, named, told):
    trusted = {issuer: trust(issuer=issuer) for issuer in issuers}

    assert told == server(issuers=trusted, named_issuers=named).authorization_servers


PREFIXED = {
    "https://a.example/": trust(issuer="https://a.example/", scope_prefix="api://a/"),
    "https://b.example/": trust(issuer="https://b.example/"),
}


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ("", ("api://a/files", "openid", "offline_access")),
        ("https://a.example/", ("api://a/files", "openid", "offline_access")),
        ("https://b.example/", ("files", "openid", "offline_access")),
        ("https://unknown.example/", ("files", "openid", "offline_access")),
    ],
)
def test_a_scope_is_requested_with_its_issuer_s_prefix_but_for_those_of_openid(issuer, expected):
    assert expected == server(issuers=PREFIXED).to_request(("files", "openid", "offline_access"), issuer)

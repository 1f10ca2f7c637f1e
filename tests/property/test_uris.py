"""However a server reads a URI, it reads nothing that the rules deny, and nothing outside of what they allow.

A server is a chain of readers, each of which some real one has: decoding once or twice, laxly or as JavaScript's
`unescape` does, ignoring case, compatibility forms, spaces, dots and slashes that are too many, and walking the path.
"""

import posixpath
import re
import unicodedata
from functools import reduce
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from authz.core.mcp.item import Item, Kind
from authz.core.mcp.uri import reading
from authz.core.policy.policy import Policy
from authz.core.reasons import Reason
from tests.support.core import context, principal, rule


def _lax(text):
    """Decode overlong UTF-8 as early Java did."""
    raw = unquote_to_bytes(text).decode("latin-1")
    pairs = re.sub(
        "[\xc0\xc1][\x80-\xbf]", lambda m: chr((ord(m[0][0]) & 0x1F) << 6 | ord(m[0][1]) & 0x3F), raw
    )
    try:
        return pairs.encode("latin-1").decode()
    except ValueError:
        return pairs


def _one_slash(text):
    start, rest = ("db:///", text[6:].lstrip("/")) if text.startswith("db:///") else ("", text)
    return start + re.sub("/+", "/", rest)


def _path(text):
    return urlsplit(text).path if text.startswith("db:") else text


READERS = {
    "decode": unquote,
    "decode laxly": _lax,
    "unescape": lambda text: re.sub("%u([0-9A-Fa-f]{4})", lambda m: chr(int(m[1], 16)), text),
    "lower": str.lower,
    "casefold": str.casefold,
    "nfkc": lambda text: unicodedata.normalize("NFKC", text),
    "nfc": lambda text: unicodedata.normalize("NFC", text),
    "backslashes": lambda text: text.replace("\\", "/"),
    "slashes": _one_slash,
    "strip": lambda text: "/".join(part.strip() for part in text.split("/")),
    "Windows": lambda text: "/".join(
        part.rstrip(" .") if part.strip(".") else part for part in text.split("/")
    ),
    "parameters": lambda text: re.sub(";[^/]*", "", text),
    "query": lambda text: re.split("[?#]", text)[0],
    "C": lambda text: text.split("\0")[0],
    "path": _path,
    "walk": lambda text: posixpath.normpath(text) if text.startswith("/") else text,
}

PIECES = [
    *(
        "secret",
        "Secret",
        "s",
        "%73",
        "%2573",
        "%25252573",
        "\uff53",
        "%EF%BD%93",
        "\u017f",
        "ecret",
        "ECRET",
        "%C1%B3",
        "%u0073",
    ),
    *(
        "/",
        "//",
        "\\",
        "%2F",
        "%2f",
        "%5C",
        "%252F",
        "%C0%AF",
        "\uff0f",
        "\u2100",
        "?",
        "#",
        ";a",
        "%3F",
        "%23",
    ),
    *(".", "..", "%2E", "%2e%2e", "%C0%AE", "%u002e", "\u2025", "\uff0e", "%E2%80%A5", "...", "\u2026"),
    *(
        "public",
        "x",
        "X",
        "%20",
        " ",
        "%00",
        "%",
        "%25",
        "é",
        "%C3%A9",
        "e\u0301",
        "\ufe0f",
        "\u200b",
        "*",
        "{row}",
    ),
]
URIS = st.tuples(
    st.sampled_from(["db:///", "db:///public/", "DB:///", "db://", "db:////"]),
    st.lists(st.sampled_from(PIECES), max_size=7).map("".join),
    st.sampled_from(["", "/x", "/../secret/x", "x"]),
).map("".join)
CHAINS = st.lists(st.sampled_from(sorted(READERS)), max_size=6)

WIDE = Policy(
    (
        rule(names={Kind.RESOURCE: ("db:///*",)}),
        rule("deny", names={Kind.RESOURCE: ("db:///secret/*", "db:///secret")}, name="d"),
    )
)
NARROW = Policy((rule(names={Kind.RESOURCE: ("db:///public/*",)}),))


def _allowed(policy, uri):
    return policy.judge(context(principal()), Item(Kind.RESOURCE, uri)).reason is Reason.ALLOWED


def _segments(uri, chain):
    return [
        part
        for part in reduce(lambda text, name: READERS[name](text), chain, uri).removeprefix("db:").split("/")
        if part
    ]


@profile(max_examples=500)
@given(URIS, CHAINS)
def test_no_chain_of_readers_finds_a_denied_table_in_an_allowed_uri(uri, chain):
    if _allowed(WIDE, uri):
        assert ["secret"] != _segments(uri, chain)[:1]


@profile(max_examples=500)
@given(URIS, CHAINS)
def test_no_chain_of_readers_leaves_an_allowed_table(uri, chain):
    if _allowed(NARROW, uri):
        segments = _segments(uri, chain)
        assert ["public"] == segments[:1]
        assert ".." not in segments


@pytest.mark.parametrize("policy", [WIDE, NARROW])
@given(uri=URIS)
def test_what_is_allowed_is_allowed_in_its_canonical_spelling_only(policy, uri):
    if _allowed(policy, uri):
        assert reading(uri) is not None


ORDINARY = st.lists(
    st.sampled_from(
        ["a", "Report", "x.pdf", "%20", "%C3%A9", "%23", "-", "_", "~", "1", "(2)", ",", "@", "+", "é"]
    ),
    min_size=1,
).map("".join)


@given(st.lists(ORDINARY, min_size=1, max_size=4), st.sampled_from(["", "?q=%2Fa&b=c", "#top"]))
def test_an_ordinary_uri_that_a_rule_allows_is_allowed(segments, rest):
    assert _allowed(WIDE, f"db:///public/{'/'.join(segments)}{rest}")

"""Which spellings of a URI are canonical, and what every reading of it comes down to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.core.mcp import uri as uris
from authz.core.mcp.uri import (
    READINGS,
    are_clear,
    bare,
    canonical,
    is_canonical,
    pattern_reading,
    reading,
    remembered_reading,
)
from tests.support.work import counted

ORDINARY = [
    "file:///a%20b",
    "file:///a b",
    "file:///caf%C3%A9.txt",
    "file:///café.txt",
    "file:///Docs/README.md",
    "file:///C:/Users/x",
    "file:///a/.hidden",
    "file:///v1.2/a..b",
    "file:///a%23b%3Fc",
    "file:///100%25",
    "db:///{table}/{row}",
    "db://{table}/{row}{?page,size}",
    "greeting://Alice",
    "repos://Owner/name/info",
    "https://example.com/a?q=b%2Fc&x=%26#part",
    "urn:isbn:0451450523",
    "urn:example:A:b",
    "ui://widgets/Weather.html",
    "mailto:a@example.com",
    "data://config",
    "skill://a/SKILL.md",
    "file:///资料/%E8%B5%84",
    "name without a scheme",
]


@pytest.mark.parametrize("uri", ORDINARY)
def test_an_ordinary_uri_is_canonical_and_has_a_reading(uri):
    assert is_canonical(uri)
    assert reading(uri) is not None


NOT_CANONICAL = {
    "an escape of a letter": "db:///%73ecret",
    "an escape of a digit": "db:///%31",
    "an escape of a dot": "db:///a%2Eb",
    "an escape of a hyphen": "db:///a%2Db",
    "an escape of an underscore": "db:///a%5Fb",
    "an escape of a tilde": "db:///%7Ea",
    "hex in lower case": "db:///caf%c3%A9",
    "half an escape": "db:///a%2",
    "a percent sign": "db:///100%",
    "an escape that is none": "db:///%zz",
    "an escape of JavaScript's": "db:///%u002e%u002e/x",
    "a backslash": "db:///secret\\x",
    "a scheme in capitals": "DB:///secret",
    "a host in capitals": "https://Example.com/a",
    "a host in capitals after a user": "https://u@Example.com/a",
    "the host of a file in capitals": "file://HOST/a",
    "a host of http in capitals": "http://Example.com/a",
    "a host of ws in capitals": "ws://Example.com/a",
    "a host of wss in capitals": "wss://Example.com/a",
    "a host of ftp in capitals": "ftp://Example.com/a",
    "a host in capitals after two at signs": "https://u@v@Example.com/a",
    "a host in capitals before a query": "https://Example.com?a",
    "a host in capitals before a fragment": "https://Example.com#a",
}


@pytest.mark.parametrize("uri", NOT_CANONICAL.values(), ids=NOT_CANONICAL.keys())
def test_another_spelling_is_not_canonical_and_has_no_reading(uri):
    assert not is_canonical(uri)
    assert reading(uri) is None


def test_exactly_the_unreserved_characters_may_not_be_escaped():
    unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

    assert set(unreserved) == {chr(code) for code in range(256) if not is_canonical(f"x:%{code:02X}")}


TWO_MEANINGS = {
    "a dot segment": "file:///public/../secret",
    "one dot": "file:///public/./secret",
    "dots at the end": "file:///public/..",
    "three dots": "file:///public/.../secret",
    "dots after the scheme": "file:../secret",
    "dots before a query": "file:///public/..?a",
    "dots in a query": "file:///public/a?/../secret",
    "dots after a backslash": "file:///public\\..\\secret",
    "dots with spaces": "file:///public/..%20/secret",
    "dots before a parameter": "file:///public/..;a/secret",
    "escaped dots twice": "file:///public/%252E%252E/secret",
    "escaped dots thrice": "file:///public/%25252E./secret",
    "one character of two dots": "file:///public/\u2025/secret",
    "the same escaped": "file:///public/%E2%80%A5/secret",
    "fullwidth dots": "file:///public/\uff0e\uff0e/secret",
    "fullwidth dots escaped": "file:///public/%EF%BC%8E%EF%BC%8E/secret",
    "fullwidth dots escaped twice": "file:///public/%25EF%25BC%258E./secret",
    "a fullwidth percent sign": "file:///public/\uff052e\uff052e/secret",
    "overlong dots": "file:///public/%C0%AE%C0%AE/secret",
    "overlong dots escaped twice": "file:///public/%25C0%25AE%25C0%25AE/secret",
    "overlong dots of three bytes": "file:///public/%E0%80%AE%E0%80%AE/secret",
    "JavaScript's dots escaped": "file:///public/%25u002e%25u002e/secret",
    "an escaped slash": "db:///public%2Fx",
    "an escaped slash twice": "db:///public%252Fx",
    "an escaped backslash": "db:///public%5Cx",
    "an overlong slash": "db:///public%C0%AFx",
    "a fullwidth slash": "db:///public\uff0fx",
    "a fullwidth backslash": "db:///public\uff3cx",
    "a character that holds a slash": "db:///\u2100x",
    "no UTF-8": "db:///caf%E9",
    "a surrogate": "db:///%ED%A0%80",
    "a zero byte": "db:///a%00",
    "a line end": "db:///a%0Ab",
    "a control character": "db:///a\x7fb",
    "a bidirectional mark": "db:///a\u202eb",
    "a mark of no width": "db:///a%E2%80%8Bb",
    "too long beyond ASCII": "db:///" + "é" * 520,
    "one ligature that stands for eighteen letters": "db:///" + "\ufdfa" * 500,
    "marks without end": "db:///e" + "\u0301" * 31,
    "an escaped slash in the path beside a query": "db:///a%2Fb?c",
    "no UTF-8 in a query": "db:///a?b=%E9",
    "a control character in a query": "db:///a?b=%00",
    "an escape of JavaScript's in a query": "db:///a?b=%25u002e",
    "fewer ligatures that stand for eighteen letters": "db:///" + "\ufdfa" * 5,
    "a slash that turns into a backslash and back": "db:///a\uff3cb\uff0f",
}


@pytest.mark.parametrize("uri", TWO_MEANINGS.values(), ids=TWO_MEANINGS.keys())
def test_a_uri_that_means_two_things_by_itself_has_no_reading(uri):
    assert reading(uri) is None


def test_what_is_still_encoded_after_eight_rounds_has_no_reading():
    def wrapped(times):
        return "db:///%" + "25" * times + "20"

    assert reading("db:///") == reading(wrapped(6))
    assert reading(wrapped(7)) is None


SAME = [
    ("db:///secret/x", "db:///Secret/x"),
    ("db:///secret/x", "db:////secret/x"),
    ("db:///secret/x", "db:///%2573ecret/x"),
    ("db:///secret/x", "db:///secret%20/x"),
    ("db:///secret/x", "db:///secret./x"),
    ("db:///secret/x", "db:///\uff53ecret/x"),
    ("db:///secret/x", "db:///%EF%BD%93ecret/x"),
    ("db:///secret/x", "db:///\u017fecret/x"),
    ("db:///secret/x", "db:///s\ufe0fecret/x"),
    ("db:///kelvin", "db:///\u212aelvin"),
    ("db:///straße", "db:///STRASSE"),
    ("db:///café", "db:///cafe\u0301"),
    ("file:///secret/x", "file://localhost/secret/x"),
    ("https://h/secret", "https://h:443/secret"),
    ("https://h/secret", "https://h:/secret"),
    ("http://h/secret", "http://h:80/secret"),
    ("https://h/secret", "https://h./secret"),
]


@pytest.mark.parametrize(("plain", "spelled"), SAME)
def test_spellings_that_some_server_takes_for_one_have_one_reading(plain, spelled):
    assert reading(plain) is not None
    assert reading(plain) == reading(spelled)


DIFFERENT = [
    ("db:///a", "db:///b"),
    ("db:///a.b", "db:///ab"),
    ("db:///q?x=1", "db:///q?x=2"),
    ("https://h:8080/a", "https://h:9090/a"),
    ("https://h:443/a", "http://h:443/a"),
    ("a://u@h/x", "a://h/x"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_no_server_takes_for_one_has_two_readings(one, other):
    assert reading(one) != reading(other)


@pytest.mark.parametrize(
    "uri",
    [
        "https://h/secret?a",
        "https://h/secret#a",
        "https://h/secret/",
        "https://h/secret;a=1",
        "https://u@h/secret",
        "https://u:p@h/secret/?",
        "https://h/;a/secret",
        "https://h/;a?b/secret",
        "https://h/;a#b/secret?c",
        "https://h/secret.;a",
        "https://h/secret..%23",
        "https://h/secret.?a",
    ],
)
def test_a_bare_reading_lacks_what_some_servers_cut_off(uri):
    read = reading(uri)

    assert reading("https://h/secret") in bare(read)


def test_a_star_of_a_pattern_stays_where_it_stands_and_no_letter_becomes_one():
    assert ("db:/secret/", "") == pattern_reading("db:///Secret/*")
    assert ("a.", ".b") == pattern_reading("A.*.b")
    assert ("db:/a*b",) == pattern_reading("db:///a\uff0ab")


@given(st.text(max_size=60))
def test_every_text_has_a_reading_or_none_and_a_reading_is_its_own(text):
    read = reading(text)

    assert read is None or "\\" not in read
    assert pattern_reading(text.replace("*", "")) is not None


@given(
    st.lists(st.sampled_from(["a", "B", "é", "%20", "%C3%A9", "/", ".", "x.y", "-", "?", "ß"]), max_size=12)
)
def test_a_uri_matches_by_its_reading_the_name_that_it_has(pieces):
    uri = "db:///" + "".join(pieces)
    read = reading(uri)

    assert read is None or (read,) == pattern_reading(uri)


@pytest.mark.parametrize("piece", ["%", "%25", "a\u0301", "/", ".", "%C3%A9", "\\"])
def test_the_work_is_linear_in_the_length(piece):
    _, short = counted(lambda: reading("db:///" + piece * 200))
    _, long = counted(lambda: reading("db:///" + piece * 2000))

    assert 12 * max(short, 50) > long


CANONICAL = [
    ("db:///%73ecret/%e2%82%ac", "db:///secret/%E2%82%AC"),
    ("DB:///Secret", "db:///Secret"),
    ("HTTPS://User@Example.COM/A%7eb", "https://User@example.com/A~b"),
    ("https://U@v@Example.com", "https://U@v@example.com"),
    ("https://EXAMPLE.com", "https://example.com"),
    ("Greeting://Alice", "greeting://Alice"),
    ("MAILTO:A@Example.com", "mailto:A@Example.com"),
    ("http:Host", "http:Host"),
    ("no scheme %41%2f", "no scheme A%2F"),
    ("", ""),
    ("x:%2D%2E%5F%7E%30%5A%25%2f", "x:-._~0Z%25%2F"),
    *[(f"{scheme}://H", f"{scheme}://h") for scheme in ("http", "https", "ws", "wss", "ftp", "file")],
]


@pytest.mark.parametrize(("written", "spelled"), CANONICAL)
def test_a_uri_is_told_in_its_canonical_spelling(written, spelled):
    assert spelled == canonical(written)
    assert is_canonical(spelled)
    assert spelled == canonical(spelled)


@given(st.text("aZ%2fF:/@.~-\u00e9", max_size=20))
def test_what_is_canonical_is_its_own_canonical_spelling(text):
    assert not is_canonical(text) or text == canonical(text)


def test_uris_are_clear_where_each_has_a_reading():
    assert are_clear([])
    assert are_clear(["db:///a", "db:///b"])
    assert not are_clear(["db:///a", "db:///%61"])
    assert not are_clear(["db:///%61", "db:///a"])
    assert not are_clear(["db:///%61"])


def test_uris_are_clear_only_up_to_a_length_of_all_together():
    assert are_clear(["x" * 16_384, "y" * 16_384])
    assert not are_clear(["x" * 16_384, "y" * 16_385])
    assert not are_clear(["x" * 32_769])


@pytest.mark.parametrize("uri", ["db:///Remembered", "db:///%61bc"])
def test_a_reading_is_remembered_and_the_same(uri):
    first = remembered_reading(uri)

    assert reading(uri) == first
    assert (first,) == READINGS.get(uri)
    assert first == remembered_reading(uri)


def test_a_reading_is_not_made_again_while_it_is_remembered(monkeypatch):
    expected = remembered_reading("db:///again")
    monkeypatch.setattr(uris, "reading", lambda _: "another")

    assert expected == remembered_reading("db:///again")
    assert "another" == remembered_reading("db:///again/and/again")


def test_only_short_uris_are_remembered():
    for length, kept in ((4096, True), (4097, False)):
        uri = "db:///" + "k" * (length - len("db:///"))
        remembered_reading(uri)

        assert kept is (READINGS.get(uri) is not None)


@pytest.mark.parametrize(
    ("read", "left"),
    [
        ("db:/a", {"db:/a"}),
        ("db:/a;p/b", {"db:/a/b"}),
        ("db:/a;p?q/r", {"db:/a", "db:/a/r"}),
        ("db:/a?q;p/r", {"db:/a", "db:/a?q/r"}),
        ("https:/u@h/a/", {"https:/h/a"}),
        ("db:/a#b", {"db:/a", "db:/a#b"}),
        ("db:/a/;/", {"db:/a"}),
        ("db:/X/", {"db:/X"}),
    ],
)
def test_what_is_cut_off_is_cut_in_each_order_in_which_a_server_may_cut(read, left):
    assert left == bare(read)


@pytest.mark.parametrize(
    ("text", "legible"),
    [
        ("db:///" + "é" * 512, False),
        ("db:///" + "é" * 506, True),
        ("db:///" + "é" * 507, False),
        ("db:///e" + "\u0327" * 30, True),
        ("db:///e" + "\u0327" * 31, False),
        ("db:///" + ("e" + "\u0327" * 20) * 3, True),
        ("\u0327" * 30, True),
        ("\u0327" * 31, False),
        ("db:///" + "a" * 2000, True),
        ("db:///u002e", True),
        ("db:///50%25u", True),
        ("db:///50%25u002e", False),
        ("db:///50%25u00", True),
    ],
)
def test_what_is_costly_to_fold_or_escaped_as_javascript_does_has_no_reading(text, legible):
    assert legible is (reading(text) is not None)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("\u2057", "\u2032" * 4),  # the quadruple prime
        ("\u33af", None),  # a unit that is written in six characters
        ("xx\u33af", "xxrad\u2215s2"),
        ("\ufdfb", None),
        ("\ufdfba", None),
        ("\ufdfb-\ufdfb-\ufdfb", None),
    ],
)
def test_a_text_may_grow_four_times_when_it_is_folded(text, folded):
    assert folded == reading(text)


def test_white_space_and_slashes_of_a_query_are_read_as_those_of_a_path():
    assert "db:/a?b/cd" == reading("db:///a?b//c d") == reading("db:///a?b/%20cd")


def test_a_star_that_a_uri_holds_is_a_star():
    assert "db:/a*b" == reading("db:///a*b")


def test_an_exact_name_is_read_to_its_end_with_its_query():
    assert ("db:/a?b/c",) == pattern_reading("db:///A?B//c")
    assert ("db:/a?", "/c") == pattern_reading("db:///A?*//c")
    assert ("db:/a",) == pattern_reading("db:///a")

import pytest

from authz.config.lint.names import origin_findings
from tests.support.policy_files import NATIVE, POLICY, problems, warnings

FOREIGN = [
    # the name, what is said of it, what to write
    ("^list_.*$", "^", "write list_*"),
    ("list_.*", ".*", "write list_*"),
    (".*", ".*", "write *"),
    (".+_file", ".+", "write *_file"),
    ("list_[a-z]*", "[", "write each name as an item of its own, or * for any text"),
    ("list_file?", "?", "write each name as an item of its own, or * for any text"),
    (r"list\.files", "\\", "write list.files"),
    ("(echo|add)", "(", "write each name as an item of its own, or * for any text"),
    ("echo,add", ",", "write each name as an item of its own, or * for any text"),
    ("echo ", "white space at an end", "write echo"),
]


@pytest.mark.parametrize(("name", "sign", "cure"), FOREIGN)
def test_a_name_in_another_language_is_named_with_what_to_write(name, sign, cure):
    text = NATIVE.replace("[echo]", f"[add, {name!r}]".replace("\\\\", "\\"))

    says = f"{name} holds {sign}, names know * alone, and take every other character as it is ({cure})"
    assert [f"FILE:10: servers.files.rules[0].allow.tools: {says}"] == warnings(text)


@pytest.mark.parametrize("kind", ["tools", "prompts", "tasks"])
def test_a_deny_that_matches_nothing_is_named_too(kind):
    text = NATIVE + f"      - deny: {{{kind}: ['^secret']}}\n"

    assert [f"FILE:11: servers.files.rules[1].deny.{kind}"] == [
        warning.partition(": ^")[0] for warning in warnings(text)
    ]


@pytest.mark.parametrize(
    "select",
    [
        "{tools: [list_*, get-user.info, a/b, A1]}",
        "{tools: [fs.read, fs.*]}",
        "{resources: ['file:///a?b=c', 'http://[2001:db8::1]/x/*', 'file:///home/.*']}",
    ],
)
def test_what_a_name_or_uri_may_hold_is_not_warned_of(select):
    assert [] == warnings(NATIVE.replace("{tools: [echo]}", select))


ORIGINS = [
    ("https://app.example/", "write https://app.example"),
    ("https://app.example/callback", "write https://app.example"),
    ("https://app.example:443", "write https://app.example"),
    ("http://localhost:80", "write http://localhost"),
    ("https://*.example", "write each as scheme://host:port, or * for any"),
    ("http://localhost:*", "write each as scheme://host:port, or * for any"),
    ("localhost:6274", "write each as scheme://host:port, or * for any"),
    ("app.example", "write each as scheme://host:port, or * for any"),
    ("https://münchen.example", "write each as scheme://host:port, or * for any"),
]


@pytest.mark.parametrize(("origin", "cure"), ORIGINS)
def test_an_origin_that_no_browser_sends_is_named_in_both_forms(origin, cure):
    says = f"no browser sends the origin {origin}, and origins are compared whole ({cure})"
    native = NATIVE.replace("    rules:", f"    origins: [https://ok.example, {origin!r}]\n    rules:")
    documents = POLICY.replace("  traffic:\n", f"  traffic:\n    cors: {{allowOrigins: [{origin!r}]}}\n")

    assert [f"FILE:9: servers.files.origins[1]: {says}"] == warnings(native)
    assert [f"FILE:7: spec.traffic.cors.allowOrigins[0]: {says}"] == warnings(documents)


def test_what_browsers_and_applications_send_is_not_warned_of():
    sent = [
        "*",
        "null",
        "https://app.example",
        "HTTP://Localhost:6274",
        "http://[::1]:8080",
        "vscode-webview://abc",
    ]

    assert [] == list(origin_findings(sent))


@pytest.mark.parametrize(
    ("key", "scopes"), [("scopes", "[files:read files:write]"), ("any_scopes", "['files:read files:write']")]
)
def test_several_scopes_in_one_text_are_refused_with_how_to_write_them(key, scopes):
    text = NATIVE + f"        {key}: {scopes}\n"

    says = "a scope is one word of visible ASCII characters without quotes and backslashes"
    cure = "write each as an item: [files:read, files:write]"
    assert [f"FILE:11: servers.files.rules[0].{key}[0]: {says}; {cure}"] == problems(text)


def test_a_merge_key_is_refused_in_words_of_its_own():
    text = NATIVE.replace("issuers:\n  main:", "issuers:\n  main: &base") + "  other:\n    <<: *base\n"

    assert (
        "FILE:12: servers.other: a merge key (<<) is not read"
        " (write the keys out, or repeat the whole value with an alias)"
    ) in problems(text)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("X-Env", "X-Env: the names of headers are in lower case here (write x-env)"),
        ("authorization", "authorization is not visible to rules (read the claims in jwt)"),
        ("Cookie", "Cookie is not visible to rules (read the claims in jwt)"),
    ],
)
def test_a_header_that_no_rule_ever_sees_is_named(name, says):
    text = NATIVE + f"        when: request.headers[\"{name}\"] == 'a'\n"

    assert [f"FILE:11: servers.files.rules[0].when: {says}"] == warnings(text)

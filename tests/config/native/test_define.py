import pytest

from authz.core.reasons import Reason
from tests.support.policy_files import NATIVE, principal, problems, reason, settings, tool, warnings

DEFINED = """\
define:
  sre: '"/platform/sre" in jwt.groups'
  on_call: sre && has(jwt.pager) // and carries it
  readers: [list_files, "read_*"]
"""


def policy(*rules, define=DEFINED):
    """Give a file with definitions and these rules."""
    head, _, _ = NATIVE.partition("      - allow")
    return define + head + "".join(f"      - {rule}\n" for rule in rules)


def said(text, name="echo", arguments=None, **claims):
    return reason(settings(text), principal(**claims), tool(name), arguments=arguments or {})


SRE = {"groups": ["/platform/sre"]}


@pytest.mark.parametrize(
    ("when", "claims", "expected"),
    [
        ("sre", SRE, True),
        ("sre", {"groups": []}, False),
        ("!sre", {"groups": []}, True),
        ("sre && client == 'other'", SRE, False),
        ("client == 'other' || sre", SRE, True),
        ("sre == true && [sre].all(x, x)", SRE, True),
        ("on_call", {**SRE, "pager": 1}, True),
        ("on_call && true", SRE, False),
        ("jwt.sre == 1 || 'sre' in roles", {"sre": 1}, True),
    ],
)
def test_a_condition_is_put_in_the_place_of_its_name(when, claims, expected):
    text = policy(f'{{allow: {{tools: [echo]}}, when: "{when}"}}')

    assert expected == (said(text, **claims) is Reason.ALLOWED)


def test_a_condition_may_be_about_arguments_where_args_are_read():
    define = "define: {inbox: 'args.path.startsWith(\"/inbox/\")'}\n"
    text = policy("{allow: {tools: [echo]}, args: inbox && size(args.path) < 20}", define=define)

    assert [True, False] == [
        said(text, arguments={"path": path}) is Reason.ALLOWED for path in ("/inbox/a", "/etc/a")
    ]
    assert ["reads args, which only `args` may"] == [
        found.partition(": ")[2].partition(": ")[2].partition(" (")[0]
        for found in problems(policy("{allow: {tools: [echo]}, when: inbox}", define=define))
    ]


def test_a_list_is_put_in_the_place_of_its_name():
    define = "define: {readers: [list_files, 'read_*'], staff: [admin, editor]}\n"
    text = policy("{allow: {tools: readers}, roles: staff}", define=define)
    (server,) = settings(text).directory.servers
    (rule,) = server.policy.rules

    assert [True, True, False] == [
        rule.selector.selects(tool(name)) for name in ("list_files", "read_x", "echo")
    ]
    assert {"admin", "editor"} == rule.roles


REFUSED = {
    "an unknown list": (
        policy("{allow: {tools: writers}, when: sre}"),
        "FILE:14: servers.files.rules[0].allow.tools: there is no list writers in define (known: readers; or write a list)",
    ),
    "a list where a condition is needed": (
        policy("{allow: {tools: readers}, when: readers}"),
        "undeclared reference to 'readers'",
    ),
    "a condition that is none": (
        policy("{allow: {tools: readers}}", define="define: {a: 'size(roles)', readers: [b]}\n"),
        "FILE:1: define.a: is of type int, a condition must be true or false",
    ),
    "a condition that uses one below it": (
        policy("{allow: {tools: [a]}, when: a}", define="define: {a: b, b: 'true'}\n"),
        "FILE:1: define.a: undeclared reference to 'b'",
    ),
    "a name that is taken": (
        policy("{allow: {tools: [a]}}", define="define: {roles: 'true'}\n"),
        "FILE:1: define.roles: this name means something else in expressions",
    ),
    "a name that is none": (
        policy("{allow: {tools: [a]}}", define="define: {a-b: 'true'}\n"),
        "FILE:1: define.a-b: is no name for an expression (begin with a letter; use letters, digits and _)",
    ),
    "an element with the name of a condition": (
        policy("{allow: {tools: [a]}, when: 'roles.exists(sre, sre == \"a\")'}"),
        "sre is a condition of define, so it cannot name an element",
    ),
    "definitions that double each other": (
        policy(
            "{allow: {tools: [a]}, when: a20}",
            define="define:\n  a0: 'true'\n"
            + "".join(f"  a{n}: a{n - 1} && a{n - 1}\n" for n in range(1, 21)),
        ),
        "is longer than 65536 characters with what define puts in",
    ),
    "neither": (
        policy("{allow: {tools: [a]}}", define="define: {a: 5}\n"),
        "FILE:1: define.a: an expression in a string, or a list of names, is needed",
    ),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_definition_that_cannot_be_is_refused(text, expected):
    assert any(expected in found for found in problems(text)), problems(text)


def test_what_no_rule_uses_is_warned_of():
    text = policy("{allow: {tools: [echo]}, when: on_call}")

    assert ["FILE:4: define.readers: no rule uses this (remove it)"] == warnings(text)


def test_a_condition_that_many_rules_use_is_one_expression():
    text = policy("{allow: {tools: readers}, when: sre}", "{allow: {tools: [x]}, when: sre}")
    (server,) = settings(text).directory.servers
    first, second = server.policy.rules

    assert first.when is second.when

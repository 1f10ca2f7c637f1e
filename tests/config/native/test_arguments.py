import pytest

from authz.core.policy.rule import TYPES, Arguments
from authz.core.reasons import Reason
from tests.support.policy_files import NATIVE, principal, problems, reason, settings, tool

KNOWN = "known: string, int, number, bool, list, map, any, integer, boolean, array, object, null, each with ? when it may be left out"


def policy(*lines, effect="allow"):
    rule = NATIVE.replace("allow:", f"{effect}:")
    return rule + "".join(f"        {line}\n" for line in lines)


def declared(*lines):
    (server,) = settings(policy(*lines)).directory.servers
    return server.policy.rules[0].arguments


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], None),
        (["arguments: {}"], Arguments({})),
        (
            ["arguments: {filename: string, recursive: 'bool?'}"],
            Arguments({"filename": "string", "recursive": "bool?"}),
        ),
        (["arguments: {n: int}", "extra: allow"], Arguments({"n": "int"})),
        (["arguments: {n: int}", "extra: deny"], Arguments({"n": "int"}, extra=False)),
    ],
)
def test_declared_arguments_reach_the_rule(lines, expected):
    assert expected == declared(*lines)


@pytest.mark.parametrize("lines", [["arguments:", "  n: int?"], ["arguments: {n: int?}"]])
def test_the_mark_needs_no_quotes(lines):
    assert {"n": "int?"} == declared(*lines).types


@pytest.mark.parametrize("name", TYPES)
def test_every_type_can_be_declared(name):
    assert {"x": name, "y": f"{name}?"} == declared(f"arguments: {{x: '{name}', y: '{name}?'}}").types


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["arguments: {n: str}"], f"FILE:11: servers.files.rules[0].arguments.n: unknown type str; {KNOWN}"),
        (
            ["arguments: {n: 'int??'}"],
            f"FILE:11: servers.files.rules[0].arguments.n: unknown type int??; {KNOWN}",
        ),
        (["arguments: {n: 5}"], "FILE:11: servers.files.rules[0].arguments.n: a string is needed"),
        (["arguments: [n]"], "FILE:11: servers.files.rules[0].arguments: a mapping is needed"),
        (
            ["extra: deny"],
            (
                "FILE:10: servers.files.rules[0]: extra is about arguments that are not declared:"
                " declare some, or write arguments: {}"
            ),
        ),
        (
            ["arguments: {}", "extra: maybe"],
            "FILE:12: servers.files.rules[0].extra: Input should be 'allow' or 'deny'",
        ),
    ],
)
def test_a_declaration_that_cannot_be_is_an_error_at_its_place(lines, expected):
    assert [expected] == problems(policy(*lines))


# arguments of the call, None for a place in the list: what an allow and a deny with this declaration say.
DECLARED = ("arguments: {filename: string, recursive: 'bool?'}", "extra: deny")
CALLS = [
    ({"filename": "a"}, True),
    ({"filename": "a", "recursive": False}, True),
    ({}, False),
    ({"filename": 5}, False),
    ({"filename": None}, False),
    ({"filename": ["a"]}, False),
    ({"filename": "a", "recursive": 1}, False),
    ({"filename": "a", "mode": "w"}, False),
]


@pytest.mark.parametrize(("arguments", "fit"), CALLS)
def test_an_allow_holds_only_for_arguments_of_the_declared_types(arguments, fit):
    expected = Reason.ALLOWED if fit else Reason.ARGS_NOT_ALLOWED

    assert expected == reason(settings(policy(*DECLARED)), principal(), tool("echo"), arguments=arguments)


@pytest.mark.parametrize(("arguments", "fit"), CALLS)
def test_a_deny_denies_arguments_of_other_types_because_it_cannot_be_judged(arguments, fit):
    text = (
        policy()
        + "      - deny: {tools: [echo]}\n"
        + "".join(f"        {line}\n" for line in (*DECLARED, 'args: args.filename == "b"'))
    )
    expected = Reason.ALLOWED if fit else Reason.RULE_ERROR

    assert expected == reason(settings(text), principal(), tool("echo"), arguments=arguments)


def test_a_declaration_hides_nothing_from_a_list():
    assert Reason.ALLOWED is reason(settings(policy(*DECLARED)), principal(), tool("echo"))


def test_an_expression_never_meets_another_type_than_declared():
    text = policy("arguments: {n: int}", "args: '!(args.n > 1)'")

    said = [
        reason(settings(text), principal(), tool("echo"), arguments={"n": n}) for n in (1, 2, True, "x", 0.5)
    ]
    assert [Reason.ALLOWED, *[Reason.ARGS_NOT_ALLOWED] * 4] == said

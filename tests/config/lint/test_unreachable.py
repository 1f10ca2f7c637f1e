from itertools import product

import pytest

from authz.core.mcp.item import Item, Kind
from authz.core.policy.rule import Pattern
from authz.core.reasons import Reason
from tests.support.policy_files import NATIVE, principal, reason, settings, warnings

SHADOWED = "can never allow: everything it names is denied to everyone by {}"
REDUNDANT = "changes nothing: {} selects the same names and has no conditions"
SCOPED, GUESTS, SHADOW = "\n        scopes: [s]", "\n        roles: [guest]", "\n        shadow: true"
RULES = [
    (["allow: {tools: [a]}", "deny: {tools: [a]}"], [(0, SHADOWED.format("rule-2"))]),
    (
        ["allow: {tools: [a, b]}", "deny: {tools: [a]}", "deny: {tools: ['b*']}"],
        [(0, SHADOWED.format("rule-2, rule-3"))],
    ),
    (["allow: {tools: [a, b]}", "deny: {tools: [a]}"], []),
    (["allow: {tools: [a]}", "deny: {prompts: [a]}"], []),
    (["allow: {tools: [a]}", "deny: {tools: [a]}" + GUESTS], []),
    (["allow: {tools: [a]}", "deny: {tools: [a]}" + SHADOW], []),
    (["allow: {tools: [a]}" + SHADOW, "deny: {tools: [a]}"], []),
    (["allow: {tools: ['*']}", "allow: {tools: [a]}" + SCOPED], [(1, REDUNDANT.format("rule-1"))]),
    (["allow: {tools: [a]}" + SCOPED, "allow: {tools: ['*']}"], [(0, REDUNDANT.format("rule-2"))]),
    (["allow: {tools: ['a_*']}", "allow: {tools: ['a_*_b', a_b]}"], [(1, REDUNDANT.format("rule-1"))]),
    (["allow: {tools: ['a_*_b']}", "allow: {tools: ['a_*']}"], [(0, REDUNDANT.format("rule-2"))]),
    (["allow: {tools: ['*_b']}", "allow: {tools: ['a_*']}"], []),
    (["allow: {tools: [a]}", "allow: {tools: [a]}"], [(1, REDUNDANT.format("rule-1"))]),
    (["deny: {tools: ['a*']}", "deny: {tools: [ab]}" + GUESTS], [(1, REDUNDANT.format("rule-1"))]),
    (["allow: {tools: [a]}", "allow: {tools: [a, b]}" + SCOPED], []),
]


@pytest.mark.parametrize(("rules", "expected"), RULES)
def test_a_rule_that_can_never_matter_is_named_with_the_rule_that_makes_it_so(rules, expected):
    text = NATIVE.replace("allow: {tools: [echo]}", "\n      - ".join(rules))

    found = [line.split(": ", 1)[1] for line in warnings(text)]

    cure = "remove it, or narrow the other"
    assert [f"servers.files.rules[{index}]: {message} ({cure})" for index, message in expected] == found


ALLOWS, DENIES = "allows", "denies"
NEVER = [
    ("allow: {tools: [a]}", 'mcp.tool.name == "b"', ALLOWS),
    ("allow: {tools: ['a*']}", 'mcp.tool.name in ["b", "c"] && "x" in roles', ALLOWS),
    ("allow: {prompts: [a]}", 'mcp.tool.name == "a"', ALLOWS),
    ("allow: {resources: ['file:///*']}", 'mcp.resource.uri == "https://a"', ALLOWS),
    ("allow: {tasks: [a]}", 'mcp.task.id == "b"', ALLOWS),
    ("allow: {tools: [a]}", "false", ALLOWS),
    ("allow: {tools: [a]}", "1 / 0 == 1", ALLOWS),
    ("deny: {tools: [a]}", 'mcp.tool.name == "b"', DENIES),
    ("deny: {tools: [a]}", "1 > 2", DENIES),
    ("deny: {tools: [a]}", "1 / 0 == 1", None),
    ("deny: {prompts: [a]}", 'mcp.tool.name == "a"', None),
    ("deny: {tools: [a], prompts: [a]}", 'mcp.tool.name == "b"', None),
    ("allow: {tools: ['a*']}", 'mcp.tool.name == "ab"', None),
    ("allow: {tools: [a], prompts: [a]}", 'mcp.tool.name == "a"', None),
    ("allow: {tools: [a]}", 'mcp.tool.name == "b" || "x" in roles', None),
    ("allow: {tools: [a]}", "size(roles) >= 0", None),
]
EVERYTHING = "allow: {tools: ['*'], prompts: ['*'], resources: ['*'], tasks: ['*']}"
NAMES = ("a", "ab", "b", "c", "file:///a", "https://a")


def with_rule(rule, when):
    """Write a file with one allow, or with one deny beside an allow of everything."""
    others = [EVERYTHING] if rule.startswith("deny") else []
    rules = "\n      - ".join([f"{rule}\n        when: '{when}'", *others])
    return NATIVE.replace("allow: {tools: [echo]}", rules)


def does_something(text):
    """Tell whether any item of any kind is judged otherwise than it would be without the file's first rule."""
    loaded, without = settings(text), Reason.ALLOWED if EVERYTHING in text else Reason.NO_RULE
    items = [Item(kind, name) for kind, name in product(Kind, NAMES)]
    return any(
        reason(loaded, principal(roles=roles), item, arguments={}) is not without
        for item, roles in product(items, ((), ("x",)))
    )


@pytest.mark.parametrize(("rule", "when", "does"), NEVER)
def test_a_condition_that_never_holds_for_what_its_rule_names_is_found_and_the_rule_does_nothing(
    rule, when, does
):
    text = with_rule(rule, when)

    says = (
        f"can never hold for what the rule names, so the rule never {does} (correct it, or remove the rule)"
    )
    assert ([f"FILE:11: servers.files.rules[0].when: {says}"] if does else []) == warnings(text)
    assert (does is None) is does_something(text)


def test_an_args_condition_that_never_holds_is_found_too():
    (found,) = warnings(NATIVE + "        args: mcp.tool.name == 'b' && args.x == 1\n")

    assert found.startswith("FILE:11: servers.files.rules[0].args: can never hold")


@pytest.mark.parametrize(
    "others", ["", "      - allow: {tools: [t1_x, u]}\n", "      - deny: {tools: [t1_x]}\n"]
)
def test_what_it_costs_to_look_for_such_rules_grows_with_the_names_and_not_with_their_square(
    others, monkeypatch
):
    tried = []
    matches = Pattern.matches
    monkeypatch.setattr(Pattern, "matches", lambda self, name: tried.append(name) or matches(self, name))
    names = ", ".join(f"'*t{number}_*'" for number in range(900))

    assert [] == warnings(NATIVE.replace("[echo]", f"[{names}]") + others)

    assert len(tried) <= 5 * 900

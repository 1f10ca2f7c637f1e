from authz.config.cel.tree import parse
from authz.core.mcp.item import Item, Kind
from authz.core.policy.rule import DenialStyle, Effect
from tests.config.native.test_model import EVERYTHING
from tests.support.policy_files import NATIVE, problems, settings


def test_every_key_of_a_rule_reaches_the_rule():
    (server,) = settings(EVERYTHING).directory.servers
    rule, deny = server.policy.rules

    assert ("readers", Effect.ALLOW, True, DenialStyle.HTTP, True) == (
        rule.name,
        rule.effect,
        rule.shadow,
        rule.denial,
        rule.hide,
    )
    assert ({"files:read"}, {"a", "b"}, {"admin"}) == (rule.scopes, rule.any_scopes, rule.roles)
    assert ('client == "cli"', "args.n == 1") == (rule.when.text, rule.args.text)
    assert [True, True, False, True, True, False] == [
        rule.selector.selects(item)
        for item in (
            Item(Kind.TOOL, "list_files"),
            Item(Kind.PROMPT, "hello"),
            Item(Kind.PROMPT, "echo"),
            Item(Kind.RESOURCE, "file:///a"),
            Item(Kind.TASK, "any"),
            Item(Kind.TOOL, "secret"),
        )
    ]
    assert ("rule-2", Effect.DENY) == (deny.name, deny.effect)


def test_equal_conditions_of_a_server_are_one_expression():
    text = NATIVE + "        when: client == 'cli'\n      - {allow: {tools: [b]}, when: client == 'cli'}\n"
    text += "      - {allow: {tools: [c]}, when: client == 'other'}\n"
    (server,) = settings(text).directory.servers
    first, second, third = (rule.when for rule in server.policy.rules)

    assert first is second
    assert first is not third


def test_an_expression_that_may_read_arguments_as_args_may_not_as_when():
    text = NATIVE + "        args: args.n == 1\n        when: args.n == 1\n"

    assert [
        "FILE:12: servers.files.rules[0].when: reads args, which only `args` may (line 1, column 1 of the expression)"
    ] == problems(text)


def test_two_rules_with_one_name_are_a_problem_at_the_second():
    text = NATIVE.replace("- allow", "- name: a\n        allow") + "      - {name: a, deny: {tools: [x]}}\n"

    assert ["FILE:12: servers.files.rules[1].name: two rules are named a (rename one)"] == problems(text)


def test_a_text_is_parsed_once_however_many_rules_and_servers_repeat_it_and_the_lint_parses_none_again():
    rules = "".join(
        f"      - {{allow: {{tools: [t{n}]}}, when: 'has(jwt.team) && jwt.team == \"t{n % 100}\"'}}\n"
        for n in range(300)
    )
    one = NATIVE + rules
    server = NATIVE[NATIVE.index("  files:") :].replace("files:", "other:", 1).replace("/mcp", "/other")
    before = parse.cache_info().misses

    settings(one + server + rules)

    assert 100 == parse.cache_info().misses - before

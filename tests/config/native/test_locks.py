"""The lock that a server names: read with the policy, warned about by it, and part of what names it in records."""

import pytest

from authz.config.load import load
from authz.config.lock_file import LockFile
from authz.config.problems import ConfigError
from authz.core.mcp.item import Item, Kind, ListName
from authz.core.policy.expression import WORST_CASE
from authz.core.policy.lock import OnChange
from authz.core.policy.rule import Misfit
from authz.core.reasons import Reason
from authz.tools.catalogue import Catalogue
from authz.tools.lock.document import locked_items, render_lock
from tests.support import core
from tests.support.policy_files import NATIVE

ECHO = {
    "name": "echo",
    "description": "Say ${HOME}\nagain",
    "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}},
    "annotations": {"readOnlyHint": True, "openWorldHint": False, "destructiveHint": "maybe"},
}
LOCK = "    lock: {file: tools.lock}\n"


def lock_text(*catalogues):
    return render_lock(LockFile(server="http://x/mcp", made={}, items=locked_items(catalogues)))


def tools(*items, era="legacy"):
    return Catalogue(era, {ListName.TOOLS: list(items)})


def loaded(folder, keys=LOCK, text=None, policy=NATIVE):
    (folder / "tools.lock").write_text(lock_text(tools(ECHO)) if text is None else text)
    file = folder / "policy.yaml"
    file.write_text(policy.replace("    rules:", keys + "    rules:"))
    return load(str(file), environment={})


def lock_of(settings):
    return settings.directory.servers[0].lock


BY_HINT = NATIVE.replace("- allow: {tools: [echo]}", "- {allow: {tools: [echo]}, when: tool.readOnly}")


def hints_of(settings):
    """Give the annotations that the first rule's condition sees."""
    return settings.directory.servers[0].policy.rules[0].when.hints


def refused(folder, **parts):
    with pytest.raises(ConfigError) as caught:
        loaded(folder, **parts)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def test_a_lock_says_what_was_approved(tmp_path):
    lock = lock_of(loaded(tmp_path))

    assert {(ListName.TOOLS, "echo")} == set(lock.items)
    assert (OnChange.HIDE, False, 86_400.0) == (lock.on_change, lock.allow_unlisted, lock.keep_seconds)
    assert Reason.ITEM_NOT_LOCKED is lock.refusal(Item(Kind.TOOL, "other"), lambda _: False)


def test_its_settings_stand_beside_the_file(tmp_path):
    keys = "    lock: {file: tools.lock, changed: report, unlisted: allow, keep_seconds: 60}\n"
    lock = lock_of(loaded(tmp_path, keys))

    assert (OnChange.REPORT, True, 60.0) == (lock.on_change, lock.allow_unlisted, lock.keep_seconds)


def test_a_server_without_one_is_not_held_to_any(tmp_path):
    assert lock_of(loaded(tmp_path, "")) is None


def test_an_annotation_that_is_missing_or_no_boolean_counts_as_the_worst_case(tmp_path):
    assert {"readOnly": True, "destructive": True, "idempotent": False, "openWorld": False} == dict(
        hints_of(loaded(tmp_path, policy=BY_HINT))["echo"]
    )


def test_where_two_eras_differ_either_form_is_approved_and_the_worse_annotation_counts(tmp_path):
    other = {**ECHO, "annotations": {"readOnlyHint": False}}
    text = lock_text(tools(ECHO), tools(other, era="modern"))
    settings = loaded(tmp_path, text=text, policy=BY_HINT)

    assert [2] == [len(digests) for digests in lock_of(settings).items.values()]
    assert WORST_CASE == hints_of(settings)["echo"]


def test_the_lock_is_one_of_the_files_that_are_watched_and_counts_in_the_policys_digest(tmp_path):
    before = loaded(tmp_path)
    after = loaded(tmp_path, text=lock_text(tools({**ECHO, "title": "Echo"})))

    assert str(tmp_path / "tools.lock") in before.read
    assert before.digest != after.digest
    assert {"files": str(tmp_path / "tools.lock")} == before.locks


def test_arguments_are_checked_only_where_the_policy_asks_for_it(tmp_path):
    call = Item(Kind.TOOL, "echo"), {"n": "x"}

    assert lock_of(loaded(tmp_path)).misfit(*call) is None
    assert Misfit("/n", "type") == lock_of(loaded(tmp_path, LOCK + "    arguments: locked\n")).misfit(*call)


def test_extra_deny_closes_the_schemas(tmp_path):
    lock = lock_of(loaded(tmp_path, LOCK + "    arguments: locked\n    extra: deny\n"))

    assert Misfit("", "additionalProperties") == lock.misfit(Item(Kind.TOOL, "echo"), {"more": 1})


def test_a_rule_that_allows_a_tool_that_the_lock_does_not_have_is_a_warning(tmp_path):
    settings = loaded(tmp_path, policy=NATIVE.replace("[echo]", "[echo, gone, x_*]"))

    assert ["the lock tools.lock has no tool gone, so this allows nothing"] == [
        warning.message for warning in settings.warnings
    ]


MISTAKES = {
    "no file": (
        {"keys": "    lock: {file: other.lock}\n"},
        "other.lock: cannot be read: No such file or directory",
    ),
    "arguments without a lock": ({"keys": "    arguments: locked\n"}, "arguments: locked needs a lock"),
    "extra without arguments": ({"keys": LOCK + "    extra: deny\n"}, "write arguments: locked"),
    "no lock": ({"text": "a: 1\n"}, "not a lock of version 1"),
    "another version": ({"text": "lock: 2\n"}, "tools.lock:1: lock: not a lock of version 1"),
    "not YAML": ({"text": "lock: ["}, "not valid YAML"),
    "a list": ({"text": "[]"}, "not a lock file"),
    "an unknown list": ({"text": "lock: 1\ntoolz: []\n"}, "tools.lock:2: toolz: unknown key"),
    "an edited block": (
        {"text": lock_text(tools(ECHO)).replace("again", "and again")},
        "the digest of echo is not that of its content: the block was edited",
    ),
    "a block twice": ({"text": "lock: 1\ntools: [{name: a}, {name: a}]\n"}, "a stands twice in tools"),
    "no name": ({"text": "lock: 1\ntools: [{title: a}]\n"}, "an item without name"),
    "a schema that cannot be used": (
        {
            "keys": LOCK + "    arguments: locked\n",
            "text": lock_text(tools({"name": "a", "inputSchema": {"$ref": "https://example.com/s"}})),
        },
        "servers.files.arguments: the input schema of a (tools.lock:7) cannot be used",
    ),
}


@pytest.mark.parametrize(("parts", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_what_cannot_be_used_is_named_with_its_file_and_key(tmp_path, parts, expected):
    assert expected in "\n".join(refused(tmp_path, **parts))


RULED = "      - allow: {tools: [echo]}"
SAFE = {"name": "safe", "annotations": {"readOnlyHint": True, "destructiveHint": False}}
WIPE = {"name": "wipe", "annotations": {"destructiveHint": True}}
BARE = {"name": "bare"}
OPEN = "    lock: {file: tools.lock, unlisted: allow}\n"


def verdict(folder, rule, tool, arguments=None):
    """Give the verdict on a call of a tool, under a policy of this rule."""
    policy = NATIVE.replace(RULED, f"      - {rule}")
    settings = loaded(folder, OPEN, text=lock_text(tools(ECHO, SAFE, WIPE, BARE)), policy=policy)
    (server,) = settings.directory.servers
    return server.judge(core.context(arguments=arguments or {}), Item(Kind.TOOL, tool))


SELECTED = [
    ("allow: {tools: {readOnly: true}}", {"echo", "safe"}),
    ("allow: {tools: {readOnly: false}}", {"wipe", "bare", "unlisted"}),
    ("allow: {tools: {destructive: false}}", {"safe"}),
    ("allow: {tools: {readOnly: true, openWorld: false}}", {"echo"}),
    ("{allow: {tools: ['*']}, when: tool.readOnly && !tool.destructive}", {"safe"}),
    ("{allow: {tools: {readOnly: true}}, when: server == 'other'}", set()),
    ("{allow: {tools: ['*']}, when: tool.idempotent}", set()),
]


@pytest.mark.parametrize(("rule", "allowed"), SELECTED)
def test_tools_are_selected_by_what_the_lock_says_and_by_the_worst_case_elsewhere(tmp_path, rule, allowed):
    names = ("echo", "safe", "wipe", "bare", "unlisted")

    assert allowed == {name for name in names if verdict(tmp_path, rule, name).reason is Reason.ALLOWED}


def test_a_rule_can_ask_for_arguments_as_locked_and_the_refusal_says_where(tmp_path):
    rule = "{allow: {tools: [echo, unlisted]}, arguments: locked}"
    asked = (("echo", {"n": 1}), ("echo", {"n": "x"}), ("unlisted", {}))
    fits, unfit, unknown = (verdict(tmp_path, rule, *call) for call in asked)

    assert [Reason.ALLOWED, Reason.ARGS_NOT_ALLOWED, Reason.ARGS_NOT_ALLOWED] == [
        each.reason for each in (fits, unfit, unknown)
    ]
    assert (Misfit("/n", "type"), Misfit("", "locked")) == (unfit.misfit, unknown.misfit)


def test_a_deny_with_locked_arguments_denies_what_does_not_fit(tmp_path):
    rule = "allow: {tools: ['*']}\n      - {deny: {tools: [echo]}, arguments: locked, args: args.n == 7}"

    assert Reason.RULE_ERROR is verdict(tmp_path, rule, "echo", {"n": "x"}).reason
    assert Reason.ALLOWED is verdict(tmp_path, rule, "echo", {"n": 1}).reason


WITHOUT = {
    "annotations": ("allow: {tools: {readOnly: true}}", "rules[0].allow.tools: this server has no lock"),
    "arguments": ("{allow: {tools: [a]}, arguments: locked}", "rules[0].arguments: this server has no lock"),
    "nothing": (
        "allow: {tools: {}}",
        "selects nothing: write readOnly, destructive, idempotent or openWorld",
    ),
    "a word of another kind": ("{allow: {tools: [a]}, arguments: open}", "rules[0].arguments: "),
}


@pytest.mark.parametrize(("rule", "expected"), WITHOUT.values(), ids=WITHOUT)
def test_what_needs_a_lock_is_refused_without_one(tmp_path, rule, expected):
    found = refused(tmp_path, keys="", policy=NATIVE.replace(RULED, f"      - {rule}"))

    assert expected in "\n".join(found)


def test_reading_annotations_without_a_lock_is_a_warning(tmp_path):
    rule = "      - {allow: {tools: [echo]}, when: tool.readOnly}"
    settings = loaded(tmp_path, "", policy=NATIVE.replace(RULED, rule))

    assert ["this server has no lock, so every tool counts as the worst case"] == [
        warning.message for warning in settings.warnings
    ]


def test_arguments_of_a_tool_that_passes_unlisted_fit_no_schema_and_those_of_a_prompt_need_none(tmp_path):
    lock = lock_of(loaded(tmp_path, OPEN + "    arguments: locked\n"))

    assert Misfit("", "locked") == lock.misfit(Item(Kind.TOOL, "unlisted"), {})
    assert lock.misfit(Item(Kind.PROMPT, "echo"), {"n": "x"}) is None


def test_a_prompt_has_no_annotations_of_a_tool_of_its_name(tmp_path):
    rule = "      - {allow: {tools: [echo], prompts: [echo]}, when: tool.readOnly}"
    (server,) = loaded(tmp_path, OPEN, policy=NATIVE.replace(RULED, rule)).directory.servers
    reasons = [server.judge(core.context(), Item(kind, "echo")).reason for kind in (Kind.TOOL, Kind.PROMPT)]

    assert [Reason.ALLOWED, Reason.NO_RULE] == reasons


def test_tools_by_their_annotations_stand_in_a_rule_of_their_own(tmp_path):
    rule = "      - deny: {tools: {destructive: true}, prompts: [hello]}"
    found = refused(tmp_path, policy=NATIVE.replace(RULED, rule))

    assert "tools by their annotations stand in a rule of their own" in "\n".join(found)


def test_the_schemas_of_a_lock_are_compiled_once_for_all_rules_that_ask_for_them(tmp_path):
    rules = "\n".join(
        f"      - {{name: r{n}, allow: {{tools: [echo]}}, arguments: locked}}" for n in range(3)
    )
    (server,) = loaded(
        tmp_path, LOCK + "    arguments: locked\n", policy=NATIVE.replace(RULED, rules)
    ).directory.servers

    assert {id(server.lock.arguments)} == {id(rule.locked) for rule in server.policy.rules}


def test_two_servers_with_locks_of_their_own_read_their_own_annotations_in_one_text(tmp_path):
    (tmp_path / "other.lock").write_text(lock_text(tools({"name": "echo"})))
    both = BY_HINT.replace("    rules:", LOCK + "    rules:")
    second = both.partition("servers:\n")[2].replace("  files:", "  other:").replace("/mcp\n", "/other\n")
    policy = tmp_path / "policy.yaml"
    (tmp_path / "tools.lock").write_text(lock_text(tools(ECHO)))
    policy.write_text(both + second.replace("tools.lock", "other.lock"))
    servers = load(str(policy), environment={}).directory.servers
    reasons = [server.judge(core.context(), Item(Kind.TOOL, "echo")).reason for server in servers]

    assert [Reason.ALLOWED, Reason.NO_RULE] == reasons

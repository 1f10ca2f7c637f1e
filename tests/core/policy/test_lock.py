"""What a lock says about an item, and what is remembered of the items that changed."""

import pytest

from authz.config.native.locks import template_patterns
from authz.core.mcp.item import Item, Kind, ListName, Template
from authz.core.policy.lock import Lock, LockedArguments, LockOutcome, OnChange
from authz.core.policy.rule import Misfit
from authz.core.policy.sightings import UNREADABLE, Sightings
from authz.core.reasons import Reason

ECHO = (ListName.TOOLS, "echo")
FILES = (ListName.TEMPLATES, "file:///{+path}")
PUBLIC = (ListName.TEMPLATES, "file:///public/{name}")
README = (ListName.RESOURCES, "file:///readme")
README_SKILL = (ListName.SKILLS, "file:///readme")
ITEMS = {
    ECHO: frozenset({"A"}),
    (ListName.PROMPTS, "hello"): frozenset({"P"}),
    README: frozenset({"R"}),
    README_SKILL: frozenset({"S"}),
    FILES: frozenset({"F"}),
    PUBLIC: frozenset({"U"}),
}


def lock(**more):
    return Lock(digest="d", items=ITEMS, templates=template_patterns(ITEMS), **more)


def refusal(kind, name, changed=(), **more):
    return lock(**more).refusal(Item(kind, name), lambda key: key in changed)


REFUSALS = [
    (None, Kind.TOOL, "echo", ()),
    (Reason.ITEM_CHANGED, Kind.TOOL, "echo", (ECHO,)),
    (Reason.ITEM_NOT_LOCKED, Kind.TOOL, "other", ()),
    (Reason.ITEM_NOT_LOCKED, Kind.TOOL, "hello", ()),
    (Reason.ITEM_NOT_LOCKED, Kind.TOOL, "Echo", ()),
    (None, Kind.PROMPT, "hello", (ECHO,)),
    (None, Kind.RESOURCE, "file:///readme", (FILES,)),
    (Reason.ITEM_CHANGED, Kind.RESOURCE, "file:///readme", (README,)),
    (Reason.ITEM_CHANGED, Kind.RESOURCE, "file:///readme", (README_SKILL,)),
    (None, Kind.RESOURCE, "file:///x/y", ()),
    (Reason.ITEM_CHANGED, Kind.RESOURCE, "file:///x/y", (FILES,)),
    (None, Kind.RESOURCE, "file:///x/y", (PUBLIC,)),
    (Reason.ITEM_CHANGED, Kind.RESOURCE, "file:///public/x", (PUBLIC,)),
    (Reason.ITEM_CHANGED, Kind.RESOURCE, "file:///public/x", (FILES,)),
    (None, Kind.RESOURCE, "file:///{+path}", ()),
    (Reason.ITEM_NOT_LOCKED, Kind.RESOURCE, "https://x", ()),
    (None, Kind.TASK, "any", ()),
]


@pytest.mark.requirement("reason.item_changed", "reason.item_not_locked")
@pytest.mark.parametrize(("expected", "kind", "name", "changed"), REFUSALS)
def test_an_item_is_refused_if_it_is_not_in_the_lock_or_was_seen_changed(expected, kind, name, changed):
    assert expected is refusal(kind, name, changed)


def test_a_template_is_approved_by_itself_and_by_no_other_that_its_text_matches():
    own, other = (Template(Kind.RESOURCE, f"file:///{expression}") for expression in ("{+path}", "{evil}"))

    assert lock().refusal(own, lambda _: False) is None
    assert Reason.ITEM_NOT_LOCKED is lock().refusal(other, lambda _: False)


def test_unlisted_items_pass_where_the_lock_says_so_and_changed_ones_do_not():
    assert refusal(Kind.TOOL, "other", allow_unlisted=True) is None
    assert Reason.ITEM_CHANGED is refusal(Kind.TOOL, "echo", (ECHO,), allow_unlisted=True)


@pytest.mark.parametrize("mode", OnChange)
def test_a_changed_item_is_refused_unless_changes_are_only_reported(mode):
    expected = None if mode is OnChange.REPORT else Reason.ITEM_CHANGED

    assert expected is refusal(Kind.TOOL, "echo", (ECHO,), on_change=mode)


def test_what_a_policy_and_a_metric_call_things_is_published():
    assert ["hide", "refuse", "report"] == list(OnChange)
    assert ["equal", "changed", "unlisted"] == list(LockOutcome)


LISTED = [
    (True, LockOutcome.EQUAL, {}),
    (False, LockOutcome.CHANGED, {}),
    (False, LockOutcome.CHANGED, {"on_change": OnChange.REFUSE}),
    (True, LockOutcome.CHANGED, {"on_change": OnChange.REPORT}),
    (False, LockOutcome.CHANGED, {"allow_unlisted": True}),
    (False, LockOutcome.UNLISTED, {}),
    (False, LockOutcome.UNLISTED, {"on_change": OnChange.REPORT}),
    (True, LockOutcome.UNLISTED, {"allow_unlisted": True}),
]


@pytest.mark.parametrize(("expected", "outcome", "terms"), LISTED)
def test_an_entry_of_a_list_passes_as_it_was_approved_or_as_the_policy_lets_it(expected, outcome, terms):
    assert expected is lock(**terms).lists(outcome)


def test_a_change_is_remembered_for_a_day_unless_the_policy_says_otherwise():
    assert 86_400.0 == lock().keep_seconds


class Fitting:
    """A schema that only these arguments fit."""

    def __init__(self, fit):
        self.fit = fit

    def misfit(self, arguments):
        return None if arguments == self.fit else Misfit("/a", "const")


CHECKED = LockedArguments({"echo": Fitting({"a": 1})})
NO_SCHEMA = Misfit("", "locked")
ARGUMENTS = [
    (None, Kind.TOOL, "echo", {"a": 1}),
    (Misfit("/a", "const"), Kind.TOOL, "echo", {"a": 2}),
    (NO_SCHEMA, Kind.TOOL, "other", {"a": 1}),
]


@pytest.mark.parametrize(("expected", "kind", "name", "arguments"), ARGUMENTS)
def test_arguments_fit_the_schema_of_their_tool_or_none(expected, kind, name, arguments):
    assert expected == CHECKED.misfit(Item(kind, name), arguments)
    assert expected == lock(arguments=CHECKED).misfit(Item(kind, name), arguments)


def test_only_a_tools_arguments_are_checked_by_the_lock_and_only_where_it_checks_any():
    assert lock(arguments=CHECKED).misfit(Item(Kind.PROMPT, "echo"), {"a": 2}) is None
    assert lock().misfit(Item(Kind.TOOL, "echo"), {"a": 2}) is None


def test_a_rule_about_locked_arguments_holds_for_nothing_but_tools():
    assert NO_SCHEMA == CHECKED.misfit(Item(Kind.PROMPT, "echo"), {"a": 1})
    assert "the input schema in the lock" == CHECKED.text


def test_only_a_resource_is_approved_by_a_template():
    assert Reason.ITEM_NOT_LOCKED is refusal(Kind.TOOL, "file:///x/y")


@pytest.fixture
def clock():
    return [1000.0]


@pytest.fixture
def told():
    return []


@pytest.fixture
def sightings(clock, told):
    return Sightings(lambda: clock[0], lambda *what: told.append(what))


def test_a_change_is_told_once_and_its_end_once(sightings, told):
    seen = [sightings.note("s", lock(), ECHO, digest) for digest in ("A", "B", "B", "C", "A", "A")]

    assert [str(outcome) for outcome in seen] == ["equal", "changed", "changed", "changed", "equal", "equal"]
    assert [("s", ECHO, "B"), ("s", ECHO, "C"), ("s", ECHO, None)] == told


def test_a_change_that_lists_go_on_showing_is_told_again_before_others_forget_it(sightings, told, clock):
    for _ in range(5):
        sightings.note("s", lock(keep_seconds=60), ECHO, "B")
        clock[0] += 15

    assert [("s", ECHO, "B")] * 3 == told


def test_what_was_seen_is_about_one_server(sightings):
    sightings.note("s", lock(), ECHO, "B")

    assert (True, False) == (sightings.changed("s", lock(), ECHO), sightings.changed("other", lock(), ECHO))


def test_renewing_the_lock_settles_a_change_without_another_list(sightings):
    sightings.note("s", lock(), ECHO, "B")
    renewed = Lock(digest="e", items={ECHO: frozenset({"B"})})

    assert not sightings.changed("s", renewed, ECHO)


def test_a_change_that_no_list_shows_again_is_forgotten_after_its_time(sightings, clock):
    sightings.note("s", lock(keep_seconds=60), ECHO, "B")
    clock[0] += 60
    assert sightings.changed("s", lock(keep_seconds=60), ECHO)
    clock[0] += 1
    assert not sightings.changed("s", lock(keep_seconds=60), ECHO)


def test_what_has_no_digest_was_never_approved(sightings):
    assert LockOutcome.CHANGED is sightings.note("s", lock(), ECHO, UNREADABLE)
    assert sightings.changed("s", lock(), ECHO)


def test_what_no_lock_names_is_neither_remembered_nor_kept(sightings):
    unlisted = (ListName.TOOLS, "other")
    assert LockOutcome.UNLISTED is sightings.note("s", lock(), unlisted, "B")
    sightings.note("s", lock(), ECHO, "B")
    sightings.keep_only({"s": Lock(digest="e", items={})})

    assert [] == sightings.all()


def test_what_locks_still_name_is_kept_and_nothing_else(sightings):
    other = (ListName.PROMPTS, "hello")
    for server in ("kept", "gone"):
        for key in (ECHO, other):
            sightings.note(server, lock(), key, "B")
    sightings.keep_only({"kept": Lock(digest="e", items={ECHO: frozenset({"A"})})})

    assert [("kept", ECHO, "B")] == sightings.all()
    assert [("kept", ECHO)] == list(sightings._told)


def test_what_others_saw_is_dropped_with_the_lock_that_named_it(sightings):
    sightings.learn("s", ECHO, "B")
    sightings.keep_only({})

    assert [] == sightings.all()


def test_a_change_is_not_told_again_before_half_of_its_time(sightings, told, clock):
    counts = []
    for seconds in (0, 29, 1):
        clock[0] += seconds
        sightings.note("s", lock(keep_seconds=60), ECHO, "B")
        counts.append(len(told))

    assert [1, 1, 2] == counts


def test_a_change_that_was_forgotten_is_nowhere(sightings, clock):
    sightings.note("s", lock(keep_seconds=60), ECHO, "B")
    clock[0] += 61

    assert not sightings.changed("s", lock(keep_seconds=60), ECHO)
    assert [] == sightings.all()


def test_what_has_no_digest_is_told_to_others_as_none():
    assert "" == UNREADABLE


def test_what_another_worker_saw_counts_like_an_own_sighting(sightings, told):
    sightings.learn("s", ECHO, "B")
    assert sightings.changed("s", lock(), ECHO)
    sightings.learn("s", ECHO, None)
    assert not sightings.changed("s", lock(), ECHO)
    assert [] == told

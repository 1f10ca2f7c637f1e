"""A list that is known as a whole is treated as one whose every item is compared: what passes, what is noted, what is counted.

Two worlds go through the same events. One remembers lists, as the service does; the other reads and compares each anew.
"""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.core.identity.principal import Caller
from authz.core.mcp.definition import digest_of
from authz.core.mcp.item import Item, Kind, ListName
from authz.core.mcp.methods import USES
from authz.core.policy.context import EvaluationContext
from authz.core.policy.lock import Lock, OnChange
from authz.core.policy.sightings import Sightings
from authz.core.request import HttpRequest
from authz.core.response import item_reader
from authz.core.response.context import ResponseContext
from authz.core.response.list_filter import filter_in_slices
from authz.core.response.recognition import Recognition
from authz.core.servers import Server
from authz.core.wire.bounded_cache import BoundedCache
from authz.core.wire.slices import whole
from tests.support.core import principal, rule, server

CALM = [{"name": "aa", "description": "1"}, {"name": "bb", "description": "2"}]
EVIL = [{"name": "aa", "description": "9"}, {"name": "bb", "description": "2"}]
OTHER = [{"name": "aa", "description": "1"}, {"name": "cc", "description": "2"}]
LISTS = [CALM, EVIL, OTHER, CALM[:1]]
KEYS = [(ListName.TOOLS, name) for name in ("aa", "bb")]
SERVERS = ("s", "t")
LONG = 100.0


def lock_of(*approved, **more):
    """Make a lock that approves the items of some lists."""
    items = {}
    for listed in approved:
        for item in listed:
            items.setdefault((ListName.TOOLS, item["name"]), set()).add(digest_of(item))
    frozen = {key: frozenset(digests) for key, digests in items.items()}
    return Lock(digest="d", items=frozen, keep_seconds=LONG, **more)


LOCKS = [
    lock_of(CALM),
    lock_of(EVIL),
    lock_of(CALM, EVIL),
    lock_of(CALM, on_change=OnChange.REFUSE),
    lock_of(CALM, on_change=OnChange.REPORT),
    lock_of(CALM, allow_unlisted=True),
    lock_of(CALM[:1], allow_unlisted=True),
]


class World:
    """One process: what it remembers of changes, and what it counts."""

    def __init__(self, lists):
        self.now, self.lists = 0.0, lists
        self.counts, self.told = Counter(), []
        self.sightings = Sightings(lambda: self.now, lambda *told: self.told.append(told))
        self.recognition = Recognition(
            self.sightings, lambda name, outcome, number: self.counts.update({(name, outcome): number})
        )

    def listed(self, name, listed, lock):
        protected = server(rule("allow", "aa", "cc"), rule("allow", "b*", name="more"), name=name, lock=lock)
        caller, request = (
            Caller.of(principal(), name),
            HttpRequest(method="POST", host="", path="", headers={}),
        )
        context = ResponseContext(
            server=protected,
            caller=caller,
            uses={kind: EvaluationContext(caller, request, method, None) for kind, method in USES.items()},
            remaining_ms=5,
            changed=self.sightings.changed,
            recognition=self.recognition,
        )
        result = {"jsonrpc": "2.0", "id": 1, "result": {"tools": listed}}
        document = json.dumps(result, separators=(",", ":")).encode()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(item_reader, "LATELY", self.lists)
            slices = filter_in_slices(document, context.visible, ttl_ms=None, recognise=context.recognise)
            return repr(whole(slices))

    def state(self):
        return self.counts, sorted(self.sightings.all()), self.told


EVENTS = st.one_of(
    st.tuples(st.just("list"), st.sampled_from(SERVERS), st.sampled_from(LISTS)),
    st.tuples(st.just("lock"), st.sampled_from(SERVERS), st.sampled_from(LOCKS)),
    st.tuples(
        st.just("learn"),
        st.sampled_from(SERVERS),
        st.tuples(st.sampled_from(KEYS), st.sampled_from(["x", digest_of(CALM[0]), None])),
    ),
    st.tuples(st.just("wait"), st.sampled_from(SERVERS), st.sampled_from([LONG / 3, LONG + 1])),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(EVENTS, min_size=4, max_size=24))
def test_a_list_that_is_known_as_a_whole_changes_nothing_but_the_time_it_takes(events):
    fast, plain = World(BoundedCache(8)), World(BoundedCache(0))
    locks = dict.fromkeys(SERVERS, LOCKS[0])
    for kind, name, what in events:
        if kind == "lock":
            locks[name] = what
        elif kind == "list":
            assert plain.listed(name, what, locks[name]) == fast.listed(name, what, locks[name])
        for world in (fast, plain):
            if kind == "learn":
                world.sightings.learn(name, *what)
            elif kind == "wait":
                world.now += what

    assert plain.state() == fast.state()


def test_items_of_a_known_list_are_neither_written_out_nor_digested_again():
    world = World(BoundedCache(8))
    world.listed("s", CALM, LOCKS[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recognition, "digest", None)
        first = world.listed("s", CALM, LOCKS[0])

    assert "kept=2, trimmed=0" in first
    assert {("s", "equal"): 4} == world.counts


@pytest.mark.parametrize(
    "event",
    [
        lambda world: world.sightings.learn("s", KEYS[0], "x"),
        lambda world: world.listed("s", EVIL, LOCKS[0]),
    ],
    ids=["another worker saw a change", "this one saw a change"],
)
def test_a_change_that_was_seen_ends_it_until_the_item_is_as_approved_again(event):
    world = World(BoundedCache(8))
    known = world.listed("s", CALM, LOCKS[0])
    event(world)

    assert not world.sightings.is_quiet("s")
    assert world.sightings.is_quiet("t")
    assert known == world.listed("s", CALM, LOCKS[0])
    assert world.sightings.is_quiet("s")


NAMES = ("tool_a", "tool_b")


def seen_by(sightings, *locked):
    """Give the context of a reader whom one rule, which is known for all of them, allows the tools of a server with a lock."""
    items = {(ListName.TOOLS, name): frozenset({"approved"}) for name in locked}
    everything = rule("allow", "tool_*")
    protected = server(everything, name="s", lock=Lock(digest="d", items=items))
    for name in NAMES:
        protected.policy.about(Item(Kind.TOOL, name))
    caller = Caller.of(principal(), "s")
    request = HttpRequest(method="POST", host="", path="", headers={})
    return ResponseContext(
        server=protected,
        caller=caller,
        uses={kind: EvaluationContext(caller, request, method, None) for kind, method in USES.items()},
        remaining_ms=5,
        changed=sightings.changed,
        recognition=Recognition(sightings),
    )


@pytest.mark.parametrize("order", [NAMES, NAMES[::-1]])
def test_what_one_rule_says_of_a_locked_item_is_not_taken_for_one_that_is_not_locked(order):
    context = seen_by(Sightings(lambda: 0.0), NAMES[0])

    assert [name == NAMES[0] for name in order] == [context.visible(Item(Kind.TOOL, name)) for name in order]


@pytest.mark.parametrize("order", [NAMES, NAMES[::-1]])
def test_what_one_rule_says_of_an_approved_item_is_not_taken_for_one_that_changed(order):
    sightings = Sightings(lambda: 0.0)
    context = seen_by(sightings, *NAMES)
    sightings.learn("s", (ListName.TOOLS, NAMES[1]), "another")

    assert [name == NAMES[0] for name in order] == [context.visible(Item(Kind.TOOL, name)) for name in order]


def test_what_one_rule_says_of_approved_items_is_asked_once():
    context = seen_by(Sightings(lambda: 0.0), *NAMES)
    with pytest.MonkeyPatch.context() as patch:
        asked = []
        judge = Server.judge
        patch.setattr(Server, "judge", lambda *given: asked.append(given) or judge(*given))

        assert [True, True] == [context.visible(Item(Kind.TOOL, name)) for name in NAMES]
    assert 1 == len(asked)

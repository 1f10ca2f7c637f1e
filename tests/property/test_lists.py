"""However a list is read, in one step or member by member, taken out of its message or opened with it, it is judged alike.

Cost is counted in calls of functions, so the bounds hold on every machine.
"""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from authz.core.mcp.definition import digest_of
from authz.core.mcp.item import ListName
from authz.core.policy.lock import Lock
from authz.core.policy.sightings import Sightings
from authz.core.response import item_reader, list_filter, message_opener
from authz.core.response.excerpt import MARKED
from authz.core.response.filter_result import ListRejected
from authz.core.response.item_reader import SLICE_ITEMS
from authz.core.response.list_filter import FilterBounds, filter_in_slices, trim
from authz.core.response.recognition import Recognition
from authz.core.wire import width
from authz.core.wire.bounded_cache import BoundedCache
from authz.core.wire.slices import whole
from authz.core.wire.width import LARGE


def visible(item):
    return "hidden" not in item.name


def trimmed(document):
    asked = []
    verdict = trim(document, lambda item: asked.append(item) or visible(item), ttl_ms=5)
    return verdict, asked


def opened_whole(document):
    """Judge without the three short ways."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(list_filter, "is_plain_result", lambda _document, _limit: False)
        patch.setattr(message_opener, "take_out", lambda _: None)
        patch.setattr(item_reader, "_READ", {})
        patch.setattr(item_reader, "LATELY", BoundedCache(0))
        return trimmed(document)


SMALL = {
    item_reader: {"_ONE_STEP": 80, "_SLICE_BYTES": 60, "SLICE_ITEMS": 2, "LARGE": 64, "_KNOWN_ITEMS": 2},
    message_opener: {"LARGE": 64},
    width: {"LARGE": 64, "_SHORT": 200, "_WINDOW": 16, "_LONG_WINDOW": 64},
}


def in_small_parts(document):
    """Judge as a list of megabytes is judged, with every bound so low that a short one goes beyond it."""
    with pytest.MonkeyPatch.context() as patch:
        for module, bounds in SMALL.items():
            for name, bound in bounds.items():
                patch.setattr(module, name, bound)
        patch.setattr(item_reader, "LATELY", BoundedCache(8))
        return trimmed(document)


def mostly(*usual, rarely):
    """Draw what servers send, and now and then what they should not."""
    return st.integers(0, 9).flatmap(lambda lot: st.sampled_from(rarely if lot == 9 else usual))


NAMES = mostly(
    '"a"', '"b"', '"hidden"', '"\\u0061"', '"hidden \\" \\\\"', '"é"', rarely=['""', "1", "null", '"\\ud800"']
)
METAS = mostly(
    "{}",
    '{"k":1}',
    '{"ui":{"resourceUri":"ui://hidden"}}',
    '{"k":"ui://a"}',
    rarely=['{"k":1,"k":2}', '{"UI":{}}', "[]", '{ "a":1}'],
)
VALUES = mostly(
    '"x"',
    "1",
    '[{"name":"hidden"},{"name":"a"}]',
    '{"a":[1,2]}',
    '{"":"\\"}]"}',
    rarely=['"\xff"', "[", "tru"],
)
KEYS = mostly(
    "title",
    "description",
    "inputSchema",
    "arguments",
    "_meta",
    rarely=["x-vendor", "name", "uri", "Name", "\\u006eame", "\\u017fize", "name\\u0000", "title "],
)
GAPS = mostly("", rarely=[" ", "\n"])
MEMBERS = st.sampled_from(
    ["tools", "prompts", "resources", "resourceTemplates", "tasks", "skills", "content"]
)
NAMED_BY = {"resources": "uri", "resourceTemplates": "uriTemplate", "skills": "uri", "tasks": "taskId"}
AROUND = mostly(
    '"nextCursor":"b"',
    '"_meta":{"a":[1,{"b":1}]}',
    '"cacheScope":"public"',
    '"ttlMs":60000',
    '"x":"\\"tools\\":[{"',
    rarely=[
        '"tools":[{"name":"hidden"}]',
        '"Tools":[{"name":"hidden"}]',
        f'"x":{MARKED.decode()}',
        f'"tools":{MARKED.decode()}',
    ],
)


@st.composite
def items(draw, member):
    members = {NAMED_BY.get(member, "name"): draw(NAMES)}
    for key in draw(st.lists(KEYS, max_size=3)):
        members.setdefault(key, draw(METAS if key == "_meta" else VALUES))
    written = [f'"{key}":{value}' for key, value in members.items()]
    written += draw(mostly([], rarely=[written[:1]]))
    return "{" + f",{draw(GAPS)}".join(draw(st.permutations(written))) + "}"


@st.composite
def messages(draw):
    """A message with a list, or with several, nearly always written as a server would."""
    member, gap = draw(MEMBERS), draw(GAPS)
    listed = f",{gap}".join(draw(st.lists(items(member), min_size=1, max_size=4)))
    around = draw(st.lists(AROUND, max_size=2, unique=True))
    result = ",".join(draw(st.permutations([*around, f'"{member}":[{listed}]'])))
    parts = ['"jsonrpc":"2.0"', '"id":1', f'"result":{{{result}}}']
    return ("{" + f",{gap}".join(draw(st.permutations(parts))) + "}").encode()


@st.composite
def damaged(draw):
    """A message of which a piece is missing, doubled or replaced."""
    document = draw(messages())
    start = draw(st.integers(0, len(document)))
    end = min(len(document), start + draw(st.integers(0, 9)))
    between = draw(
        st.sampled_from([b"", document[start:end] * 2, b"\xff", b"}]", b'":[{', b'"', b"\\", MARKED])
    )
    return document[:start] + between + document[end:]


@settings(deadline=None, max_examples=60)
@given(messages() | damaged())
@example(b'{"result":{"x":[{"tools":[{"name":"hidden"}]}],"tools":[{"name":"a"}]}}')
@example(b'{"result":{"tools":[{"name":"hidden"}],"_meta":{"y":[{}]}}}')
@example(b'{"result":{"tools":[{"name":"a"}],"_meta":[{}]}}')
@pytest.mark.requirement("protocol.lists-are-trimmed")
def test_a_list_is_judged_alike_whichever_way_it_is_read(document):
    assert opened_whole(document) == trimmed(document)


@settings(deadline=None, max_examples=60)
@given(messages() | damaged())
@pytest.mark.requirement("protocol.lists-are-trimmed", "security.bounded-bytes")
def test_a_list_is_judged_alike_in_one_piece_and_in_many(document):
    """Which flaw of several a refusal names, and how far it came, depends on the pieces; that it is one does not."""
    (at_once, asked), (pieces, asked_in_pieces) = trimmed(document), in_small_parts(document)

    assert type(at_once) is type(pieces)
    assert isinstance(at_once, ListRejected) or (at_once, set(asked)) == (pieces, set(asked_in_pieces))


@pytest.mark.parametrize("count", [1, SLICE_ITEMS - 1, SLICE_ITEMS, SLICE_ITEMS + 1, 2 * SLICE_ITEMS])
@pytest.mark.parametrize("form", [b'{"name":"%b"}', b'{"name": "%b"}', b'{"x-vendor":1,"name":"%b"}'])
@pytest.mark.parametrize("last", [b"a", b"hidden"])
def test_a_list_of_just_a_slice_or_one_item_more_is_trimmed_alike(count, form, last):
    listed = [form % b"hidden", *[form % b"a"] * (count - 1), form % last]
    document = b'{"id":1,"result":{"tools":[' + b",".join(listed) + b"]}}"
    kept = [each for each in listed if b"hidden" not in each]

    assert b'{"id":1,"result":{"tools":[' + b",".join(kept) + b"]}}" == trimmed(document)[0].document


@pytest.mark.parametrize("form", [b'{"name":"%b","title":"%b"}', b'{"x-vendor":1,"name":"%b","title":"%b"}'])
@pytest.mark.parametrize(
    "sizes",
    [
        (LARGE // 2 - 9000, LARGE - 9000, LARGE),
        (9000, LARGE - 9000, LARGE // 2, LARGE // 2),
        (LARGE // 2, LARGE // 2, LARGE + 9000, 9000),
    ],
)
def test_long_items_that_together_are_a_large_part_of_a_list_are_trimmed_as_short_ones(sizes, form):
    names = [b"a" * (place + 1) for place in range(len(sizes))]
    kept = [form % (name, b"x" * size) for name, size in zip(names, sizes, strict=True)]
    listed = [each for item in kept for each in (item, form % (b"hidden", b""))]
    document = b'{"id":1,"result":{"tools":[' + b",".join(listed) + b"]}}"

    verdict, asked = trimmed(document)

    assert b'{"id":1,"result":{"tools":[' + b",".join(kept) + b"]}}" == verdict.document
    assert len(listed) == len(asked)


APPROVED = {(ListName.TOOLS, "aaaaaa"): frozenset({digest_of({"name": "aaaaaa"})})}
"""What one reader's server has a lock of."""
RECOGNISE = Recognition(Sightings(lambda: 0.0)).by("s", Lock(digest="d", items=APPROVED))

READERS = {
    "sees what is not hidden": {"visible": visible},
    "sees hidden things alone": {"visible": lambda item: not visible(item)},
    "sees everything": {"visible": lambda _item: True},
    "sees nothing": {"visible": lambda _item: False},
    "sees what was approved": {"visible": visible, "recognise": RECOGNISE},
    "may be shown one": {"visible": visible, "bounds": FilterBounds(items=1)},
    "keeps it shortly": {"visible": visible, "ttl_ms": 1},
}
SEEN_AGAIN = [
    b'{"id":1,"result":{"%b":[%b],"ttlMs":5,"cacheScope":"public"}}' % (member, listed)
    for member in (b"tools", b"prompts", b"tasks")
    for listed in (
        b'{"name":"aaaaaa"},{"name":"hidden"}',
        b'{"name":"hidden"},{"name":"aaaaaa"}',
        b'{"name":"aaaaaa"},{"Name":"hidden"}',
        b'{"name":"a","_meta":{"ui":{"resourceUri":"ui://hidden"}}}',
        b'{"name":"b","_meta":{"ui":{"resourceUri":"ui://hidde"}}} ',
    )
]
"""Lists of the same lengths, among which one that is remembered could be taken for another."""


def judged(document, options):
    """Give what one reader gets of a message."""
    return whole(filter_in_slices(document, **{"ttl_ms": None, **options}))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(READERS)), st.sampled_from(SEEN_AGAIN)), min_size=2, max_size=12
    )
)
def test_a_list_that_was_read_for_one_reader_is_judged_anew_for_every_other(asked):
    """What is remembered of a list is what the server wrote; no verdict about it is."""
    for reader, document in asked:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(item_reader, "LATELY", BoundedCache(0))
            alone = judged(document, READERS[reader])

        assert alone == judged(document, READERS[reader])


def test_readers_who_come_in_turn_while_a_list_is_judged_in_slices_get_their_own():
    """The thread is given to another response between two slices, and both have the list from memory."""
    listed = b",".join(
        b'{"name":"%b%d"}' % (b"hidden" if place % 3 else b"a", place) for place in range(1500)
    )
    document = b'{"id":1,"result":{"tools":[' + listed + b"]}}"
    readers = [READERS[name] for name in sorted(READERS) if name != "may be shown one"]
    alone = [judged(document, options) for options in readers]
    running = [filter_in_slices(document, **{"ttl_ms": None, **options}) for options in readers]
    results = {}
    while len(results) < len(running):
        for place, each in enumerate(running):
            if place not in results:
                try:
                    next(each)
                except StopIteration as done:
                    results[place] = done.value

    assert alone == [results[place] for place in range(len(running))]

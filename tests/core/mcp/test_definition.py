"""One digest for every way of writing one definition, and another for every other meaning."""

import json
import random

import pytest

from authz.core.mcp.definition import UnreadableDefinitionError, definition_of, digest_of, read_definition
from tests.support.lock_mutations import spelled

TOOL = {
    "name": "delete_file",
    "title": "Löschen 𝄞",
    "description": "Delete a file.\nIt is gone then.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "filename": {"type": "string", "maxLength": 100},
            "n": {"maximum": 1e21, "minimum": 0.1},
        },
        "required": ["filename"],
        "additionalProperties": False,
    },
    "outputSchema": {"type": "object"},
    "annotations": {"readOnlyHint": False, "destructiveHint": True},
    "icons": [{"src": "https://example.com/a.png", "sizes": ["48x48"]}],
    "_meta": {"ui": {"resourceUri": "ui://a"}, "build": 7},
}
WRITTEN = json.dumps(TOOL).encode()
DIGEST = digest_of(read_definition(WRITTEN))


def test_two_thousand_spellings_of_a_definition_have_its_digest():
    rng = random.Random(17)
    written = (spelled(TOOL, rng).encode() for _ in range(2_000))

    assert {DIGEST} == {digest_of(read_definition(each)) for each in written}


CHANGES = {
    "name": {"name": "delete_fi1e"},
    "title": {"title": "Löschen"},
    "description": {"description": "Delete a file.\nIt is gone then. "},
    "a character that cannot be seen": {"description": "Delete a file.\nIt is\u200b gone then."},
    "a look-alike in the name": {"name": "delеte_file"},  # noqa: RUF001 - it is the point
    "another form of a letter": {"title": "Lo\u0308schen 𝄞"},
    "a parameter": {"inputSchema": {**TOOL["inputSchema"], "properties": {}}},
    "what is required": {"inputSchema": {**TOOL["inputSchema"], "required": []}},
    "a number": {"inputSchema": {**TOOL["inputSchema"], "properties": {"n": {"maximum": 1e22}}}},
    "what the schema leaves open": {"inputSchema": {**TOOL["inputSchema"], "additionalProperties": True}},
    "the result": {"outputSchema": {"type": "array"}},
    "an annotation": {"annotations": {"readOnlyHint": True, "destructiveHint": True}},
    "an annotation that is gone": {"annotations": {"readOnlyHint": False}},
    "an icon": {"icons": [{"src": "https://example.com/b.png", "sizes": ["48x48"]}]},
    "the interface": {"_meta": {"ui": {"resourceUri": "ui://b"}, "build": 7}},
    "an interface by an older name": {"_meta": {**TOOL["_meta"], "ui/resourceUri": "ui://b"}},
    "an interface of another kit": {"_meta": {**TOOL["_meta"], "openai/outputTemplate": "ui://b"}},
    "an interface by a name that nobody knows": {"_meta": {**TOOL["_meta"], "vendor/screen": "UI://b"}},
    "a hint that a client gives its model": {
        "_meta": {**TOOL["_meta"], "anthropic/searchHint": "mail, send"}
    },
    "a member that nobody knows": {"execution": {"taskSupport": "required"}},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_meaning_has_another_digest(change):
    assert digest_of(read_definition(json.dumps({**TOOL, **change}).encode())) != DIGEST


SAME = {
    "a server's note to itself": {"_meta": {**TOOL["_meta"], "build": 8, "vendor/served": "today"}},
    "null for a member that may be left out": {"execution": None},
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_is_no_part_of_the_definition_changes_nothing(change):
    assert digest_of(read_definition(json.dumps({**TOOL, **change}).encode())) == DIGEST


def test_a_number_that_readers_round_differently_is_compared_as_it_is_written():
    one, other = (b'{"name":"a","inputSchema":{"const":%d}}' % (2**53 + n) for n in (1, 2))

    assert digest_of(read_definition(one)) != digest_of(read_definition(other))
    assert digest_of(read_definition(one)) == digest_of(read_definition(one.replace(b":", b" : ")))


AMBIGUOUS = {
    "a key twice": b'{"name":"a","description":"x","description":"y"}',
    "a key twice, far down": b'{"name":"a","inputSchema":{"properties":{"p":{"type":"string","type":"number"}}}}',
    "a key twice by an escape": b'{"name":"a","inputSchema":{"typ\\u0065":"a","type":"b"}}',
    "no object": b'["a"]',
    "not JSON": b'{"name":"a",}',
    "half a character": b'{"name":"\\ud800"}',
    "too deep": b'{"name":"a","x":' + b"[" * 80 + b"]" * 80 + b"}",
    "too long": b'{"name":"a","description":"' + b"\\n" * 50_000 + b'"}',
    "too many values": b'{"name":"a","enum":[' + b"1.5," * 4000 + b"1]}",
    "too many keys": b'{"name":"a"' + b"".join(b',"%d":0' % n for n in range(4001)) + b"}",
}


@pytest.mark.parametrize("document", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_two_readers_could_take_for_two_things_has_no_digest(document):
    with pytest.raises(UnreadableDefinitionError):
        digest_of(read_definition(document))


def test_a_definition_keeps_the_members_in_their_order():
    assert list(definition_of(TOOL)) == list(TOOL)
    assert {"ui": {"resourceUri": "ui://a"}} == definition_of(TOOL)["_meta"]

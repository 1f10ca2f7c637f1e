"""A short run of every target of the fuzzer, the same each time; `make fuzz` is the long one."""

import re
import zlib

import pytest

from tests.fuzz import edges, readers, wire
from tests.fuzz.seeds import MAX_BYTES, mutations

TARGETS = {**wire.TARGETS, **edges.TARGETS}
MUTATIONS = 300


def run(name):
    target = TARGETS[name]
    for data in mutations(target.seeds(), MUTATIONS, zlib.crc32(name.encode())):
        target.check(data)


@pytest.mark.parametrize("name", TARGETS)
def test_the_invariant_holds_for_the_seeds_and_some_hundred_mutations(name):
    run(name)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_has_seeds_of_its_own_from_the_tests(name):
    seeds = TARGETS[name].seeds()

    assert len(seeds) >= 10
    assert len(set(seeds)) > len(seeds) // 2
    assert MAX_BYTES >= max(map(len, seeds))


def raises(*_args, **_kwargs):
    raise KeyError


FAULTS = {
    "json": ("tests.fuzz.wire.strict_json.loads", raises),
    "message": ("authz.core.mcp.message.misleads", lambda *_: False),
    "uri": ("authz.core.mcp.uri._DOT_SEGMENT", re.compile("(?!)")),
    "list": ("authz.core.response.item_reader.ITEM_KEYS", frozenset()),
    "sse": ("authz.core.response.event_stream.with_data", lambda event, _data: event.raw),
    "token": ("authz.core.identity.jws.unbase64url", lambda text: raises()),
    "check": ("authz.core.policy.policy.Policy.judge", raises),
    "cel": ("tests.fuzz.edges.ExpressionError", ZeroDivisionError),
    "policy": ("authz.config.load.read_documents", raises),
}


@pytest.mark.parametrize(("name", "fault"), FAULTS.items())
def test_a_fault_in_what_a_target_reads_with_is_found(monkeypatch, name, fault):
    monkeypatch.setattr(*fault)

    with pytest.raises((AssertionError, KeyError, ValueError)):
        run(name)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\ndata:b\r\n\r\n", [b"a", b"b"]),
        (b"\xef\xbb\xbfdata: a\rdata: b\r\r", [b"a\nb"]),
        (b"id: 1\nDATA: x\ndata: a", [b"a"]),
    ],
)
def test_the_oracle_reads_events_as_clients_do(stream, expected):
    assert expected == [data for data in readers.event_data(stream) if data]


def test_the_oracle_reads_a_document_in_every_habit():
    assert [{"a": "2", "A": "3"}, {"a": "1", "A": "3"}, {"a": "3"}, {"a": "1"}] == list(
        readers.readings('{"a":1,"a":2,"A":3}')
    )

"""Sizes, lists and memory: what is measured is what the tables say; nothing here looks at how fast anything is."""

import json

import pytest
from envoy.service.auth.v3 import external_auth_pb2

from bench import lists, memory, sizes
from bench.catalogue import SIZES, document, name_of
from bench.list_variants import LIST_VARIANTS, verified
from bench.samples import growth
from bench.tables import tables
from bench.workload import Mint


@pytest.fixture(scope="module")
def mint():
    return Mint()


def http(message):
    return external_auth_pb2.CheckRequest.FromString(message).attributes.request.http


def test_growth_is_a_ratio_of_the_same_turn_and_then_the_median():
    small, large = iter([1.0, 10.0, 2.0]), iter([2.0, 10.0, 8.0])
    points = growth({5: lambda: next(small), 50: lambda: next(large)}, 3)
    assert [(5, 1.0), (50, 2.0)] == [(point["size"], point["us_ratio"]) for point in points]
    assert (1.0, 4.0) == points[1]["us_spread"]


def test_all_names_are_called_in_an_order_of_their_own_with_other_arguments(mint):
    names = [name_of(number) for number in range(50)]
    bodies = [json.loads(http(call).raw_body) for call in sizes.calls(mint, names, 100, 50)]
    called = [body["params"]["name"] for body in bodies]
    assert sorted(names * 2) == sorted(called)
    assert names * 2 != called
    assert len({json.dumps(body["params"]["arguments"]) for body in bodies}) > 90


def test_names_of_tools_differ():
    assert SIZES[-1] * 2 == len({name_of(number) for number in range(SIZES[-1] * 2)})


@pytest.mark.parametrize("make", [sizes.one_rule_a_name, sizes.few_rules])
def test_every_size_is_asked_the_same_number_of_calls(make):
    points = sizes.by_size(make, (5, 50), rounds=1, count=100)
    assert [5, 50] == [point["size"] for point in points]


def test_a_call_that_is_refused_is_not_timed(monkeypatch):
    monkeypatch.setattr("bench.sizes.FULL", {"scope": "nothing"})
    with pytest.raises(RuntimeError, match="must be allowed"):
        sizes.by_size(sizes.one_rule_a_name, (5,), rounds=1, count=100)


def test_a_large_list_has_about_four_megabytes():
    assert 3_000_000 < len(document(5_000)) < 5_000_000


@pytest.mark.envoy
def test_lists_are_measured_untrimmed_and_trimmed_through_one_envoy(monkeypatch):
    found = lists.measure(0.0, 1, (10, 100), sdk_size=100)
    variants = ["untrimmed", "nothing to cut", "half cut"]
    assert [(n, variant) for n in (10, 100) for variant in variants] == [
        (r["tools"], r["variant"]) for r in found["rows"]
    ]
    (whole,) = {row["bytes"] for row in found["rows"] if row["tools"] == 100 and row["variant"] != "half cut"}
    (half,) = {row["bytes"] for row in found["rows"] if row["tools"] == 100 and row["variant"] == "half cut"}
    assert 0.4 < half / whole < 0.6
    assert {1.0} == {row["ms_ratio"] for row in found["rows"] if row["variant"] == "untrimmed"}
    assert all(row["ms"] > 0 and row["peak_kib"] > 0 for row in found["rows"])
    assert [10, 100] == [row["tools"] for row in found["rewriter"]]
    assert all(row["peak_bytes"] > row["bytes"] for row in found["rewriter"])
    assert [(100, variant) for variant in variants] == [(r["tools"], r["variant"]) for r in found["sdk"]]
    assert 3 == len(tables({"lists": found}))


def answer(names):
    tools = json.dumps({"result": {"tools": [{"name": name} for name in names]}})
    return f"HTTP/1.1 200 OK\r\ncontent-length: {len(tools)}\r\n\r\n{tools}".encode()


@pytest.mark.parametrize(
    ("variant", "numbers"),
    [(0, [0, 2]), (2, [0, 1, 2, 3]), (2, [1, 3]), (2, [])],
    ids=["cut though it should not be", "not cut", "the wrong half", "nothing left"],
)
def test_a_list_that_is_not_what_it_should_be_is_an_error(variant, numbers):
    with pytest.raises(RuntimeError, match="expected every tool in"):
        verified(answer(map(name_of, numbers)), 4, LIST_VARIANTS[variant])


def test_callers_tools_and_arguments_vary_in_the_memory_run(mint, monkeypatch):
    monkeypatch.setattr("bench.memory._BODIES", 200)
    traffic = memory.Traffic(mint)
    requests = [http(traffic.mixed()) for _ in range(400)]
    assert 10 < len(traffic.seen) < 100
    assert len(traffic.seen) == len({request.headers["authorization"] for request in requests})
    assert len({json.loads(r.raw_body)["params"]["name"] for r in requests}) > 15


@pytest.mark.envoy
def test_memory_is_told_by_workers_that_answered_everything(monkeypatch):
    monkeypatch.setattr("bench.memory._BODIES", 100)
    monkeypatch.setattr("bench.memory._AMONG", 50)
    found = memory.measure(checks=200, tokens=100, served=100)
    assert (0, 100, 200) == tuple(found["served"][at]["checks"] for at in (0, 10, 20))
    assert 100 == found["served"][10]["tokens"]
    assert [1, 100] == [row["tokens"] for row in found["tokens"]]
    assert list(range(0, 201, 20)) == [row["checks"] for row in found["soak"]]
    assert 100 < found["soak"][-1]["allowed"] < 200
    assert all(row["rss_kib"] > 20_000 for run in found.values() for row in run)
    assert 3 == len(tables({"memory": found}))


def test_growth_of_memory_is_told_only_where_both_ends_were_seen():
    marks = [{"checks": 200, "rss_kib": 100}, {"checks": 1000, "rss_kib": 103}]
    assert 1.03 == memory.growth(marks, 200, 1000)
    assert memory.growth(marks, 200, 2000) is None

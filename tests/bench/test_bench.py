"""The benchmark's own arithmetic and honesty; nothing here looks at how fast anything is."""

import json
import shutil
import sys

import pytest
from envoy.service.auth.v3 import external_auth_pb2

from bench import half_load
from bench.__main__ import chosen, main
from bench.client import HttpConnection, is_denied, missing_bytes
from bench.core import by_rules, by_tools, exact_rules, pattern_rules
from bench.load import percentile, require
from bench.native import NATIVE
from bench.rounds import Direct, MiscountedError, Through, check_count, rounds, rows
from bench.stack import running
from bench.stages import StageClock, breakdown, checker, stages_of
from bench.tables import tables
from bench.workload import (
    CALLERS,
    FRESH,
    POPULATIONS,
    VARIANTS,
    Mint,
    Variant,
    check_request,
    http_request,
    population,
    to_file,
)

SECONDS = 0.1


@pytest.fixture(scope="module")
def mint():
    return Mint()


@pytest.fixture(scope="module")
def requests(mint):
    return {name: population(name, mint) for name in POPULATIONS}


def sample(variant, number, *, calls=100, seconds=1.0, backend_us=100.0, connections=1):
    return {
        "variant": variant, "connections": connections, "round": number, "rate": calls / seconds, "p50_ms": 1.0,
        "p99_ms": 2.0, "p999_ms": 3.0, "busy": 0.5, "backend_us": backend_us, "envoy_us": 1.0,
        "total_us": backend_us + 1.0,
    }  # fmt: skip


def tokens(requests):
    return {request.split(b"Bearer ")[1].split(b"\r\n")[0] for request in requests}


def test_ratios_are_taken_within_a_round_and_then_the_median():
    bare = [sample("bare", 0, calls=100), sample("bare", 1, calls=1000), sample("bare", 2, calls=10)]
    other = [sample("x", 0, calls=50), sample("x", 1, calls=900), sample("x", 2, calls=7)]
    row = rows([*bare, *other])[1]
    assert (50, 0.7, (0.5, 0.9)) == (row["rate"], row["rate_ratio"], row["rate_spread"])


def test_cpu_ratios_are_of_the_backends_time_per_call():
    row = rows([sample("bare", 0, backend_us=200.0), sample("x", 0, backend_us=300.0)])[1]
    assert 1.5 == row["backend_us_ratio"]


def test_what_envoy_does_itself_is_compared_by_the_cpu_of_envoy_and_backend_together():
    row = rows([sample("bare", 0, backend_us=199.0), sample("native", 0, backend_us=0.0)])[1]
    assert (0.0, 1.0 / 200.0) == (row["backend_us_ratio"], row["total_us_ratio"])


@pytest.mark.parametrize(("share", "value"), [(0.5, 500), (0.99, 990), (0.999, 999), (1.0, 999)])
def test_a_percentile_is_the_value_that_the_rest_exceeds(share, value):
    assert value == percentile(range(1000), share)


def test_a_variant_is_never_compared_across_numbers_of_connections():
    row = rows([sample("bare", 0, connections=1), sample("x", 0, connections=16)])[1]
    assert (0.0, 0.0) == (row["rate_ratio"], row["backend_us_ratio"])


def test_the_order_of_variants_turns_from_round_to_round():
    variants = [Variant(name=name, backend=name, population="mixed") for name in "abc"]
    taken = [s["variant"] for s in rounds(variants, [1], 3, lambda *_: {})]
    assert list("abcbcacab") == taken


@pytest.mark.parametrize("counted", [99, 117])
def test_calls_that_are_not_counted_as_they_should_be_are_an_error(counted):
    with pytest.raises(MiscountedError, match=f"100 calls, of which {counted}"):
        check_count(VARIANTS[0], 100, 16, counted)


@pytest.mark.parametrize("name", POPULATIONS)
def test_a_population_survives_its_file(name, requests):
    assert requests[name] == to_file(requests[name]).split(b"\0")
    assert POPULATIONS[name][3] == len(requests[name])


@pytest.mark.parametrize(("name", "callers"), [("mixed", CALLERS), ("fresh", FRESH)])
def test_a_population_has_as_many_tokens_as_it_says(name, callers, requests):
    assert callers == len(tokens(requests[name]))


def test_a_token_that_is_to_be_fresh_is_of_no_other_population(requests):
    others = [tokens(requests[name]) for name in POPULATIONS if name != "fresh"]
    assert all(tokens(requests["fresh"]).isdisjoint(other) for other in others)


def test_arguments_and_tools_vary_within_a_population(requests):
    bodies = [json.loads(request.split(b"\r\n\r\n")[1]) for request in requests["mixed"]]
    names = {body["params"]["name"] for body in bodies}
    assert {"echo", "get_user_info", "list_files", "system_status"} < names
    assert len(names) > len(bodies) / 5
    assert len(bodies) == len({json.dumps(b["params"]["arguments"]) for b in bodies})


def test_a_check_request_carries_the_very_body_and_every_header(requests):
    request = requests["args"][0]
    http = external_auth_pb2.CheckRequest.FromString(check_request(request)).attributes.request.http
    assert request.split(b"\r\n\r\n")[1] == http.raw_body
    assert str(len(http.raw_body)) == http.headers["content-length"]
    assert {"authorization", "mcp-method", "mcp-name", ":authority"} <= http.headers.keys()


@pytest.mark.parametrize(
    ("received", "missing"),
    [
        (b"", -1),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n", -1),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", 5),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx: y\r\n\r\nab", 3),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde", 0),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab", -1),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", 0),
    ],
)
def test_the_client_knows_how_much_of_an_answer_is_missing(received, missing):
    assert missing == missing_bytes(received)


def test_a_stage_is_timed_without_the_stages_inside_it(monkeypatch):
    now = iter([0.0, 1.0, 4.0, 10.0])
    monkeypatch.setattr("bench.stages.time.perf_counter", lambda: next(now))
    timer = StageClock()
    inner = timer.wrap("inner", lambda: None)
    timer.wrap("outer", inner)()
    assert {"inner": 3.0, "outer": 7.0} == timer.spent


@pytest.mark.parametrize(
    ("name", "absent"),
    [("mixed", {"denial", "deny"}), ("fresh", {"denial", "deny"}), ("denied", {"allow"})],
)
def test_every_stage_of_a_check_is_found_and_put_back(name, absent, mint, requests):
    with checker(mint) as handler:
        stages = stages_of(handler)
        before = [getattr(owner, attribute) for _, owner, attribute in stages]
        found = breakdown(handler, requests[name][:100], 0.0)
        after = [getattr(owner, attribute) for _, owner, attribute in stages]
    assert {stage for stage, _, _ in stages} - absent | {"other", "whole"} == found.keys()
    assert before == after


@pytest.mark.parametrize("make", [exact_rules, pattern_rules])
def test_the_call_that_is_timed_is_allowed_at_every_size(make):
    assert [10, 200] == [point["size"] for point in by_rules(make, (10, 200), count=5)]


def test_the_list_that_is_timed_loses_every_second_tool():
    assert [10, 100] == [point["size"] for point in by_tools((10, 100))]


@pytest.fixture(scope="module")
def stack():
    peer = f"{sys.executable} -m bench.handlers.aio unix:{{socket}}"
    with running({"peer": peer}) as stack:
        yield stack


WRK = pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk (Debian: apt-get install wrk)")


@WRK
@pytest.mark.envoy
def test_every_variant_is_measured_and_verified_behind_envoy(stack):
    variants = [*VARIANTS, Variant(name="peer", backend="peer", population="mixed")]
    samples = list(rounds(variants, [3], 1, Through(stack, SECONDS)))
    assert [variant.name for variant in variants] == [s["variant"] for s in samples]
    assert all(s["calls"] > 0 and s["p50_ms"] <= s["p99_ms"] <= s["p999_ms"] for s in samples)
    assert sum(row["envoy_us"] for row in rows(samples)) > 0


@pytest.mark.envoy
@pytest.mark.parametrize("name", POPULATIONS)
def test_envoys_own_filters_decide_as_the_service_does(stack, name):
    denied = any(v.denied for v in VARIANTS if v.population == name)
    for backend in ("authz", NATIVE):
        assert {denied} == set(decisions(stack, backend, stack.requests[name][:80]))


FULL_ROLES = {"https://mcp.example.com/roles": ["admin"]}


@pytest.mark.envoy
@pytest.mark.parametrize(
    ("tool", "arguments", "grants", "denied"),
    [
        ("delete_file", {"filename": "/inbox/a"}, {"scope": "files:delete", **FULL_ROLES}, False),
        ("delete_file", {"filename": "/etc/passwd"}, {"scope": "files:delete", **FULL_ROLES}, True),
        ("delete_file", {"filename": "/inbox/../a"}, {"scope": "files:delete", **FULL_ROLES}, True),
        ("delete_file", {}, {"scope": "files:delete", **FULL_ROLES}, True),
        ("delete_file", {"filename": "/inbox/a"}, {"scope": "files:delete"}, True),
        ("list_files", {}, {"scope": "profile files:read"}, False),
        ("list_files", {}, {"scope": "xfiles:read files:readonly"}, True),
        ("system_status", {}, {"https://mcp.example.com/roles": ["administrator"]}, True),
        ("echo", {}, {}, False),
        ("report_7", {}, {"scope": "reports:read"}, False),
        ("report_7", {}, {"scope": "profile"}, True),
        ("report_secret", {}, {"scope": "reports:read"}, True),
        ("echo_secret", {}, {"scope": "files:read", **FULL_ROLES}, True),
    ],
)
def test_envoys_own_filters_have_the_same_policy(stack, tool, arguments, grants, denied):
    request = http_request(1, tool, arguments, stack.mint.token("one", 1, grants))
    assert [[denied]] * 2 == [decisions(stack, backend, [request]) for backend in ("authz", NATIVE)]


@pytest.mark.envoy
def test_envoys_own_filters_refuse_a_token_of_another_issuer(stack):
    request = http_request(1, "echo", {}, Mint().token("one", 1, {}))
    assert [[True]] * 2 == [decisions(stack, backend, [request]) for backend in ("authz", NATIVE)]


def decisions(stack, backend, requests):
    with HttpConnection(stack.backends[backend].port) as connection:
        return [is_denied(connection.ask(request)) for request in requests]


@pytest.mark.envoy
def test_half_load_is_half_of_the_peak_and_both_are_sent_it(stack, monkeypatch):
    monkeypatch.setattr("bench.half_load.find_peak", lambda *_: 200.0)
    found = half_load.measure(stack, 0.5, 2)
    assert (200.0, 100.0) == (found["peak"], found["rate"])
    assert ["bare", "cached", "cached", "bare"] == [s["variant"] for s in found["samples"]]
    assert {50} == {s["calls"] for s in found["samples"]}
    assert 1.0 == found["rows"][0]["p99_ms_ratio"]
    assert tables({"half": found})[0].lines[1][0] == "cached"


@pytest.mark.envoy
def test_every_variant_but_envoy_alone_is_measured_without_envoy(stack):
    variants = chosen(None, {}, envoy=False)
    assert {"bare", "loop", "authz"} == {variant.backend for variant in variants}
    samples = list(rounds(variants, [2], 1, Direct(stack, SECONDS)))
    assert [variant.name for variant in variants] == [s["variant"] for s in samples]


@pytest.mark.envoy
@pytest.mark.parametrize("measure", [Through, Direct])
@pytest.mark.parametrize(
    "lie",
    [
        Variant(name="lie", backend="bare", population="denied", denied=True),
        Variant(name="lie", backend="authz", population="denied"),
        Variant(name="lie", backend="authz", population="mixed", denied=True),
    ],
)
def test_a_backend_that_answers_otherwise_than_it_should_is_an_error(stack, measure, lie):
    with pytest.raises(RuntimeError, match="expected"):
        measure(stack, SECONDS)(lie, 1)


@WRK
@pytest.mark.envoy
def test_a_token_that_was_remembered_is_an_error_where_none_may_be(stack):
    stack.populate("fresh", stack.requests["mixed"][:10] * 10)
    fresh = next(variant for variant in VARIANTS if variant.name == "fresh")
    with pytest.raises(MiscountedError, match="fresh"):
        Through(stack, SECONDS)(fresh, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--variant", "nonsense"], "no variant nonsense; there are: envoy alone, native, bare"),
        (["--connections", "0"], "from 1 to 256"),
        (["--peer", "bare=true"], "NAME=COMMAND with a new name"),
        (["--bare-python", "old=/venv/bin/python"], "a name that begins with bare"),
        (["report"], "at least one RUN.json"),
    ],
)
def test_a_mistake_on_the_command_line_is_named(arguments, said, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code not in {0, None}
    assert said in f"{ended.value.code} {capsys.readouterr().err}"


def test_a_program_that_is_missing_is_named_with_the_package_that_has_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.argv", ["bench", "envoy"])
    with pytest.raises(SystemExit, match=r"wrk is needed .*apt-get install wrk"):
        main()
    with pytest.raises(SystemExit, match="apt-get install nghttp2-client"):
        require("h2load")

"""Goals, tables and the plot say what the JSON says, and nothing else."""

import copy
import json
import xml.etree.ElementTree as ET

import pytest

from bench import goals, report
from bench.__main__ import PARTS, main
from bench.plot import write_plot
from bench.tables import tables


def rate(variant, connections, **changed):
    row = {
        "variant": variant, "connections": connections, "rate": 1000.0, "p50_ms": 1.0, "p99_ms": 2.0,
        "p999_ms": 3.0, "backend_us": 100.0, "envoy_us": 50.0, "busy": 0.1, "rate_ratio": 1.0,
        "rate_spread": [0.9, 1.1], "backend_us_ratio": 1.0, "total_us_ratio": 1.0,
    }  # fmt: skip
    return {**row, **changed}


def point(size, ratio):
    return {"size": size, "us": 10.0 * ratio, "us_ratio": ratio, "us_spread": [ratio, ratio]}


def mark(checks, tokens, megabytes, **more):
    return {"checks": checks, "tokens": tokens, "rss_kib": megabytes * 1_000_000 / 1024, **more}


@pytest.fixture
def parts():
    fresh = rate("fresh", 16, rate_ratio=0.6)
    timed = {
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "p999_ms": 3.0,
        "late_ms": 0.1,
        "busy": 0.1,
        "p99_ms_spread": [1, 2],
    }
    listed = {
        "bytes": 10, "ms": 1.0, "ms_spread": [1.0, 2.0], "service_us": 5.0, "envoy_us": 6.0, "peak_kib": 10,
    }  # fmt: skip
    marks = [mark(0, 0, 80), mark(200_000, 100_000, 200), mark(1_000_000, 100_000, 202)]
    return {
        "envoy": {
            "rows": [
                rate("bare", 1),
                rate("cached", 1, rate_ratio=0.1),
                rate("bare", 16),
                rate("cached", 16, rate_ratio=0.95, backend_us_ratio=1.1),
                fresh,
            ]
        },
        "sessions": {
            "rows": [
                rate("call", 16),
                rate("session call", 16, rate_ratio=0.8, total_us_ratio=1.3),
                rate("session call, answers: lists", 16, rate_ratio=0.97),
            ]
        },
        "half": {
            "peak": 2000.0,
            "rate": 1000.0,
            "rows": [timed | {"variant": "bare", "p99_ms_ratio": 1.0}, timed | {"variant": "cached", "p99_ms_ratio": 1.4}],
        },
        "sizes": {"rules": [point(10, 1.0), point(10_000, 1.05)], "tools": [point(5, 1.0), point(5_000, 1.06)]},
        "core": {
            "stages": {"mixed": {"parse": 1.0, "other": 2.0, "whole": 3.0}},
            "parsing": {"parse": 1.0},
            "rules": [point(10, 1.0), point(10_000, 1.07)],
            "patterns": [point(10, 1.0)],
            "lists": [point(10, 1.0)],
        },
        "lock": {
            "tools": 1_000,
            "lists": [rate("list", 1), rate("list, locked", 1, p50_ms_ratio=1.4)],
            "calls": [
                rate("call", 16),
                rate("call, arguments checked", 16, total_us_ratio=1.12, p50_ms_ratio=1.13),
            ],
        },
        "lists": {
            "rows": [
                listed | {"tools": 1_000, "variant": "untrimmed", "ms_ratio": 1.0},
                listed | {"tools": 1_000, "variant": "half cut", "ms_ratio": 1.8},
            ],
            "sdk": [listed | {"tools": 1_000, "variant": "half cut", "ms_ratio": 1.2}],
            "rewriter": [{"tools": 1_000, "bytes": 10, "us": 100.0, "peak_bytes": 20}],
        },
        "memory": {"served": marks, "soak": copy.deepcopy(marks), "tokens": [mark(0, 100_000, 210, us=9.0)]},
    }  # fmt: skip


MEASURED = [
    0.95,
    1.1,
    0.6,
    0.8,
    1.3,
    0.97,
    1.4,
    1.05,
    1.07,
    1.06,
    1.8,
    1.2,
    1.4,
    1.12,
    1.13,
    80,
    200,
    210,
    202,
    1.01,
    1.01,
]


def test_every_goal_is_read_from_where_it_was_measured(parts):
    assert pytest.approx(MEASURED) == [one["measured"] for one in goals.judged(parts)]
    assert {True} == {one["held"] for one in goals.judged(parts)}


def test_a_goal_that_is_missed_is_said_to_be_missed(parts):
    worse = copy.deepcopy(parts)
    worse["envoy"]["rows"][3] |= {"rate_ratio": 0.89, "backend_us_ratio": 1.16}
    worse["memory"]["soak"][-1]["rss_kib"] *= 1.1
    missed = [one["goal"] for one in goals.judged(worse) if one["held"] is False]
    assert [
        "cached token, 16 connections: calls/s against bare",
        "cached token, 16 connections: CPU a call against bare",
        "memory without gRPC, 1,000,000 Checks against 200,000",
    ] == missed


def test_a_goal_against_bare_is_judged_against_the_fastest_of_the_bare_handlers(parts):
    parts["envoy"]["rows"].append(rate("bare180", 16, rate_ratio=1.25, backend_us_ratio=0.8))
    cached = {one["goal"].partition(": ")[2]: one["measured"] for one in goals.judged(parts)[:2]}

    assert {"calls/s against bare": 0.95 / 1.25, "CPU a call against bare": 1.1 / 0.8} == pytest.approx(
        cached
    )


@pytest.mark.parametrize(
    "part", [None, "envoy", "half", "sizes", "core", "sessions", "lists", "lock", "memory"]
)
def test_a_goal_that_was_not_measured_is_neither_held_nor_missed(part, parts):
    only = {part: parts[part]} if part else {}
    unknown = [one for one in goals.judged(only) if one["held"] is None]
    assert all(one["measured"] is None for one in unknown)
    assert 0 < len(unknown) < len(goals.GOALS) or part is None


def test_a_soak_that_was_cut_short_shows_no_growth(parts):
    parts["memory"]["soak"] = parts["memory"]["soak"][:2]
    (one,) = [
        o for o in goals.judged(parts) if o["goal"].startswith("memory without gRPC, 1,000,000 Checks a")
    ]
    assert one["held"] is None


def test_every_part_has_its_tables(parts):
    for name in PARTS:
        given = parts.get(name, parts["envoy"])
        made = tables({name: given})
        assert made
        assert all(len(table.headings) == len(line) for table in made for line in table.lines)


def test_runs_of_single_parts_become_one_document_that_is_judged_as_a_whole(parts):
    several = [report.document({"cores": "2"}, {name: parts[name]}) for name in parts]
    assert report.document({"cores": "2"}, parts) == report.merged(several)


def test_facts_that_differ_are_told_for_the_parts_that_they_are_about(parts):
    one = report.document({"cores": "2", "run": "5 rounds"}, {"half": parts["half"], "core": parts["core"]})
    other = report.document({"cores": "2", "run": "2 rounds"}, {"envoy": parts["envoy"]})
    facts = report.merged([one, other])["facts"]
    assert {"cores": "2", "run": "half, core: 5 rounds; envoy: 2 rounds"} == facts


def test_markdown_has_each_goal_and_each_table(parts):
    text = report.markdown(report.document({"cores": "2"}, parts))
    assert "| cached token, 16 connections: calls/s against bare | ≥ 0.90 | 0.950 | yes |" in text
    assert all(f"### {table.title}\n" in text for table in tables(parts))


def test_a_section_takes_the_place_of_the_one_before():
    text = f"head\n{report.BEGIN}\nold\n{report.END}\ntail\n"
    once = report.insert(text, "new")
    assert f"head\n{report.BEGIN}\n\nnew\n\n{report.END}\ntail\n" == once == report.insert(once, "new")


@pytest.mark.parametrize(
    "text", ["", report.BEGIN, f"{report.END}{report.BEGIN}", f"{report.BEGIN}{report.END}{report.END}"]
)
def test_a_text_without_the_two_marks_is_left_alone(text):
    with pytest.raises(ValueError, match="once each"):
        report.insert(text, "new")


def test_the_plot_shows_each_variant_and_each_figure(parts, tmp_path):
    file = tmp_path / "plot.svg"
    write_plot(file, parts["envoy"]["rows"], {"cpu": "A & B <C>", "python": "3", "run": "one"})
    words = [text.strip() for text in ET.parse(file).getroot().itertext() if text.strip()]
    assert {"bare", "cached", "fresh", "16 connections", "1 connection", "A & B <C> · 3 · one"} <= set(words)
    rows = parts["envoy"]["rows"]
    assert [len(rows)] * 2 == [words.count("1,000"), words.count("100 + 50")]


def test_the_same_run_is_drawn_as_the_same_bytes(parts, tmp_path):
    for name in ("one", "other"):
        write_plot(tmp_path / name, parts["envoy"]["rows"], {})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_report_writes_tables_and_plot_from_the_files_alone(parts, tmp_path, monkeypatch, capsys):
    runs = []
    for name in parts:
        runs.append(tmp_path / f"{name}.json")
        report.write_json(runs[-1], report.document({"cores": "2"}, {name: parts[name]}))
    page, plot = tmp_path / "page.md", tmp_path / "plot.svg"
    page.write_text(f"{report.BEGIN}{report.END}", "utf-8")
    arguments = [
        "report",
        *map(str, runs),
        "--into",
        str(page),
        "--svg",
        str(plot),
        "--json",
        str(tmp_path / "all.json"),
    ]
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    main()
    written = json.loads((tmp_path / "all.json").read_text("utf-8"))
    assert parts.keys() == written["parts"].keys()
    assert report.markdown(written, "plot.svg") in page.read_text("utf-8")
    assert "](plot.svg)" in page.read_text("utf-8")
    assert "<svg" in plot.read_text("utf-8")
    assert "0.950" in capsys.readouterr().out


def test_a_plot_of_what_was_not_measured_is_refused(parts, tmp_path, monkeypatch):
    report.write_json(tmp_path / "half.json", report.document({}, {"half": parts["half"]}))
    monkeypatch.setattr(
        "sys.argv", ["bench", "report", str(tmp_path / "half.json"), "--svg", str(tmp_path / "x")]
    )
    with pytest.raises(SystemExit, match="which is in none of these files"):
        main()

"""OpenTelemetry's variables: the one for a signal comes before the one for all, and what cannot be used is named."""

import pytest

from authz.edge.otlp.variables import Signal, endpoint, read_variables, whole_url

ALL, TRACES = "OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("api-key=k", {"api-key": "k"}),
        ("Authorization=Basic%20YTpi, x_team = a ,", {"authorization": "Basic YTpi", "x_team": "a"}),
        ("key=a=b", {"key": "a=b"}),
    ],
)
def test_headers_are_pairs_with_encoded_values(text, expected):
    said = read_variables(Signal.TRACES, {f"{ALL}HEADERS": text})

    assert (expected, ()) == (said.headers, said.problems)


@pytest.mark.parametrize(
    "text", ["secret", "=secret", "a b=secret", "key=secret%0d%0ax: y", "k\u00e9y=secret", "key=\u00fc"]
)
def test_a_pair_that_is_no_header_is_left_out_and_named_without_its_value(text):
    said = read_variables(Signal.TRACES, {f"{ALL}HEADERS": f"good=1,{text}"})

    assert {"good": "1"} == said.headers
    assert 1 == len(said.problems)
    assert "secret" not in said.problems[0]


@pytest.mark.parametrize(
    ("text", "seconds", "problems"),
    [("", 10.0, 0), ("250", 0.25, 0), ("0", 10.0, 1), ("-1", 10.0, 1), ("1s", 10.0, 1)],
)
def test_a_timeout_is_in_milliseconds(text, seconds, problems):
    said = read_variables(Signal.LOGS, {f"{ALL}TIMEOUT": text})

    assert (seconds, problems) == (said.seconds, len(said.problems))


@pytest.mark.parametrize(
    ("text", "compress", "problems"),
    [("", False, 0), ("none", False, 0), ("gzip", True, 0), ("zstd", False, 1)],
)
def test_compression_is_gzip_or_none(text, compress, problems):
    said = read_variables(Signal.LOGS, {f"{ALL}COMPRESSION": text})

    assert (compress, problems) == (said.compress, len(said.problems))


def test_the_variable_of_a_signal_comes_before_that_of_all():
    environment = {f"{ALL}TIMEOUT": "1000", f"{TRACES}TIMEOUT": "2000", f"{ALL}CERTIFICATE": "a.pem"}

    assert (2.0, "a.pem") == (
        read_variables(Signal.TRACES, environment).seconds,
        read_variables(Signal.TRACES, environment).certificate,
    )
    assert 1.0 == read_variables(Signal.LOGS, environment).seconds


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("http://c:4318", "http://c:4318/v1/logs"),
        ("http://c:4318/", "http://c:4318/v1/logs"),
        ("http://c/otlp", "http://c/otlp/v1/logs"),
        ("http://c/v1/logs", "http://c/v1/logs"),
    ],
)
def test_the_path_of_the_signal_is_added_unless_it_is_there(base, expected):
    assert expected == whole_url(base, Signal.LOGS)


def test_an_endpoint_for_a_signal_is_taken_as_it_is():
    environment = {f"{ALL}ENDPOINT": "http://all", f"{TRACES}ENDPOINT": "http://exact/x"}

    assert "http://exact/x" == endpoint(Signal.TRACES, environment)
    assert "http://all/v1/logs" == endpoint(Signal.LOGS, environment)

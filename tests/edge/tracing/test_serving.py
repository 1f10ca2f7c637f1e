"""`mcp-authz serve` with a collector: what arrives there, and from which of OpenTelemetry's settings."""

import signal

import pytest

from authz.cli.tracing_settings import with_endpoint
from authz.config.problems import ConfigError
from authz.config.settings import TracingTerms
from authz.edge.tracing.otlp import OtlpCollector
from tests.support.otlp import otlp_endpoint
from tests.support.policy_files import NATIVE
from tests.support.serving import Served, ask
from tests.support.waiting import eventually

FAILING = NATIVE.replace("servers:", "    jwks_uri: http://127.0.0.1:9/jwks.json\nservers:")
"""A policy whose keys cannot be fetched: nothing listens there."""


@pytest.fixture
def collector():
    with otlp_endpoint() as kept:
        yield kept


@pytest.mark.parametrize(("workers", "grpc_server"), [(1, "native"), (2, "aio")])
def test_denials_fetches_and_reloads_arrive_at_the_collector_without_an_envoy_that_traces(
    tmp_path, collector, workers, grpc_server
):
    flags = ("--grace", "0", "--otlp", collector.url, "--grpc-server", grpc_server)
    with Served(tmp_path, *flags, workers=workers, text=FAILING) as service:
        ask(service.grpc, connections=3)
        assert eventually(lambda: any("fetch keys" == each.name for each in collector.spans()))
        service.process.send_signal(signal.SIGHUP)
        assert eventually(lambda: any("reload policy" == each.name for each in collector.spans()))
        service.stop()

    spans = collector.spans()
    checks = [each for each in spans if each.name.startswith("Check")]
    assert [("missing_token", "deny")] * 3 == [
        (each.attributes["mcp_authz.reason"], each.attributes["mcp_authz.decision"]) for each in checks
    ]
    fetch = next(each for each in spans if "fetch keys" == each.name)
    assert ("http://127.0.0.1:9/jwks.json", 2) == (fetch.attributes["url.full"], fetch.span.status.code)
    assert {"mcp-authz"} == {each.service for each in spans}


def test_the_environment_names_collector_service_and_headers_as_everywhere(tmp_path, collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "gateway-policy")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    with Served(tmp_path, "--grace", "0", workers=1) as service:
        ask(service.grpc, connections=1)
        service.stop()

    assert {("gateway-policy", "Check")} == {(each.service, each.name) for each in collector.spans()}


def test_a_collector_that_is_away_costs_spans_and_nothing_else_and_is_told_once(tmp_path, collector):
    collector.status = 400
    with Served(tmp_path, "--grace", "0", "--otlp", collector.url, workers=1) as service:
        ask(service.grpc, connections=2)
        failed = 'mcp_authz_spans_total{outcome="failed"}'
        assert eventually(lambda: service.metrics().get(failed))
        ask(service.grpc, connections=2)
        assert eventually(lambda: 4 == service.metrics()[failed])

        assert 4 == service.decided()
        (told,) = service.events("spans are not exported")
        assert f"{collector.url}/v1/traces" == told["collector"]


def test_the_log_names_a_collector_of_the_environment_without_its_credentials():
    exporter = OtlpCollector("http://me:secret-4711@collector.example:4318/v1/traces?key=secret-4711")
    exporter.close()

    assert "http://collector.example:4318/v1/traces" == exporter.where


def test_variables_that_cannot_be_used_are_named_and_the_service_serves(tmp_path, collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "no header secret-4711")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon")
    with Served(tmp_path, "--grace", "0", "--otlp", collector.url, workers=1) as service:
        ask(service.grpc, connections=1)
        told = [each["problem"] for each in service.events("spans")]
        service.stop()

    assert ["HEADERS", "TIMEOUT"] == [problem.split()[0].rpartition("_")[2] for problem in told]
    assert "secret-4711" not in str(told)
    assert ["Check"] == [each.name for each in collector.spans()]


def test_a_certificate_of_the_environment_that_is_not_there_costs_spans_and_not_the_service(
    tmp_path, collector, monkeypatch
):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / "none.pem"))
    with Served(tmp_path, "--grace", "0", "--otlp", collector.url, workers=1) as service:
        ask(service.grpc, connections=1)
        (told,) = service.events("no spans")

    assert "OTEL_EXPORTER_OTLP_" in told["problem"]
    assert [] == collector.spans()


FILE, FLAG, ENVIRONMENT = "http://file:4318", "http://flag:4318/", "http://environment:4318"
ALL = {"OTEL_EXPORTER_OTLP_ENDPOINT": ENVIRONMENT}


@pytest.mark.parametrize(
    ("file", "flag", "environment", "expected"),
    [
        ("", "", {}, ""),
        (FILE, "", {}, "http://file:4318/v1/traces"),
        (FILE, FLAG, ALL, "http://flag:4318/v1/traces"),
        (FILE, "", ALL, "http://file:4318/v1/traces"),
        ("", "", ALL, "http://environment:4318/v1/traces"),
        ("", "", ALL | {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://exact/x"}, "http://exact/x"),
        ("http://file/v1/traces", "", {}, "http://file/v1/traces"),
        (FILE, FLAG, {"OTEL_SDK_DISABLED": "true"}, ""),
    ],
)
def test_a_flag_comes_before_the_file_and_the_file_before_the_environment(file, flag, environment, expected):
    assert expected == with_endpoint(TracingTerms(endpoint=file), flag, environment).endpoint


@pytest.mark.parametrize("flag", ["collector:4317", "ftp://collector", "http://user:secret@collector"])
def test_an_endpoint_that_is_no_url_is_refused(flag):
    with pytest.raises(ConfigError, match="--otlp: "):
        with_endpoint(TracingTerms(), flag, {})

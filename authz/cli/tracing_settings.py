"""Where spans go: a flag of `serve`, the policy file or OpenTelemetry's own variables, in this order.

An endpoint that somebody wrote for this service needs the SDK, and its absence ends the start. One in the environment does not:
it is often given to every container of a cluster.
"""

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec

from authz.config.addresses import check_http_url
from authz.config.problems import mistake
from authz.config.settings import TracingTerms

OTLP = "--otlp"
_PATH = "/v1/traces"
_ALL, _TRACES, _DISABLED = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_SDK_DISABLED",
)
_NEEDED = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")
CURE = "pip install 'envoy-mcp-authz[tracing]'"


def with_endpoint(terms: TracingTerms, flag: str, environment: Mapping[str, str]) -> TracingTerms:
    """Return the terms with the whole URL that takes spans; empty if there is none, or the SDK is disabled.

    Args:
        terms: what the policy file says.
        flag: what the command line says.
        environment: the variables.

    Raises:
        ConfigError: the endpoint is no URL, or the SDK is missing.
    """
    written = flag or terms.endpoint
    if environment.get(_DISABLED, "").lower() == "true":
        return replace(terms, endpoint="")
    if not written:
        return replace(terms, endpoint=from_environment(environment) if is_installed() else "")
    if flag:
        try:
            check_http_url(flag)
        except ValueError as error:
            raise mistake(OTLP, str(error), "as in http://127.0.0.1:4318") from None
    if not is_installed():
        raise mistake(OTLP if flag else "observability.otlp", "needs OpenTelemetry's SDK", CURE)
    return replace(terms, endpoint=_whole(written))


def from_environment(environment: Mapping[str, str]) -> str:
    """Return the URL that OpenTelemetry's variables name, empty if they name none."""
    exact, base = environment.get(_TRACES, ""), environment.get(_ALL, "")
    return exact or (_whole(base) if base else "")


def is_installed() -> bool:
    """Return whether the SDK and its exporter can be imported; nothing is imported for that but bare packages."""
    try:
        return all(find_spec(name) is not None for name in _NEEDED)
    except ModuleNotFoundError:
        return False


def _whole(base: str) -> str:
    return base if base.endswith(_PATH) else base.rstrip("/") + _PATH

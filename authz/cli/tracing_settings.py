"""Where spans go: a flag of `serve`, the policy file or OpenTelemetry's own variables, in this order."""

from collections.abc import Mapping
from dataclasses import replace

from authz.config.addresses import check_http_url
from authz.config.problems import mistake
from authz.config.settings import TracingTerms
from authz.edge.otlp.variables import Signal, endpoint, whole_url

OTLP = "--otlp"
_DISABLED = "OTEL_SDK_DISABLED"


def with_endpoint(terms: TracingTerms, flag: str, environment: Mapping[str, str]) -> TracingTerms:
    """Return the terms with the whole URL that takes spans; empty if there is none, or the variables turn tracing off.

    Args:
        terms: what the policy file says.
        flag: what the command line says.
        environment: the variables.

    Raises:
        ConfigError: the flag is no URL.
    """
    if flag:
        check_collector(OTLP, flag)
    if environment.get(_DISABLED, "").lower() == "true":
        return replace(terms, endpoint="")
    written = flag or terms.endpoint
    url = whole_url(written, Signal.TRACES) if written else endpoint(Signal.TRACES, environment)
    return replace(terms, endpoint=url)


def check_collector(flag: str, url: str) -> None:
    """Raise ConfigError if the value of a flag is no URL of a collector."""
    try:
        check_http_url(url)
    except ValueError as error:
        raise mistake(flag, str(error), "as in http://127.0.0.1:4318") from None

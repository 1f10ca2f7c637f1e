"""Begin to trace, if the settings say where spans go; else nothing of tracing is imported."""

from collections.abc import Callable

import structlog

from authz.config.settings import TracingTerms
from authz.edge.tracing.tracer import Tracer

_LOG = structlog.get_logger("authz.tracing")


def start_tracing(terms: TracingTerms, count: Callable[[str, int], None]) -> Tracer | None:
    """Return a tracer, None if nothing is traced.

    Args:
        terms: where spans go, and how many.
        count: counts spans by what became of them.
    """
    if not terms.endpoint:
        return None
    from authz.edge.tracing.export import SpanQueue  # noqa: PLC0415 - not without a collector
    from authz.edge.tracing.otlp import OtlpCollector  # noqa: PLC0415 - as above

    try:
        collector = OtlpCollector(terms.endpoint, authorization=terms.agent_authorization)
    except OSError as error:  # of a variable that a cluster may give to every container
        _LOG.error("no spans", problem=f"a certificate that OTEL_EXPORTER_OTLP_* names: {error}")
        return None
    for problem in collector.problems:
        _LOG.warning("spans", problem=problem)
    return Tracer(SpanQueue(collector, size=terms.queue, count=count), percent=terms.percent)

"""The section `observability` of a native file: where spans go, and how many."""

from pydantic import Field

from authz.config.native.issuers import Url
from authz.config.settings import TracingTerms
from authz.config.validation import Section

_DEFAULT = TracingTerms()


class ObservabilityModel(Section):
    """Spans for an OpenTelemetry collector; read at the start only."""

    otlp: Url | None = Field(
        None, description="base URL of a collector that takes OTLP over HTTP; default: no spans"
    )
    percent: float = Field(
        _DEFAULT.percent,
        ge=0,
        le=100,
        description="of the requests that neither Envoy nor the client traces, those that begin a trace",
    )
    queue: int = Field(
        _DEFAULT.queue, ge=16, le=65_536, description="spans that may wait to be sent; more are dropped"
    )
    agent_authorization: bool = Field(
        default=False, description="add the drafted attributes gen_ai.agent.authorization"
    )

    @property
    def terms(self) -> TracingTerms:
        """The settings that these are."""
        return TracingTerms(
            endpoint=self.otlp or "",
            percent=self.percent,
            queue=self.queue,
            agent_authorization=self.agent_authorization,
        )

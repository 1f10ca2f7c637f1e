"""How the service runs as processes: how many, and how it ends; not part of what it decides."""

from pydantic import Field

from authz.config.native.section import Section
from authz.config.settings import Drain

MAX_WORKERS = 64
_DRAIN = Drain()


class DrainModel(Section):
    """How the service ends when it is told to."""

    grace_seconds: float = Field(
        _DRAIN.grace,
        ge=0,
        le=300,
        description="how long it answers on after its health says NOT_SERVING, so that Envoy sees it first",
    )
    limit_seconds: float = Field(
        _DRAIN.limit, ge=0, le=300, description="how long calls and streams under way may then still take"
    )


def drain_of(model: DrainModel) -> Drain:
    """Give the way of ending that a file asks for."""
    return Drain(grace=model.grace_seconds, limit=model.limit_seconds)

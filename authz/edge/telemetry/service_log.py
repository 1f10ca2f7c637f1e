"""The service's own log: JSON lines on a stream separate from the audit log."""

from typing import TextIO

import structlog


def configure(stream: TextIO, level: str = "debug") -> None:
    """Write log lines of a level and above to `stream`, one JSON object each."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        # It writes text and line end at once: workers share the stream, and another's line must not come between them.
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )

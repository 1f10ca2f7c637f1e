"""The service's own log: JSON lines on a stream of its own, apart from the audit log."""

from typing import TextIO

import structlog


def configure(stream: TextIO) -> None:
    """Write log lines to `stream`, one JSON object each."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        # Text and line end in one write, so that no line of another stream comes between them.
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )

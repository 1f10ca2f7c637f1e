"""Choices that are made before gRPC is loaded: which server to use, and how gRPC's core polls.

This module imports no gRPC, so the command line and the supervisor of workers, which serve no gRPC, can use it.
"""

import os
from enum import StrEnum

_EXPERIMENTS = ("GRPC_EXPERIMENTS", "-event_engine_listener")


class ServerChoice(StrEnum):
    """Which gRPC server to use; see `select`."""

    AUTO = "auto"
    NATIVE = "native"
    AIO = "aio"


def poll_own_sockets() -> None:
    """Make the thread that waits for gRPC's events poll the server's sockets itself.

    By default a pool of threads, the event engine, reads the sockets and wakes the serving thread for every message: two
    switches of threads a message, a fifth of what a Check costs. The core reads the variable when it is loaded, so this
    comes before the first import of gRPC; workers inherit it. A value that the operator has set is kept.
    """
    os.environ.setdefault(*_EXPERIMENTS)

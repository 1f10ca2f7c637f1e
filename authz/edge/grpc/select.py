"""Which of the two gRPC servers this process uses.

`auto` takes the native one if this version of grpcio has every name that it uses, and if one call over loopback,
which uses every operation, is answered. Otherwise it takes the one on grpc.aio. It does so before an address of the
service is bound, so a version that fails has cost nobody an answer. What no trial in the same process can catch is a core
that crashes; `--grpc-server aio` is for that.
"""

import asyncio
from collections.abc import Callable

import grpc
import structlog

from authz.edge.grpc.aio import AioServer
from authz.edge.grpc.preload import ServerChoice
from authz.edge.grpc.transport import Call, Options, Services, Transport

TRIAL_SECONDS = 5.0
"""Longest time that the trial's call may take."""

ServerType = Callable[[Services, Options], Transport]

_TRIAL = "/mcp_authz.Trial/Echo"
_LOG = structlog.get_logger("authz.grpc")


class UnusableServerError(Exception):
    """The server that was asked for cannot be used; the text says why."""


async def select(wanted: ServerChoice) -> ServerType:
    """Return the server to use, and log which one and why.

    Raises:
        UnusableServerError: the native server was asked for, and this version of grpcio lacks what it needs.
    """
    if wanted is ServerChoice.AIO:
        return _chosen(AioServer, "aio", "asked for")
    native, problem = load_native()
    if wanted is ServerChoice.NATIVE:
        if native is None:
            msg = f"the native gRPC server cannot be used: {problem}; use --grpc-server auto or aio"
            raise UnusableServerError(msg)
        return _chosen(native, "native", "asked for")
    if native is not None:
        problem = await trial(native)
        if not problem:
            return _chosen(native, "native", "it has what it needs and answered a call over loopback")
    return _chosen(AioServer, "aio", f"the native server cannot be used: {problem}")


def _chosen(server: ServerType, name: str, why: str) -> ServerType:
    _LOG.info("gRPC server", server=name, why=why, grpcio=grpc.__version__)
    return server


def load_native() -> tuple[ServerType | None, str]:
    """Return the native server, or None and what this version of grpcio lacks."""
    try:
        from authz.edge.grpc.native import NativeServer, missing  # noqa: PLC0415 - fails where the names are gone
    except (ImportError, AttributeError):
        return None, f"grpcio {grpc.__version__} has no cygrpc of the known form"
    if lacking := missing():
        return None, f"grpcio {grpc.__version__} lacks cygrpc's {', '.join(lacking)}"
    return NativeServer, ""


async def trial(server: ServerType) -> str:
    """Make one call to a server over loopback; return why it failed, "" if it was answered."""
    try:
        made = server(Services(unary={}, streams={_TRIAL: _echo}), ())
        port = made.bind("127.0.0.1:0") or made.bind("[::1]:0")
        await made.start()
        try:
            answers = await asyncio.to_thread(_ask, port)
        finally:  # ends at once, as no call is left; a connection that is cut would show in gRPC's own log
            await made.stop(TRIAL_SECONDS)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the other server is there
        return f"a call over loopback failed ({type(error).__name__})"
    return "" if answers == [b"trial"] else "a call over loopback was answered wrongly"


async def _echo(call: Call) -> None:
    """Use every operation of a call."""
    while isinstance(message := await call.read(), bytes):
        await call.run_in_loop(asyncio.sleep(0))
        await call.write(message)


def _ask(port: int) -> list[bytes]:
    """Call the trial's server, not through a proxy that the environment may name."""
    with grpc.insecure_channel(f"localhost:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        return list(channel.stream_stream(_TRIAL)(iter([b"trial"]), timeout=TRIAL_SECONDS))

"""The portable gRPC server: the interface of `transport` on the public `grpc.aio`.

For versions of grpcio that lack what `native` uses. A call costs two to three times as much.

Rules of this module:

* It runs on the process's event loop, so handlers and the rest of the process share one thread, and `run_in_loop` has
  nowhere to go. While a policy is put in force no call is answered.
* Every method is registered as a stream, a unary one too. Only then does grpc.aio start our code when a call begins
  and not when its message has come: calls that never send one are counted, and one that sends none is refused.
* grpc.aio cancels the task of a handler whose client went away. That is turned into `CallCancelled` where the handler
  waits. A handler that waits again gets asyncio's own error, which nothing here catches.
* Failures are answered with `abort` and never raised to grpc.aio: it would send the exception's text to the client and
  log it, and the text may quote a message.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import CancelledError
from functools import partial
from typing import Any, TypeVar

import grpc
import structlog

from authz.edge.grpc.admission import ServedMethod, methods
from authz.edge.grpc.transport import (
    LAST_SECONDS,
    WOKEN,
    CallCancelled,
    Options,
    RpcAbort,
    Services,
    Unary,
    Woken,
)

_T = TypeVar("_T")
_LOG = structlog.get_logger("authz.grpc")


class AioCall:
    """One call; see `transport.Call` for each method."""

    def __init__(self, context: Any, metadata: str = "") -> None:
        """Read and write through grpc.aio's context; `metadata` is the name of what handlers read of it."""
        self._context, self._name = context, metadata
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()  # something for `read` has come
        self._reading: asyncio.Task[bytes | None] | None = None  # goes on while the handler is woken
        self._timer: asyncio.TimerHandle | None = None
        self._ended = self._woken = self._cancelled = False

    @property
    def metadata(self) -> str | None:
        """What the client sent with the call under the name that handlers read."""
        return dict(self._context.invocation_metadata() or ()).get(self._name)

    async def read(self) -> bytes | Woken | None:
        """Return the next message, WOKEN or None."""
        self._changed.clear()
        if not self._woken and self._reading is None and not self._ended:
            self._reading = asyncio.ensure_future(self._receive())
            self._reading.add_done_callback(lambda _: self._changed.set())
        while not self._woken:
            if self._reading is not None and self._reading.done():
                return self._received(self._reading)
            with self._waiting():
                await self._changed.wait()
            self._changed.clear()
        self._woken = False
        return WOKEN

    async def write(self, message: bytes) -> None:
        """Send a message."""
        with self._waiting():
            await self._context.write(message)

    async def pause(self) -> None:
        """Let other calls be served: for as long as what is ready takes, which is a turn of the event loop."""
        with self._waiting():
            await asyncio.sleep(0)

    async def run_in_loop(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine in a task of its own, which ends with the call."""
        task = asyncio.ensure_future(work)
        try:
            with self._waiting():
                await asyncio.wait({task})
        finally:
            task.cancel()
        if task.cancelled():  # by somebody else; asyncio's own error would look like the call's end
            raise CancelledError
        return task.result()

    def wake_after(self, seconds: float) -> None:
        """Wake the handler once, later."""
        self._call_off_timer()
        self._timer = self._loop.call_later(seconds, self._wake)

    def wake(self) -> None:
        """Wake the handler; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and with it every call
            self._loop.call_soon_threadsafe(self._wake)

    def close(self) -> None:
        """Leave nothing behind that would outlive the call."""
        self._call_off_timer()
        if self._reading is not None:
            self._reading.cancel()

    async def _receive(self) -> bytes | None:
        try:
            message: Any = await self._context.read()
        except grpc.aio.BaseError:  # the call is over, which is told where the handler waits
            return None
        return None if message is grpc.aio.EOF else message

    def _received(self, reading: asyncio.Task[bytes | None]) -> bytes | None:
        self._reading = None
        if reading.cancelled():
            raise CallCancelled
        message = reading.result()
        self._ended = message is None
        return message

    def _wake(self) -> None:
        self._woken = True
        self._changed.set()

    def _call_off_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        """Turn what ends a wait because the call is over into `CallCancelled`, once."""
        if self._cancelled:
            raise asyncio.CancelledError
        try:
            yield
        except (asyncio.CancelledError, grpc.aio.BaseError):
            self._cancelled = True
            raise CallCancelled from None


class AioServer:
    """Serves gRPC methods until it is stopped; see `transport.Transport`.

    Attributes:
        ended: set once nothing is served any more.
    """

    def __init__(self, services: Services, options: Options = ()) -> None:
        """Prepare to serve; needs a running event loop."""
        self._server = grpc.aio.server(options=list(options))
        self._server.add_generic_rpc_handlers((_GenericHandlers(methods(services), services.metadata),))
        self._watching: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()

    def bind(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listen at an address; return the port, 0 if it cannot be used."""
        try:
            if credentials is None:
                return int(self._server.add_insecure_port(address))
            return int(self._server.add_secure_port(address, credentials))
        except RuntimeError:  # what grpcio makes of a failed bind
            return 0

    async def start(self) -> None:
        """Begin to serve."""
        await self._server.start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self, grace: float) -> None:
        """Accept no new call, and cancel those under way after `grace` seconds."""
        if self._watching is None:
            self.ended.set()
            return
        try:
            await asyncio.wait_for(self._stopped(grace), grace + LAST_SECONDS)
        except TimeoutError:
            _LOG.error("gRPC calls do not end")

    async def _stopped(self, grace: float) -> None:
        await self._server.stop(grace)
        await self.ended.wait()

    async def _watch(self) -> None:
        """Tell the process when grpc.aio has ended, by itself or because it was stopped."""
        try:
            await self._server.wait_for_termination()
        except Exception as error:  # noqa: BLE001 - nothing is answered any more, which denies; `ended` tells the process
            _LOG.critical("gRPC failed", error=type(error).__name__)
        finally:
            self.ended.set()


class _GenericHandlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
    """Finds the handler of a call by its method."""

    def __init__(self, found: Mapping[str, ServedMethod], metadata: str) -> None:
        self._found = {
            name: grpc.stream_stream_rpc_method_handler(partial(_serve, method, metadata))
            for name, method in found.items()
        }

    def service(self, handler_call_details: Any) -> Any:
        return self._found.get(handler_call_details.method)


async def _serve(method: ServedMethod, metadata: str, _messages: Any, context: Any) -> None:
    """Run the handler of one call, and end the call as `transport` promises."""
    if not method.admit():
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED)
    call = AioCall(context, metadata)
    try:
        code = await _handled(method, call)
    finally:
        call.close()
        method.release()
    if code is not grpc.StatusCode.OK:
        await context.abort(code)


async def _handled(method: ServedMethod, call: AioCall) -> grpc.StatusCode:
    """Run a handler; return the status of its call."""
    try:
        if method.stream is not None:
            last = await method.stream(call)
            if last is not None:
                await call.write(last)
        elif method.unary is not None:
            await _answer(method.unary, call)
    except RpcAbort as abort:
        return abort.code
    except CallCancelled:
        raise asyncio.CancelledError from None
    except Exception as error:  # noqa: BLE001 - whatever went wrong, only this call fails
        _LOG.error("call failed", error=type(error).__name__)
        return grpc.StatusCode.INTERNAL
    return grpc.StatusCode.OK


async def _answer(handler: Unary, call: AioCall) -> None:
    message = await call.read()
    if not isinstance(message, bytes):
        raise RpcAbort(grpc.StatusCode.INTERNAL)
    await call.write(await handler(message, call))

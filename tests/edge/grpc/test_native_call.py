"""A call of the native server, driven by events that the test makes instead of gRPC's core."""

from types import SimpleNamespace

import grpc
import pytest

from authz.edge.grpc.native_call import NativeCall, Operations
from authz.edge.grpc.timers import Timers
from authz.edge.grpc.transport import CallCancelled, RpcAbort


class Core:
    """Stands in for gRPC's call and for the server: keeps each batch that is started, and what it reports to."""

    def __init__(self):
        self.operations = Operations(
            receive_message=lambda _flags: "receive",
            receive_close=lambda _flags: "close",
            send_metadata=lambda _metadata, _flags: "metadata",
            send_message=lambda message, _flags: message,
            send_status=lambda _metadata, code, _details, _flags: code,
        )
        self.timers = Timers()
        self.turns = SimpleNamespace(wait=self.pauses)
        self.loop = None
        self.batches = []
        self.done = 0

    def pauses(self, resume):
        self.resume = resume

    def start_server_batch(self, operations, report):
        self.batches.append((operations, report))

    def post(self, _call, act):
        act(None)

    def on_call_done(self, _method):
        self.done += 1

    def event(self, operation, *, success=True, message=None, cancelled=False):
        """Report the oldest batch with an operation that was not reported yet."""
        position = next(
            place for place, (operations, _) in enumerate(self.batches) if operation in operations
        )
        _, report = self.batches.pop(position)
        result = SimpleNamespace(message=lambda: message, cancelled=lambda: cancelled)
        report(SimpleNamespace(success=success, batch_operations=[result]))

    @property
    def operations_waiting(self):
        return [operation for operations, _ in self.batches for operation in operations]


def streaming(handler):
    core = Core()
    NativeCall(core, core, None).serve_stream(handler)
    return core


def writer(told):
    """Return a handler that writes twice and tells what becomes of it."""

    async def handler(call):
        try:
            for message in (b"one", b"two"):
                await call.write(message)
                told.append(message)
        except CallCancelled:
            told.append("cancelled")
            raise

    return handler


def test_a_handler_goes_on_when_its_message_was_written():
    told = []
    core = streaming(writer(told))
    core.event(b"one")

    assert [b"one"] == told
    assert [b"two"] == core.operations_waiting


def test_a_failed_write_cancels_the_handler_and_resumes_it_never():
    """The client is gone: a handler that went on would write to nobody, and believe that the list had been sent."""
    told = []
    core = streaming(writer(told))
    core.event(b"one", success=False)

    assert ["cancelled"] == told
    assert [] == core.operations_waiting
    assert 1 == core.done


def pausing(told):
    """Return a handler that pauses, for which the end of its call has to be watched, and then writes as `writer` does."""

    async def handler(call):
        await call.pause()
        await writer(told)(call)

    return handler


def test_a_handler_that_a_failed_write_ended_is_not_ended_again_by_the_close_that_follows():
    told = []
    core = streaming(pausing(told))
    core.resume()
    core.event(b"one", success=False)
    core.event("close", cancelled=True)

    assert ["cancelled"] == told
    assert 1 == core.done


def test_a_close_that_is_no_cancellation_leaves_the_handler_alone():
    told = []
    core = streaming(pausing(told))
    core.event("close", cancelled=False)

    assert [] == told
    assert 0 == core.done


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RpcAbort(grpc.StatusCode.RESOURCE_EXHAUSTED), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (ValueError("secret"), grpc.StatusCode.INTERNAL),
    ],
)
def test_a_handler_that_fails_ends_its_call_with_a_status(error, code):
    async def handler(_call):
        raise error

    core = streaming(handler)

    assert ["metadata", code.value[0], "close"] == core.operations_waiting


def test_a_unary_call_without_a_message_is_answered_with_a_status_and_asks_no_handler():
    core = Core()
    NativeCall(core, core, None).serve_unary(None)
    core.event("receive", message=None)

    assert ["metadata", grpc.StatusCode.INTERNAL.value[0], "close"] == core.operations_waiting

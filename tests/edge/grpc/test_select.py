"""Which gRPC server is taken, why, and what is said of it."""

import asyncio
import sys

import grpc
import pytest
import structlog

from authz.edge.grpc import native
from authz.edge.grpc import select as module
from authz.edge.grpc.aio import AioServer
from authz.edge.grpc.native import NativeServer
from authz.edge.grpc.preload import ServerChoice
from authz.edge.grpc.select import UnusableServerError, select, trial
from tests.support.waiting import DEADLINE


def selected(wanted):
    """Select a server; returns it, and what the log says."""
    with structlog.testing.capture_logs() as logs:
        server = asyncio.run(asyncio.wait_for(select(wanted), DEADLINE))
    return server, [(entry["server"], entry["why"]) for entry in logs if entry["event"] == "gRPC server"]


class Unbindable(NativeServer):
    def bind(self, address, credentials=None):
        return 0


class Mute(NativeServer):
    """One whose calls are never answered."""

    def _begin(self, event):
        pass


class Failing(NativeServer):
    async def start(self):
        raise TypeError


class Wrong(NativeServer):
    """One that loses what was said."""

    def __init__(self, services, options):
        super().__init__(services, options)
        for method in self._methods.values():
            method.stream = self._answer

    async def _answer(self, call):
        await call.write(b"something else")


def test_auto_takes_the_native_server_where_it_works_and_says_so():
    assert (
        NativeServer,
        [("native", "it has what it needs and answered a call over loopback")],
    ) == selected(ServerChoice.AUTO)


@pytest.mark.parametrize(("wanted", "server"), [("native", NativeServer), ("aio", AioServer)])
def test_the_server_that_is_asked_for_is_taken_without_a_trial(monkeypatch, wanted, server):
    monkeypatch.setattr(module, "trial", None)

    assert (server, [(wanted, "asked for")]) == selected(ServerChoice(wanted))


def lacks_a_name(monkeypatch):
    monkeypatch.setattr(native, "missing", lambda: ["Server", "Server.start"])


def lacks_the_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "authz.edge.grpc.native", None)


LACKING = {
    f"grpcio {grpc.__version__} lacks cygrpc's Server, Server.start": lacks_a_name,
    f"grpcio {grpc.__version__} has no cygrpc of the known form": lacks_the_module,
}


@pytest.mark.parametrize(("problem", "lack"), LACKING.items())
def test_where_names_are_missing_auto_takes_the_other_and_says_which(monkeypatch, problem, lack):
    lack(monkeypatch)

    expected = AioServer, [("aio", f"the native server cannot be used: {problem}")]
    assert expected == selected(ServerChoice.AUTO)


@pytest.mark.parametrize(("problem", "lack"), LACKING.items())
def test_where_names_are_missing_the_native_server_is_refused_with_the_cure(monkeypatch, problem, lack):
    lack(monkeypatch)
    with pytest.raises(UnusableServerError) as caught:
        asyncio.run(select(ServerChoice.NATIVE))

    said = f"the native gRPC server cannot be used: {problem}; use --grpc-server auto or aio"
    assert said == str(caught.value)


FAILED = {
    Mute: "a call over loopback failed (_MultiThreadedRendezvous)",
    Failing: "a call over loopback failed (TypeError)",
    Unbindable: "a call over loopback failed (_MultiThreadedRendezvous)",
    Wrong: "a call over loopback was answered wrongly",
}


@pytest.mark.parametrize(("server", "problem"), FAILED.items())
def test_where_the_trial_fails_auto_takes_the_other(monkeypatch, server, problem):
    monkeypatch.setattr(native, "NativeServer", server)
    monkeypatch.setattr(module, "TRIAL_SECONDS", 0.2)

    expected = AioServer, [("aio", f"the native server cannot be used: {problem}")]
    assert expected == selected(ServerChoice.AUTO)


def test_the_other_server_would_pass_the_trial_too():
    assert "" == asyncio.run(trial(AioServer))

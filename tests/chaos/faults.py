"""The faults: each begins, lasts, ends, and says what shows that it took place.

A fault is over when its function returns. Where a return to normal has a documented time of its own, that time is a part
of the fault: a killed worker is over when its replacement serves, and a new key is found one cool-down after the issuer
publishes it again.
"""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.chaos import policies
from tests.chaos.field import POLL, Field, change
from tests.chaos.questions import LEGACY, Question
from tests.support.waiting import DEADLINE

REPLACED = 40.0
"""Bound of a worker's replacement: the longest pause (10 s), the wait for keys (10 s), and a slow start."""
RELOADS = 50
"""Changes of the policy file in a minute."""
LEAVING = 20
"""Clients that leave in a second."""
_FETCH_SECONDS = 2.0
"""As `keys.timeout_seconds` of the policies."""
_STEP = 7200
_CONNECTIONS = 40


Fault = Callable[[Field], Awaitable[str]]


async def kill(field: Field) -> str:
    """Kill a worker, and wait for the one in its place."""
    victim = field.rng.randrange(2)
    pid = field.stack.workers()[victim]
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    while field.stack.workers()[victim] == pid:
        if time.monotonic() - began > REPLACED:
            field.ledger.problems.append(f"a killed worker was not replaced within {REPLACED:g} s")
            return "not replaced"
        await asyncio.sleep(POLL)
    return f"replaced after {time.monotonic() - began:.1f} s"


async def stop_one(field: Field) -> str:
    """Stop a worker for a while."""
    return await _stopped(field, [field.rng.choice(field.stack.workers())])


async def stop_all(field: Field) -> str:
    """Stop every worker for a while."""
    return await _stopped(field, field.stack.workers())


async def _stopped(field: Field, pids: list[int]) -> str:
    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(field.seconds)
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    return f"{len(pids)} stopped"


async def keys_out(field: Field) -> str:
    """Let the issuer answer with errors."""
    return await _keys_fail(field, field.rng.choice(["on", "500", "html", "empty"]))


async def keys_slow(field: Field) -> str:
    """Let the issuer answer too slowly, or not at all."""
    said = await _keys_fail(field, field.rng.choice(["drip", "nothing"]))
    await asyncio.sleep(_FETCH_SECONDS)  # for which a fetch may still wait
    return said


async def _keys_fail(field: Field, mode: str) -> str:
    await _issuer(field, mode)
    try:
        await asyncio.sleep(field.seconds)
    finally:
        await _issuer(field, "off")
    await asyncio.sleep(policies.COOLDOWN_SECONDS)
    return f"mode {mode}"


async def _issuer(field: Field, mode: str) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as client:
        (await client.post(f"{field.stack.issuer.url}demo/outage/{mode}")).raise_for_status()


async def rotate(field: Field) -> str:
    """Let the issuer sign with a new key at once, and withdraw the one before the last."""
    issuer = field.stack.issuer
    await asyncio.to_thread(issuer.rotate)
    _publish(field)
    await asyncio.to_thread(field.wallet.refill)
    await asyncio.sleep(max(field.seconds, policies.COOLDOWN_SECONDS))
    for key in issuer.keys[2:]:
        issuer.revoke(key.kid)  # no token of the wallet is signed with it any more
    _publish(field)
    return f"{len(issuer.keys)} keys"


def _publish(field: Field) -> None:
    """Hold the service to the issuer's keys as they are, from now on."""
    field.oracle.keys.begin(field.stack.keys(), time.monotonic())
    field.oracle.keys.settle(time.monotonic())


async def storm(field: Field) -> str:
    """Change the policy file fifty times a minute; every other change cannot be used."""
    changes = max(2, round(field.seconds * RELOADS / 60))
    for number in range(changes):
        if number % 2:
            field.stack.write_policy(policies.bad(field.rng))
            field.stack.hang_up()
        else:
            await change(field, policies.B if field.present == policies.A else policies.A)
        await asyncio.sleep(60 / RELOADS)
    await change(field, field.present)
    return f"{changes - changes // 2} good, {changes // 2} bad"


async def resets(field: Field) -> str:
    """Let the MCP servers reset a third of the connections, before or in the middle of an answer."""
    before, field.upstream.resets = field.upstream.was_reset, 0.33
    try:
        await asyncio.sleep(field.seconds)
    finally:
        field.upstream.resets = 0.0
    return f"{field.upstream.was_reset - before} resets"


async def vanish(field: Field) -> str:
    """Let clients leave in the middle of a request, or before its answer."""
    questions = field.traffic.questions(field.rng.randrange(1 << 30), LEGACY)
    leaving = round(field.seconds * LEAVING)
    for _ in range(leaving):
        question = questions.next()
        field.ledger.sent(question)
        await _leave(field.stack.port, question, field.rng.random())
        await asyncio.sleep(0.5 / LEAVING)
    return f"{leaving} left"


async def _leave(port: int, question: Question, share: float) -> None:
    request = question.request
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    data = f"{request.method} {request.path} HTTP/1.1\r\n{lines}\r\n".encode() + request.body
    cut = len(data) if share > 0.5 else int(len(data) * 2 * share)
    with contextlib.suppress(OSError):
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data[:cut])
        await writer.drain()
        await asyncio.sleep(share * 0.02)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()


async def disk_full(field: Field) -> str:
    """Leave no room for the audit log."""
    field.stack.disk.spoilt()
    before = await field.stack.total("mcp_authz_audit_dropped_total")
    field.stack.disk.fill()
    try:
        await asyncio.sleep(field.seconds)
    finally:
        field.stack.disk.free()
    dropped = await field.stack.total("mcp_authz_audit_dropped_total") - before
    await asyncio.sleep(0.5)
    spoilt = field.stack.disk.spoilt()
    if spoilt:
        field.ledger.problems.append(f"{spoilt} records spoilt by half a record before them, on a full disk")
    return f"{dropped:.0f} records dropped"


async def clock_ahead(field: Field) -> str:
    """Set the service's clock two hours ahead and back."""
    return await _clock(field, _STEP)


async def clock_behind(field: Field) -> str:
    """Set the service's clock two hours behind and back."""
    return await _clock(field, -_STEP)


async def _clock(field: Field, step: float) -> str:
    async with _set_clock(field, step):
        await asyncio.sleep(field.seconds)
    return f"{step:+.0f} s"


@asynccontextmanager
async def _set_clock(field: Field, step: float) -> AsyncIterator[None]:
    clock = field.oracle.clock
    try:
        clock.begin(step, time.monotonic())
        field.stack.clock.set(step)
        clock.settle(time.monotonic())
        yield
    finally:
        clock.begin(0.0, time.monotonic())
        field.stack.clock.set(0)
        clock.settle(time.monotonic())


async def no_descriptors(field: Field) -> str:
    """Leave the service no file descriptor, connect to it over and over, and tell it to read its policy."""
    failed = _failed_reloads(field)
    usual = _limit(field.stack.master, 1 << 12)
    _limit(field.stack.master, usual)
    with contextlib.ExitStack() as undo:
        undo.callback(_give_back, field, usual)
        for pid in field.stack.processes():
            _limit(pid, _open_files(pid))
        for path in field.stack.sockets * _CONNECTIONS:
            _connect(undo, path)
        await change(field, field.present)
        await asyncio.sleep(field.seconds)
    await change(field, field.present)
    return f"{2 * _CONNECTIONS} connections too many, {_failed_reloads(field) - failed} failed reloads"


def _failed_reloads(field: Field) -> int:
    return sum(entry["event"].startswith("policy not reloaded") for entry in field.stack.service_log())


def _give_back(field: Field, usual: int) -> None:
    """Raise the limit again, also of a worker that was started meanwhile and inherited it."""
    for pid in field.stack.processes():
        _limit(pid, usual)


def _open_files(pid: int) -> int:
    try:
        return len([*Path(f"/proc/{pid}/fd").iterdir()])
    except FileNotFoundError:
        return 0


def _limit(pid: int, most: int) -> int:
    """Set how many files a process may have open, and return how many it might before."""
    with contextlib.suppress(ProcessLookupError):
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, hard))
        return soft
    return most


def _connect(undo: contextlib.ExitStack, path: Path) -> None:
    client = undo.enter_context(socket.socket(socket.AF_UNIX))
    client.setblocking(False)
    with contextlib.suppress(OSError):
        client.connect(str(path))


FAULTS: Mapping[str, Fault] = {
    "worker killed": kill,
    "worker stopped": stop_one,
    "both workers stopped": stop_all,
    "JWKS out": keys_out,
    "JWKS slow": keys_slow,
    "keys rotated": rotate,
    "policy reloaded": storm,
    "upstream resets": resets,
    "clients vanish": vanish,
    "audit disk full": disk_full,
    "clock ahead": clock_ahead,
    "clock behind": clock_behind,
    "no descriptors": no_descriptors,
}
"""Every fault by the name that the table has for it."""
APART = (frozenset({"clock ahead", "clock behind"}), frozenset({"JWKS out", "JWKS slow"}))
"""Faults that would undo each other."""

"""`serve --workers`: processes that are one service to whoever asks."""

import json
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz.edge.workers.process import KEYS_SECONDS
from tests.support.commands import command, spawn
from tests.support.policy_files import NATIVE
from tests.support.serving import INLINE, Served, alive, ask, channel
from tests.support.waiting import DEADLINE, eventually

CONNECTIONS, EACH = 24, 5
GRACE = 1.5


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Two workers on one port; tests leave them serving."""
    with Served(tmp_path_factory.mktemp("workers"), "--grace", "0") as served:
        yield served


def workers_that_decided(records):
    """Count the workers, each of which begins its decisions' ids otherwise."""
    return len({record["decision_id"][:-8] for record in records})


def test_metrics_and_records_of_all_workers_add_up(service):
    before, lines = service.decided(), len(service.records())
    asked = ask(service.grpc, connections=CONNECTIONS, each=EACH)

    assert CONNECTIONS * EACH == asked
    assert before + asked == service.decided()
    records = eventually(lambda: len(service.records()) == lines + asked and service.records())[lines:]
    assert 2 == workers_that_decided(records)
    assert 2 == service.metrics()['mcp_authz_workers{state="up"}']


def test_sighup_reaches_every_worker(service):
    policy = service.get("/readyz").json()["policy"]
    service.file.write_text(INLINE + "# changed\n")
    service.process.send_signal(signal.SIGHUP)

    def changed():
        return service.get("/readyz").json()["policy"] not in {policy, ""} and service.get("/readyz").json()

    said = eventually(changed)
    assert (True, False) == (said["ready"], ", " in said["policy"])
    infos = [name for name in service.metrics() if name.startswith("mcp_authz_policy_info")]
    assert [f'mcp_authz_policy_info{{hash="{said["policy"]}"}}'] == infos


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_ends_is_replaced_and_the_sums_do_not_fall(service, signum):
    ask(service.grpc, connections=CONNECTIONS)
    before, restarts = service.decided(), service.metrics()["mcp_authz_worker_restarts_total"]
    service.replace(1, signum)

    assert before <= service.decided()
    assert restarts + 1 == service.metrics()["mcp_authz_worker_restarts_total"]
    ask(service.grpc, connections=CONNECTIONS)
    assert before + CONNECTIONS == service.decided()
    assert 200 == service.get("/readyz").status_code


CUT = {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}


def health(service):
    """Ask for health over a connection of its own."""
    with channel(service.grpc) as connected:
        request = health_pb2.HealthCheckRequest()
        stub = health_pb2_grpc.HealthStub(connected)
        return stub.Check(request, timeout=DEADLINE, wait_for_ready=True).status


def test_a_worker_that_leaves_a_shared_port_is_not_missed(service):
    """Health is asked over one connection, so what one worker says of itself would count for all.

    A call that reaches the worker in its very last moment is cut; asked once more, it is answered.
    """
    with ThreadPoolExecutor(2) as pool:
        leaving = pool.submit(service.replace, 0, signal.SIGTERM)
        statuses = []
        while not leaving.done():
            try:
                statuses.append(health(service))
            except grpc.RpcError as error:
                if error.code() not in CUT:
                    raise
                statuses.append(health(service))
        leaving.result()

    assert {health_pb2.HealthCheckResponse.SERVING} == set(statuses)


def test_a_replacement_takes_no_connection_before_it_has_keys(tmp_path):
    """Its issuer cannot be reached, so it waits; who connects meanwhile is answered by the other worker."""
    keyless = NATIVE.replace("https://issuer.example/", f"http://{_free()}/")
    with Served(tmp_path, "--grace", "0", text=keyless) as served:

        def workers_that_tried(count):
            return eventually(
                lambda: [e["failures"] for e in served.events("keys not fetched")].count(1) == count
            )

        assert workers_that_tried(2)  # one that is killed before it tried would never be counted
        os.kill(served.pids()[0], signal.SIGKILL)
        assert workers_that_tried(3)

        assert CONNECTIONS == ask(served.grpc, connections=CONNECTIONS, seconds=KEYS_SECONDS / 2)
        assert 1 == served.metrics()['mcp_authz_workers{state="up"}']
        assert 503 == served.get("/readyz").status_code


@pytest.mark.parametrize("content", ["not: [a policy", None], ids=["bad", "gone"])
def test_a_worker_that_dies_while_the_policy_cannot_be_used_is_replaced_with_the_last_good_one(
    tmp_path, content
):
    with Served(tmp_path, "--grace", "0") as served:
        policy = served.get("/readyz").json()["policy"]
        if content is None:
            served.file.unlink()
        else:
            served.file.write_text(content)
        assert eventually(
            lambda: len(served.events("policy not reloaded, the last good one stays in force")) == 3
        )
        served.replace(0, signal.SIGKILL)
        served.replace(1, signal.SIGKILL)

        assert CONNECTIONS == ask(served.grpc, connections=CONNECTIONS)
        assert policy == served.get("/readyz").json()["policy"]
        assert 2 == len(served.events("policy cannot be used, the last good one is taken"))
        served.file.write_text(INLINE + "# good again\n")

        def changed():
            return served.get("/readyz").json()["policy"] not in {policy, ""}

        assert eventually(changed)


def test_one_that_is_told_to_end_says_so_and_ends_with_its_workers(tmp_path):
    with Served(tmp_path, "--grace", f"{GRACE:g}") as served:
        pids, asked = served.pids(), ask(served.grpc, connections=4)
        before = served.get("/readyz").status_code
        served.process.send_signal(signal.SIGTERM)
        draining = eventually(lambda: served.get("/readyz").status_code == 503 and served.get("/readyz"))
        with channel(served.grpc) as connected:
            health = health_pb2_grpc.HealthStub(connected).Check
            answer = health(health_pb2.HealthCheckRequest(), timeout=DEADLINE).status
        asked += ask(served.grpc)
        status = served.process.wait(DEADLINE)

        assert (200, True, 0) == (before, draining.json()["draining"], status)
        assert health_pb2.HealthCheckResponse.NOT_SERVING == answer
        assert asked == len(served.records())
        assert [] == [pid for pid in pids if alive(pid)]


def test_a_second_sigterm_ends_at_once(tmp_path):
    with Served(tmp_path, "--grace", "300") as served:
        pids = served.pids()
        served.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: served.get("/readyz").status_code == 503)

        assert 0 == served.stop()
        assert [] == [pid for pid in pids if alive(pid)]


def test_each_worker_has_a_socket_of_its_own_and_ends_when_its_supervisor_is_killed(tmp_path):
    first, second = tmp_path / "authz.sock", tmp_path / "authz-1.sock"
    with Served(tmp_path, "--grace", "0", grpc_address=f"unix:{first}") as served:
        for path in (first, second):
            assert 1 == ask(f"unix:{path}")
            assert 0o660 == stat.S_IMODE(path.stat().st_mode)
        assert 2 == workers_that_decided(eventually(lambda: len(served.records()) == 2 and served.records()))
        assert 2 == served.decided()
        served.replace(1, signal.SIGKILL)
        assert 1 == ask(f"unix:{second}")
        assert 3 == served.decided()
        pids = served.pids()
        served.process.kill()
        assert eventually(lambda: not any(alive(pid) for pid in pids))


def test_a_storm_of_long_records_leaves_no_torn_line(tmp_path):
    """Each record, and a batch of them the more, is longer than what a pipe takes from one writer at a time."""
    read, write = os.pipe()
    sockets = [f"unix:{tmp_path}/{name}.sock" for name in ("authz", "authz-1")]
    with (
        Served(tmp_path, "--grace", "0", grpc_address=sockets[0], stdout=write) as served,
        ThreadPoolExecutor(6) as pool,
    ):
        os.close(write)
        source = "s" * 6000
        asking = [pool.submit(ask, address, each=100, source=source) for address in sockets * 2]
        reading = pool.submit(_read_all, read)
        asked = sum(task.result() for task in asking)
        assert 0 == served.stop()
        lines = reading.result(DEADLINE).decode().split("\n")

    assert "" == lines.pop()
    records = [json.loads(line) for line in lines]
    assert [source] * asked == [record["source"] for record in records]
    assert 2 == workers_that_decided(records)


def _read_all(pipe):
    data = bytearray()
    while part := os.read(pipe, 4096):
        data += part
    os.close(pipe)
    return bytes(data)


def _taken():
    holder = socket.create_server(("127.0.0.1", 0), reuse_port=True)
    return holder, f"127.0.0.1:{holder.getsockname()[1]}"


def _free():
    holder, free = _taken()
    holder.close()
    return free


@pytest.mark.parametrize("which", ["--grpc", "--http"])
def test_an_address_in_use_ends_the_start_and_leaves_nothing(tmp_path, which):
    """Also when its holder would share it: that is another service, whose answers are not ours."""
    file = tmp_path / "policy.yaml"
    file.write_text(NATIVE)
    holder, taken = _taken()
    free = _free()
    with holder:
        addresses = {"--grpc": free, "--http": free, which: taken}
        words = [word for pair in addresses.items() for word in pair]
        ended = spawn("serve", "-c", file, "--workers", "2", *words)

    kind = {"--grpc": "gRPC", "--http": "HTTP"}[which]
    assert (2, "") == (ended.status, ended.out)
    assert f"{kind} cannot listen on {taken}: " in ended.err.splitlines()[-1]
    assert "serving" not in ended.err
    assert "" == _processes_with(str(file))


def test_a_socket_that_cannot_be_made_ends_the_start_and_leaves_nothing(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(NATIVE)
    where = f"unix:{tmp_path}/none/authz.sock"
    ended = spawn("serve", "-c", file, "--workers", "2", "--grpc", where, "--http", _free())

    assert (2, "") == (ended.status, ended.out)
    assert "gRPC cannot listen on unix:" in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err


def test_a_second_service_leaves_the_first_its_socket(tmp_path):
    path = tmp_path / "authz.sock"
    with Served(tmp_path, "--grace", "0", workers=1, grpc_address=f"unix:{path}") as served:
        again = ["--grpc", f"unix:{path}", "--http", _free()]
        ended = spawn("serve", "-c", served.file, "--workers", "1", *again)

        assert (2, "") == (ended.status, ended.out)
        assert f"gRPC cannot listen on unix:{path}: a running service listens there" in ended.err
        assert 1 == ask(f"unix:{path}")
        # The policy's issuer never answers, so the service is not ready for that; the socket is the other cause.
        assert "" == served.get("/readyz").json()["socket_problem"]
        path.unlink()
        assert f"the socket {path} is gone" in served.get("/readyz").json()["socket_problem"]
        path.write_text("somebody else's")
        assert 0 == served.stop()
    assert path.exists()


def _processes_with(text):
    found = subprocess.run(["pgrep", "-f", text], capture_output=True, text=True, check=False)
    return found.stdout


@pytest.mark.parametrize("workers", ["0", "65", "two"])
def test_a_number_of_workers_that_cannot_be_is_refused(tmp_path, workers):
    assert 2 == command("serve", "-c", tmp_path / "none.yaml", "--workers", workers).status


def test_too_few_open_files_are_a_warning_with_its_cure(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(NATIVE)
    holder, taken = _taken()
    with holder:
        words = [sys.executable, "-m", "authz", "serve", "-c", str(file), "--http", taken]
        script = f"ulimit -n 512 && exec {shlex.join(words)}"
        ended = subprocess.run(
            ["sh", "-c", script], capture_output=True, text=True, check=False, timeout=DEADLINE
        )
    logged = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]

    assert [(512, "ulimit -n")] == [
        (line["limit"], line["cure"]) for line in logged if line["event"] == "few files may be open"
    ]

import json
import socket
from contextlib import ExitStack

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.commands import command, spawn
from tests.support.policy_files import NATIVE
from tests.support.serving import KEYS, Served, ask, channel
from tests.support.waiting import eventually

HOST = "127.0.0.1"


def listening():
    """Give a socket that holds a port, and its address."""
    holder = socket.socket()
    holder.bind((HOST, 0))
    holder.listen()
    return holder, f"{HOST}:{holder.getsockname()[1]}"


@pytest.fixture
def taken():
    """Give two addresses that are in use."""
    with ExitStack() as stack:
        pairs = [listening() for _ in range(2)]
        for holder, _ in pairs:
            stack.enter_context(holder)
        yield [address for _, address in pairs]


@pytest.fixture
def free():
    """Give an address that nobody listens on."""
    holder, address = listening()
    holder.close()
    return address


def is_free(address):
    with socket.socket() as probe:
        return probe.connect_ex((HOST, int(address.rpartition(":")[2]))) != 0


BAD = {
    "unknown key": (NATIVE + "    zzz: 1\n", "FILE:11: servers.files.zzz: unknown key (known here: "),
    "not YAML": ("a: [\n", "FILE:1: not valid YAML: "),
    "a rule": (
        NATIVE + "        when: args.n == 1\n",
        "FILE:11: servers.files.rules[0].when: reads args, which only `args` may (line 1, column 1 of the expression)",
    ),
    "unset variable": (
        NATIVE.replace("issuer.example", "${TENANT}"),
        "FILE:3: issuers.main.issuer: the environment variable TENANT is not set (set it, for example: export TENANT=…)",
    ),
}


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD)
def test_a_bad_file_ends_the_start_before_an_address_is_touched(tmp_path, taken, text, expected):
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    grpc, http = taken
    ended = command("serve", "-c", file, "--grpc", grpc, "--http", http)

    assert 2 == ended.status
    assert ended.err.replace(str(file), "FILE").startswith(f"error: {expected}")
    assert 1 == len(ended.err.splitlines())
    assert not ended.out


@pytest.mark.parametrize("which", ["--grpc", "--http"])
def test_an_address_in_use_ends_the_start_and_is_named(tmp_path, taken, free, which):
    file = tmp_path / "policy.yaml"
    file.write_text(NATIVE)
    addresses = {"--grpc": free, "--http": free, which: taken[0]}
    ended = spawn("serve", "-c", file, *(word for pair in addresses.items() for word in pair))
    kind = which.removeprefix("--").replace("grpc", "gRPC").replace("http", "HTTP")

    assert 2 == ended.status
    assert f"error: {kind} cannot listen on {taken[0]}: " in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err
    assert "serving" not in ended.err
    assert is_free(free)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--grpc", "nonsense"], "--grpc: an address is host:port or unix:/path, as in 127.0.0.1:9001\n"),
        (["--http", "unix:/x"], "--http: a port is needed here, as in 127.0.0.1:9002\n"),
        (
            ["--grpc", "unix:x"],
            "--grpc: a socket needs an absolute path, as in unix:/run/mcp-authz/authz.sock\n",
        ),
        (
            ["--session-key-file", "k"],
            "--session-key-file: is for documents of agentgateway (write sessions.key_file into the file)\n",
        ),
        (
            ["--jwks", "a=https://b/"],
            "--jwks: is for documents of agentgateway (write jwks_uri into the file)\n",
        ),
    ],
)
def test_a_flag_that_cannot_be_ends_the_start_and_is_named(tmp_path, options, expected):
    file = tmp_path / "policy.yaml"
    file.write_text(NATIVE)
    ended = command("serve", "-c", file, *options)

    assert (2, f"error: {expected}") == (ended.status, ended.err)


KEY = "q3kV9uWmZ7tR1xC5bN8yL2pA6sD4fG0h"


@pytest.mark.parametrize(
    ("section", "warned"), [("", True), ("sessions: {key_file: session.key}\n", False)], ids=["none", "key"]
)
def test_a_service_without_a_key_for_sessions_says_so_at_its_start(tmp_path, taken, section, warned):
    """An address in use ends the start right after what is said at it."""
    file = tmp_path / "policy.yaml"
    file.write_text(NATIVE + section)
    (tmp_path / "session.key").write_text(f"{KEY}\n")
    ended = spawn("serve", "-c", file, "--grpc", taken[0], "--http", taken[1])

    assert 2 == ended.status
    assert warned is ("no key for session ids" in ended.err)
    assert KEY not in ended.err


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("options", "server"), [([], "native"), (["--grpc-server", "aio"], "aio")])
def test_every_process_that_decides_says_which_grpc_server_it_uses(tmp_path, workers, options, server):
    with Served(tmp_path, "--grace", "0", *options, workers=workers) as served:
        asked = ask(served.grpc, connections=4)
        said = [entry["server"] for entry in served.events("gRPC server")]

    assert (4, [server] * workers) == (asked, said)


def test_a_grpc_server_that_is_not_known_ends_the_start(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(NATIVE)
    ended = command("serve", "-c", file, "--grpc-server", "fast")

    assert 2 == ended.status
    assert "--grpc-server: 'fast' is not one of 'auto', 'native', 'aio'" in ended.err


def test_calls_beyond_the_limit_of_the_policy_are_refused_and_counted(tmp_path):
    keyless = NATIVE.replace("https://issuer.example/", "http://127.0.0.1:1/")
    with (
        Served(tmp_path, "--grace", "0", workers=1, text=keyless + "limits: {calls: 16}\n") as served,
        channel(served.grpc) as connected,
    ):
        watch = health_pb2_grpc.HealthStub(connected).Watch
        watching = [watch(health_pb2.HealthCheckRequest(), wait_for_ready=True) for _ in range(16)]
        said = {next(call).status for call in watching}
        refused = watch(health_pb2.HealthCheckRequest()).code()
        counted = served.metrics()['mcp_authz_calls_refused_total{rpc="/grpc.health.v1.Health/Watch"}']

    assert ({health_pb2.HealthCheckResponse.SERVING}, grpc.StatusCode.RESOURCE_EXHAUSTED) == (said, refused)
    assert 1 == counted


WELL = "sessions: {key_file: session.key}\n" + NATIVE.replace(
    "    audiences:", "    jwks_file: keys.json\n    audiences:"
)
SICK = WELL.replace("jwks_file: keys.json", "jwks_uri: http://127.0.0.1:1/keys.json")


@pytest.mark.parametrize(("text", "expected"), [(WELL, []), (SICK, [("warning", "keys not fetched")])])
def test_at_start_only_what_is_wrong_is_logged_above_info(tmp_path, text, expected):
    (tmp_path / "session.key").write_text(KEY)
    (tmp_path / "keys.json").write_text(KEYS)
    with Served(tmp_path, "--grace", "0", workers=1, text=text) as served:
        assert eventually(lambda: served.events("keys not fetched") or served.get("/readyz").is_success)
        entries = [json.loads(line) for line in served.log.read_text().splitlines()]

    assert {"level", "event", "timestamp"} <= {key for entry in entries for key in entry}
    assert expected == [(entry["level"], entry["event"]) for entry in entries if entry["level"] != "info"]

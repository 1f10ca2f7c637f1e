import socket
from contextlib import ExitStack

import pytest

from tests.support.commands import spawn
from tests.support.policy_files import NATIVE

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
    "not YAML": ("a: [\n", "FILE:2: not valid YAML: "),
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
    ended = spawn("serve", "-c", file, "--grpc", grpc, "--http", http)

    assert 2 == ended.status
    assert ended.err.replace(str(file), "FILE").startswith(expected)
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
    assert f"{kind} cannot listen on {taken[0]}: " in ended.err.splitlines()[-1]
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
            "--session-key-file: is for Kubernetes documents (write sessions.key_file into the file)\n",
        ),
        (
            ["--jwks", "a=https://b/"],
            "--jwks: is for Kubernetes documents (write jwks_uri into the file)\n",
        ),
    ],
)
def test_a_flag_that_cannot_be_ends_the_start_and_is_named(tmp_path, options, expected):
    file = tmp_path / "policy.yaml"
    file.write_text(NATIVE)
    ended = spawn("serve", "-c", file, *options)

    assert (2, expected) == (ended.status, ended.err)


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

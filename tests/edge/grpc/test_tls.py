"""Mutual TLS on the gRPC port: who is served, what a renewal changes, and how the start fails."""

import asyncio
import shutil
import socket
import ssl

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz.config.settings import GrpcTls
from authz.edge.grpc.health import Health
from authz.edge.grpc.tls import TlsError, credentials
from tests.support.certificates import Authority
from tests.support.commands import spawn
from tests.support.policy_files import NATIVE
from tests.support.rpc import serving
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.usefixtures("grpc_server")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Certificates of an authority, and of another one of the same kind."""
    folder, elsewhere = (tmp_path_factory.mktemp(name) for name in ("ours", "theirs"))
    ours, theirs = Authority(folder), Authority(elsewhere)
    return {
        "ca": ours.cert,
        "other ca": theirs.cert,
        "service": ours.certify("service", "localhost"),
        "renewed": ours.certify("renewed", "localhost"),
        "envoy": ours.certify("envoy"),
        "stranger": theirs.certify("stranger"),
    }


@pytest.fixture
def tls(made, tmp_path):
    """The service's files, which a test may replace."""
    pair = made["service"]
    for source, name in ((pair.cert, "tls.crt"), (pair.key, "tls.key"), (made["ca"], "ca.crt")):
        shutil.copy(source, tmp_path / name)
    return GrpcTls(
        cert_file=str(tmp_path / "tls.crt"),
        key_file=str(tmp_path / "tls.key"),
        client_ca_file=str(tmp_path / "ca.crt"),
    )


async def _ask(port, made, client, authority="ca"):
    """Ask for the health as a client with a certificate of its own; gives "SERVING", or why not."""
    own = made[client] if client else None
    shown = {"private_key": own.key.read_bytes(), "certificate_chain": own.cert.read_bytes()} if own else {}
    secure = grpc.ssl_channel_credentials(made[authority].read_bytes(), **shown)
    async with grpc.aio.secure_channel(f"localhost:{port}", secure) as channel:
        return await _health(channel)


async def _health(channel):
    try:
        answer = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=DEADLINE
        )
    except grpc.aio.AioRpcError as error:
        return error.code()
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def _served(tls, act):
    """Serve health under these credentials while `act(port)` runs."""

    async def run():
        health = Health()
        health.say(serving=True)
        async with serving(unary=health.unary, credentials=credentials(tls), host="localhost") as (_, port):
            return await act(port)

    return asyncio.run(run())


def test_a_client_of_the_named_authority_is_served(tls, made):
    assert "SERVING" == _served(tls, lambda port: _ask(port, made, "envoy"))


@pytest.mark.parametrize("client", [None, "stranger"])
def test_a_client_without_a_certificate_of_it_is_not(tls, made, client):
    assert grpc.StatusCode.UNAVAILABLE == _served(tls, lambda port: _ask(port, made, client))


def test_a_client_in_plain_text_is_not(tls):
    async def plain(port):
        async with grpc.aio.insecure_channel(f"localhost:{port}") as channel:
            return await _health(channel)

    assert grpc.StatusCode.UNAVAILABLE == _served(tls, plain)


def _shown(port, made):
    """The certificate that a new connection is shown."""
    context = ssl.create_default_context(cafile=made["ca"])
    context.load_cert_chain(made["envoy"].cert, made["envoy"].key)
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("localhost", port), timeout=DEADLINE) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        return dict(pair for name in secure.getpeercert()["subject"] for pair in name)["commonName"]


def test_a_renewed_certificate_is_shown_to_the_next_connection(tls, made):
    async def act(port):
        before = await asyncio.to_thread(_shown, port, made)
        shutil.copy(made["renewed"].key, tls.key_file)
        halfway = await asyncio.to_thread(_shown, port, made)
        shutil.copy(made["renewed"].cert, tls.cert_file)
        return before, halfway, await asyncio.to_thread(_shown, port, made)

    assert ("service", "service", "renewed") == _served(tls, act)


def test_files_that_are_gone_change_nothing(tls, made):
    async def act(port):
        for path in (tls.key_file, tls.cert_file):
            shutil.move(path, path + ".away")
        return await _ask(port, made, "envoy")

    assert "SERVING" == _served(tls, act)


def test_other_authorities_count_for_the_next_connection(tls, made):
    async def act(port):
        shutil.copy(made["other ca"], tls.client_ca_file)
        return await _ask(port, made, "envoy"), await _ask(port, made, "stranger")

    assert (grpc.StatusCode.UNAVAILABLE, "SERVING") == _served(tls, act)


UNUSABLE = {
    "listen.tls.cert_file: {folder}/tls.crt cannot be read: No such file or directory": ("tls.crt", None),
    "listen.tls.key_file: {folder}/tls.key cannot be read: No such file or directory": ("tls.key", None),
    "listen.tls.key_file: {folder}/tls.key is not the unlocked PEM key of {folder}/tls.crt": (
        "tls.key",
        "no key",
    ),
    "listen.tls.client_ca_file: {folder}/ca.crt holds no certificates in PEM": ("ca.crt", "none"),
}


def _spoil(folder, name, content):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)


@pytest.mark.parametrize(("expected", "spoiled"), UNUSABLE.items())
def test_a_file_that_cannot_be_used_is_named(tls, tmp_path, expected, spoiled):
    _spoil(tmp_path, *spoiled)
    with pytest.raises(TlsError) as caught:
        credentials(tls)

    assert expected.format(folder=tmp_path) == str(caught.value)


def test_the_key_of_another_certificate_is_refused(tls, made):
    shutil.copy(made["renewed"].key, tls.key_file)
    with pytest.raises(TlsError, match="is not the unlocked PEM key of"):
        credentials(tls)


def test_serve_ends_before_it_serves_when_a_file_cannot_be_used(tls, tmp_path):
    _spoil(tmp_path, "tls.key", None)
    section = "listen:\n  tls: {cert_file: tls.crt, key_file: tls.key, client_ca_file: ca.crt}\n"
    (tmp_path / "policy.yaml").write_text(section + NATIVE)
    ended = spawn("serve", "-c", tmp_path / "policy.yaml", "--grpc", "localhost:0", "--http", "127.0.0.1:0")

    assert (2, "") == (ended.status, ended.out)
    assert f"listen.tls.key_file: {tmp_path}/tls.key cannot be read: No such file or directory" in ended.err
    assert "Traceback" not in ended.err

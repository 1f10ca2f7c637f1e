"""Who may listen at a Unix socket's path, and who may remove it."""

import socket
import stat

import pytest

from authz.edge.grpc.socket_path import SocketPath
from authz.edge.http.listener import BindError


@pytest.fixture
def sockets():
    """A function that listens at an address, as gRPC's core does; what it opened is closed after the test."""
    opened = []

    def bind(address):
        listener = socket.socket(socket.AF_UNIX)
        opened.append(listener)
        listener.bind(address.removeprefix("unix:"))
        listener.listen()
        return 1

    yield bind
    for listener in opened:
        listener.close()


def test_a_socket_is_reached_at_its_path_by_its_group_and_leaves_no_other_name(tmp_path, sockets):
    path = tmp_path / "authz.sock"
    own = SocketPath.listen(path, sockets)

    assert 0o660 == stat.S_IMODE(path.stat().st_mode)
    assert [path] == list(tmp_path.iterdir())
    assert "" == own.lost()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_path_at_which_a_service_listens_is_refused_and_left_to_it(tmp_path, sockets):
    path = tmp_path / "authz.sock"
    first = SocketPath.listen(path, sockets)
    with pytest.raises(BindError, match=f"unix:{path}: a running service listens there"):
        SocketPath.listen(path, sockets)

    assert "" == first.lost()


def test_a_socket_that_a_killed_process_left_is_replaced(tmp_path):
    path = tmp_path / "authz.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    with socket.socket(socket.AF_UNIX) as again:

        def bind(address):
            again.bind(address.removeprefix("unix:"))
            again.listen()
            return 1

        assert "" == SocketPath.listen(path, bind).lost()


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: path.write_text("notes"), "there is a file that is no socket"),
        (lambda path: path.mkdir(), "there is a file that is no socket"),
    ],
)
def test_what_is_no_socket_is_never_replaced(tmp_path, sockets, make, problem):
    path = tmp_path / "authz.sock"
    make(path)
    with pytest.raises(BindError, match=problem):
        SocketPath.listen(path, sockets)

    assert path.exists()


def test_a_directory_that_is_missing_is_named(tmp_path):
    with pytest.raises(BindError, match="not permitted, or no such directory"):
        SocketPath.listen(tmp_path / "none" / "authz.sock", lambda _: 0)


def test_a_socket_that_another_took_is_lost_and_not_removed(tmp_path, sockets):
    path, other = tmp_path / "authz.sock", tmp_path / "other.sock"
    own = SocketPath.listen(path, sockets)
    sockets(f"unix:{other}")
    other.replace(path)
    own.remove()

    assert f"the socket {path} belongs to another process" in own.lost()
    assert path.exists()


def test_a_socket_that_was_deleted_is_lost(tmp_path, sockets):
    path = tmp_path / "authz.sock"
    own = SocketPath.listen(path, sockets)
    path.unlink()

    assert f"the socket {path} is gone" in own.lost()


def test_an_own_socket_is_removed_at_the_end(tmp_path, sockets):
    path = tmp_path / "authz.sock"
    SocketPath.listen(path, sockets).remove()

    assert not path.exists()

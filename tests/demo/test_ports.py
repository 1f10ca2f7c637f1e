import socket

import pytest

from authz.demo.ports import free_port, loopback, preferred_port


def test_free_ports_can_be_bound_and_are_never_the_same():
    ports = [free_port() for _ in range(200)]
    for port in ports[:20]:
        socket.create_server(("127.0.0.1", port)).close()

    assert 200 == len(set(ports))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8"])
def test_loopback_addresses_pass(host):
    assert host == loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "127.0.0.1.example", "localhost", "", "127.1"])
def test_other_addresses_and_names_do_not_pass_as_loopback(host):
    with pytest.raises(ValueError):
        loopback(host)


def test_the_preferred_port_is_given_while_nobody_listens_on_it():
    port = free_port()

    assert port == preferred_port(port)


def test_another_port_is_given_where_somebody_listens_on_the_preferred_one():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken = listening.getsockname()[1]

        assert taken != preferred_port(taken)

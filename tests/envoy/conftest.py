"""The running parts that the tests of this directory share."""

import pytest

from tests.support.raw_server import raw_server
from tests.support.running import EVERYTHING, another_gateway, shared_stack
from tests.support.tokens import A_DAY


@pytest.fixture(scope="session")
def stack(pytestconfig):
    """Not for tests that stop or slow a part."""
    return shared_stack(pytestconfig)


@pytest.fixture(scope="session")
def port(stack):
    return stack.gateways["native"].ports.envoy


@pytest.fixture(scope="session")
def admin(stack):
    """A token that may use everything."""
    return stack.token(ttl=A_DAY, **EVERYTHING)


@pytest.fixture(scope="session")
def user(stack):
    """A token that may use echo and get_user_info."""
    return stack.token(ttl=A_DAY)


@pytest.fixture(scope="session")
def raw():
    with raw_server() as server:
        yield server


@pytest.fixture(scope="session")
def raw_port(stack, raw):
    """Envoy's port in front of the raw server."""
    gateway = another_gateway(stack, "raw", upstream=f"http://127.0.0.1:{raw.port}/mcp")
    gateway.start()
    return gateway.ports.envoy

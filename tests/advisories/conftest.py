"""The running parts that attacks are sent to."""

import pytest

from tests.support.running import EVERYTHING, shared_stack
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

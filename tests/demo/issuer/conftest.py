"""The demo issuer's parts, with a clock that stands still and one key for all tests of a module."""

import pytest

from authz.demo.issuer.app import IssuerServer
from authz.demo.issuer.authorization_code import Flows
from authz.demo.issuer.tokens import SigningKey, TokenIssuer
from tests.support.clock import ManualClock
from tests.support.oauth_flows import URL


@pytest.fixture
def clock():
    return ManualClock(1_000_000.0)


@pytest.fixture(scope="module")
def key():
    return SigningKey()


@pytest.fixture
def flows(clock, key):
    return Flows(TokenIssuer(URL, clock=clock, key=key), interval=5, lifetime=900)


@pytest.fixture(scope="module")
def issuer():
    return TokenIssuer(URL)


@pytest.fixture
def server():
    """A running issuer, with its flows."""
    running = IssuerServer()
    with running:
        yield running


@pytest.fixture
def served(server):
    """The keys and tokens of a running issuer."""
    return server.flows.issuer

"""The clients of the official SDKs through Envoy and the service: each cell of the table is as expected.

`make clients` plays the same for the other languages and the agent frameworks, which are not installed for the suite.
"""

import pytest

from tests.clients import place
from tests.clients.rows import ROWS, names_in_suite
from tests.clients.table import details, play
from tests.support.installed import NotInstalledError
from tests.support.running import shared_stack

pytestmark = pytest.mark.envoy


@pytest.fixture(scope="module")
def here(pytestconfig):
    return place.start(shared_stack(pytestconfig))


def command_or_skip(row):
    try:
        return row.command()
    except NotInstalledError as reason:
        pytest.skip(f"needs a registry, for {row.lock}: {reason}")


@pytest.mark.parametrize("name", names_in_suite())
def test_the_user_of_an_sdk_sees_what_is_expected_and_goes_on(here, name):
    client = play(ROWS[name], command_or_skip(ROWS[name]), here)

    assert [*ROWS[name].cells] == [*(client.cells or ())], client.wrong
    assert client.right, details(name, client, everything=False)

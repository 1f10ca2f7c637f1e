"""What the tests of this directory share."""

import pytest

from tests.support import rpc


@pytest.fixture(scope="module", params=rpc.SERVERS)
def grpc_server(request):
    """Run a module's tests over each of the gRPC servers."""
    with rpc.using(request.param):
        yield request.param

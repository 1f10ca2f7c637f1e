"""What is told of a server that answers no question about what it offers."""

import httpx
import pytest

from authz.tools.conversation import Allowance, CatalogueError, Legacy

URL = "https://server.example/mcp"


@pytest.mark.parametrize(
    ("status", "headers", "cure"),
    [
        (401, {}, "pass a --token that may list everything"),
        (403, {}, "pass a --token that may list everything"),
        (401, {"authorization": "Bearer x"}, "the token was refused"),
        (403, {"authorization": "Bearer x"}, "or this is not the endpoint"),
        (502, {}, "is the server up"),
        (503, {}, "is the server up"),
        (504, {"authorization": "Bearer x"}, "is the server up"),
        (404, {}, "is this the endpoint of an MCP server?"),
        (500, {}, "is this the endpoint of an MCP server?"),
    ],
)
def test_each_status_has_its_own_cure(status, headers, cure):
    answers = httpx.MockTransport(lambda _request: httpx.Response(status, stream=httpx.ByteStream(b"")))
    with httpx.Client(transport=answers, headers=headers) as http, pytest.raises(CatalogueError) as told:
        Legacy(http, URL, Allowance(URL)).begin()

    assert f"status {status} and no result (" in str(told.value)
    assert cure in str(told.value)

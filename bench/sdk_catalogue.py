"""The same list of tools from a server on the official SDK, which makes it anew for every request.

It tells what trimming adds to a list as most servers in Python give it; `catalogue` tells what it adds to the least
that a list can cost.
"""

import argparse

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from authz.demo.ports import loopback
from bench.catalogue import description_of, name_of

SIZE = 1_000
"""Number of tools that it has."""


async def _tool(path: str, limit: int = 10, recursive: bool = False) -> str:
    return f"{path} {limit} {recursive}"


def main() -> None:
    """Serve on loopback until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    given = parser.parse_args()
    server = MCPServer("bench", log_level="WARNING")
    for number in range(SIZE):
        server.add_tool(_tool, name=name_of(number), description=description_of(number))
    anyone = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    served = server.streamable_http_app(streamable_http_path="/mcp", transport_security=anyone)
    uvicorn.run(served, host=loopback("127.0.0.1"), port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()

"""A proxy that adds a bearer token to every request, for programs that can send none: `python -m … PORT TARGET_PORT`.

The token comes in `TOKEN`.
"""

import asyncio
import os
import sys

from tests.support.editing_proxy import Request, serve


def main() -> None:
    """Serve until ended."""
    token = os.environ["TOKEN"]

    def add_token(request: Request) -> None:
        request.headers["authorization"] = f"Bearer {token}"

    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), add_token))


if __name__ == "__main__":
    main()

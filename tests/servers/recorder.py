"""Stands between Envoy and a server and writes down what arrives: `python -m tests.servers.recorder PORT TARGET FILE`.

One line of JSON for each message: its method, and the name, URI or reference of what it is for.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.support.editing_proxy import Request, serve


def _asked(params: dict[str, Any]) -> str:
    of = params.get("ref") or params
    return str(of.get("name") or of.get("uri") or "")


def main() -> None:
    """Serve until ended."""
    file = Path(sys.argv[3])

    def write(request: Request) -> None:
        if request.body:
            message = json.loads(request.body)
            line = {"method": message.get("method", ""), "name": _asked(message.get("params") or {})}
            with file.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")

    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), write))


if __name__ == "__main__":
    main()

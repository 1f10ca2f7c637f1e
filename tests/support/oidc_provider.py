"""The authorization server of the npm package `oidc-provider`, in a process of its own."""

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.node import node_or_skip
from tests.support.waiting import DEADLINE

_SCRIPT = Path(__file__).with_suffix(".mjs")


@contextlib.contextmanager
def serving(clients: list[dict[str, Any]]) -> Iterator[str]:
    """Serve these clients until the end of the block; gives the issuer. Skips the test where npm has nothing."""
    node = node_or_skip()
    module = node.modules / "oidc-provider" / "lib" / "index.js"
    command = node.command(_SCRIPT, module.as_uri(), json.dumps(clients))
    with subprocess.Popen(
        command,
        env=node.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        late = threading.Timer(DEADLINE, process.kill)
        late.start()
        try:
            issuer = process.stdout.readline().strip() if process.stdout else ""
            late.cancel()
            assert issuer, "oidc-provider did not start"
            yield issuer
        finally:
            late.cancel()
            process.kill()

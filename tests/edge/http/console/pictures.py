"""Makes the pictures of the console for the documentation: `python -m tests.edge.http.console.pictures docs`."""

import random
import sys
import tempfile
from pathlib import Path

from tests.edge.http.console.test_browser import beside_modules, busy, call, visit
from tests.support.node import find_node


def _live(service, calls=600):
    """Let callers call, so that a picture has something to show."""
    turn = random.Random(1)
    for _ in range(calls):
        tool = turn.choice(["list_files"] * 6 + ["read_file", "delete_file", "drop_table"])
        scope = turn.choice(["files:read"] * 3 + ["files:read files:delete"])
        call(service.grpc, tool, sub=turn.choice(["ann", "bob", "carol"]), scope=scope)


def _main(pictures):
    node = find_node()
    with tempfile.TemporaryDirectory() as folder, busy(folder) as service:
        _live(service)
        visit(service, node, beside_modules(node, folder), Path(pictures).resolve())


if __name__ == "__main__":
    _main(sys.argv[1])

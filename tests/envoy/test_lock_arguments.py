"""Calls whose arguments the official JSON Schema test suite calls invalid never reach the server, through a real Envoy.

A sample: of every file of both drafts one schema, and of each two cases that are valid and two that are not. All cases are
compared in tests/config/test_schema_suite.py.
"""

import json

import pytest

from authz.config.lock_file import LockFile
from authz.config.lock_schema import LockedSchema, SchemaError
from authz.core.mcp.definition import marked
from authz.core.mcp.item import ListName
from authz.tools.catalogue import Catalogue
from authz.tools.lock.document import locked_items, render_lock
from tests.support.raw_server import response
from tests.support.running import another_gateway
from tests.support.schema_suite import as_read, suite_or_skip
from tests.support.wire import ask, message

pytestmark = pytest.mark.envoy

STRICTER = {"format", "optional/bignum"}
"""Files with cases that the suite calls valid and that are refused; tests/config/test_schema_suite.py says why."""


def sample(groups):
    """The first group of each file that can be used."""
    chosen = {}
    for group in groups:
        if (group.draft, group.file) not in chosen and usable(group.schema):
            chosen[group.draft, group.file] = group
    return list(chosen.values())


def usable(schema):
    try:
        LockedSchema(marked(as_read(schema)))
    except SchemaError:
        return False
    return True


@pytest.fixture(scope="module")
def tools():
    """What the server offers: a tool for each schema of the sample."""
    return {f"case_{number}": group for number, group in enumerate(sample(suite_or_skip()))}


@pytest.fixture(scope="module")
def gateway(stack, raw, tools):
    offered = [{"name": name, "inputSchema": marked(as_read(group.schema))} for name, group in tools.items()]
    items = locked_items([Catalogue("modern", {ListName.TOOLS: offered})])
    path = stack.supervisor.logs / "suite.lock"
    path.write_text(render_lock(LockFile(server="http://raw/mcp", made={}, items=items)), "utf-8")

    def edit(policy):
        lock = f'    lock: {{file: {path}}}\n    arguments: locked\n    rules:\n      - allow: {{tools: ["case_*"]}}'
        return policy.replace("    rules:", lock, 1)

    gateway = another_gateway(stack, "suite", upstream=f"http://127.0.0.1:{raw.port}/mcp", edit=edit)
    gateway.start()
    return gateway


def picked(cases):
    """Two cases of each answer, at most."""
    return [case for valid in (True, False) for case in [each for each in cases if each[1] is valid][:2]]


def test_what_the_suite_calls_invalid_never_reaches_the_server(raw, gateway, user, tools):
    raw.script = [response(json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"content": []}}).encode())]
    passed, refused, wrong = [], [], []
    for name, group in tools.items():
        for arguments, valid, about in picked(group.cases):
            before = len(raw.seen)
            body = message("tools/call", {"name": name, "arguments": arguments})
            reason = ask(gateway.ports.envoy, user, body).reason or "allowed"
            reached = len(raw.seen) > before
            (passed if reached else refused).append(reason)
            if reached > valid or (reached < valid and group.file not in STRICTER):
                wrong.append((group.draft, group.file, group.about, about, reason))

    assert [] == wrong
    assert ({"allowed"}, {"args_not_allowed"}) == (set(passed), set(refused))
    assert min(len(passed), len(refused)) > 100

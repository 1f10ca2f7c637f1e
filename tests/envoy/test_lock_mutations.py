"""Every change of meaning is withheld from list and call, and no other spelling is, however the list is delivered.

What is drawn is drawn from a seed that the test's name shows, so that a failure can be had again.
"""

import json
import random
import re

import pytest

from authz.config.lock_file import LockFile
from authz.core.mcp.item import ListName
from authz.tools.catalogue import Catalogue
from authz.tools.lock.document import locked_items, render_lock
from tests.support import lock_mutations
from tests.support.lock_mutations import CHANGES, FRAMINGS, LOOK_ALIKES, TOOL, answer, changed, same
from tests.support.raw_server import response
from tests.support.running import another_gateway, metrics
from tests.support.wire import LEGACY_HEADERS, ask, legacy, message

pytestmark = pytest.mark.envoy

ERAS = ["legacy", "modern"]
SEEDS = range(3)
OTHERS = {
    "prompts": ({"name": "hello", "description": "Greet."}, "prompts/get", {"name": "hello"}),
    "resources": ({"uri": "file:///a", "name": "a"}, "resources/read", {"uri": "file:///a"}),
    "resourceTemplates": (
        {"uriTemplate": "db:///t/{id}", "name": "t"},
        "resources/read",
        {"uri": "db:///t/1"},
    ),
}
"""An item of every other list, and a request that uses it."""
RULES = """    rules:
      - allow: {prompts: [hello], resources: ["file:///a", "db:///t/*"]}
"""
INFO = b'{"name":"get_user_info","description":"Say who calls."}'
CALL = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"content": []}}).encode()


@pytest.fixture(scope="module")
def gateway(stack, raw):
    offered = {ListName.TOOLS: [dict(TOOL), json.loads(INFO)]}
    offered |= {ListName(section): [item] for section, (item, *_) in OTHERS.items()}
    path = stack.supervisor.logs / "mutations.lock"
    items = locked_items([Catalogue("legacy", offered)])
    path.write_text(render_lock(LockFile(server="http://raw/mcp", made={}, items=items)), "utf-8")
    gateway = another_gateway(
        stack,
        "mutations",
        upstream=f"http://127.0.0.1:{raw.port}/mcp",
        edit=lambda text: text.replace("    rules:", f"    lock: {{file: {path}}}\n{RULES.rstrip()}", 1),
    )
    gateway.start()
    return gateway


class Caller:
    """Lists and calls in one era."""

    def __init__(self, raw, port, token, era):
        self.raw, self.port, self.token, self.modern = raw, port, token, era == "modern"
        self.change = None if self.modern else LEGACY_HEADERS

    def listed(self, pages, framing="JSON", rng=None):
        """Ask for all pages of what a server offers, and give the names that arrive."""
        rng, names, cursor = rng or random.Random(0), [], {}
        for number, page in enumerate(pages):
            following = f"page {number + 1}" if number + 1 < len(pages) else None
            self.raw.script = FRAMINGS[framing](rng, answer(page, following))
            write = message if self.modern else legacy
            result = results(ask(self.port, self.token, write("tools/list", cursor), change=self.change))
            names += [tool["name"] for tool in result["tools"]]
            cursor = {"cursor": result.get("nextCursor")}
        return names

    def asked(self, method, params, body):
        """Ask, and give the reply where the server answers with this body."""
        self.raw.script = [response(body)]
        write = message if self.modern else legacy
        change = self.change or {"mcp-name": params.get("name", params.get("uri"))}
        return ask(self.port, self.token, write(method, params), change=change)

    def called(self):
        """Call the tool, and give the reason for the refusal, or "allowed"."""
        return self.asked("tools/call", {"name": "echo", "arguments": {}}, CALL).reason or "allowed"


def results(reply):
    """The result in an answer, JSON or events."""
    text = reply.body.decode("utf-8-sig")
    if "event-stream" in reply.headers.get("content-type", ""):
        lines = re.split(r"\r\n|\n|\r", text)
        text = "\n".join(line[5:] for line in lines if line.startswith("data:"))
    return json.loads(text)["result"]


@pytest.fixture(params=ERAS)
def caller(raw, gateway, user, request):
    return Caller(raw, gateway.ports.envoy, user, request.param)


@pytest.mark.requirement("security.lock-holds")
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_of_meaning_is_withheld_from_list_and_call(caller, kind, seed):
    rng = random.Random(f"{kind} {seed}")
    framing = rng.choice(list(FRAMINGS))
    other = changed(kind, rng)
    pages = rng.choice([[[INFO, other]], [[other, INFO]], [[INFO], [other]], [[other], [INFO]]])

    assert ["get_user_info"] == caller.listed(pages, framing, rng), (framing, other)
    assert "item_changed" == caller.called()
    assert ["echo"] == caller.listed([[same(rng)]], framing, rng)
    assert "allowed" == caller.called()


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_change_is_withheld_and_another_spelling_is_not_however_the_list_is_delivered(caller, framing):
    rng = random.Random(framing)

    assert ["echo", "get_user_info"] == caller.listed([[same(rng), INFO]], framing, rng)
    assert ["get_user_info"] == caller.listed([[changed("a letter", rng)], [INFO]], framing, rng)
    assert ["get_user_info", "echo"] == caller.listed([[INFO], [same(rng)]], framing, rng)
    assert "allowed" == caller.called()


@pytest.mark.parametrize("kind", LOOK_ALIKES)
def test_a_look_alike_is_withheld_beside_the_tool_that_it_looks_like(caller, kind):
    rng = random.Random(kind)
    alike = [dict(TOOL) | {"name": LOOK_ALIKES[kind](rng)} for _ in range(3)]
    written = [lock_mutations.spelled(tool, rng).encode() for tool in alike]

    assert ["echo"] == caller.listed([[*written, same(rng)]])
    assert "allowed" == caller.called()


METHODS = {
    "prompts": "prompts/list",
    "resources": "resources/list",
    "resourceTemplates": "resources/templates/list",
}


@pytest.mark.parametrize("section", OTHERS)
def test_a_changed_prompt_resource_or_template_is_withheld_and_not_used(caller, section):
    item, method, params = OTHERS[section]
    shown = []
    for offered in (item, {**item, "title": "Other"}, item):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {section: [offered]}}).encode()
        listed = caller.asked(METHODS[section], {}, body)
        used = caller.asked(method, params, CALL)
        shown.append((len(json.loads(listed.body)["result"][section]), used.reason))

    assert [(1, ""), (0, "item_changed"), (1, "")] == shown


def test_a_thousand_spellings_of_the_same_meaning_raise_no_alarm(caller, gateway):
    """Ten thousand are compared in tests/core/mcp/test_definition.py, without a list around them."""
    rng = random.Random(17)
    before = compared(gateway)
    names = caller.listed([[same(rng) for _ in range(1000)]], rng.choice(list(FRAMINGS)), rng)
    grown = {outcome: count - before[outcome] for outcome, count in compared(gateway).items()}

    assert ["echo"] * 1000 == names
    assert {"equal": 1000, "changed": 0, "unlisted": 0} == grown


def compared(gateway):
    found = metrics(gateway)
    return {
        outcome: found.get(f'mcp_authz_lock_total{{outcome="{outcome}",server="demo"}}', 0)
        for outcome in ("equal", "changed", "unlisted")
    }

"""The console in a real Chromium, about a service of two workers that has denied a real token.

`pictures` visits it too, for the documentation.
"""

import contextlib
import json
import shutil
from pathlib import Path

import pytest
from envoy.service.auth.v3 import external_auth_pb2

from tests.support import tokens
from tests.support.node import node_or_skip
from tests.support.serving import KEYS, METHOD, Served, channel, check_request
from tests.support.waiting import DEADLINE, eventually

pytestmark = pytest.mark.envoy

_SCRIPT = Path(__file__).with_name("console_page.mjs")
_SECONDS = 60
TEXT = """\
limits: {quiet_seconds: 32}
issuers:
  main: {issuer: ISSUER, audiences: [AUDIENCE], jwks_file: jwks.json}
servers:
  files:
    resource: https://mcp.example/mcp
    issuers: [main]
    rules:
      - name: readers
        allow: {tools: [list_files, read_file]}
        scopes: [files:read]
      - name: deleters
        allow: {tools: [delete_file]}
        scopes: [files:delete]
"""


def call(address, tool, **claims):
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}})
    message = external_auth_pb2.CheckRequest.FromString(check_request("203.0.113.7"))
    message.attributes.request.http.raw_body = request.encode()
    headers = message.attributes.request.http.headers
    headers["accept"] = "application/json, text/event-stream"
    headers["authorization"] = f"Bearer {tokens.token(tokens.current(**claims))}"
    with channel(address) as connected:
        connected.unary_unary(METHOD)(message.SerializeToString(), timeout=DEADLINE, wait_for_ready=True)


@contextlib.contextmanager
def busy(folder, text=TEXT):
    """Serve, and decide what the page shall show; gives the service."""
    (Path(folder) / "jwks.json").write_text(KEYS)
    text = text.replace("ISSUER", tokens.ISSUER).replace("AUDIENCE", tokens.AUDIENCE)
    with Served(folder, "--grace", "0", text=text) as service:
        for _ in range(20):
            call(service.grpc, "list_files", scope="files:read")
        call(service.grpc, "delete_file", scope="files:read")
        assert eventually(lambda: "why " in service.get("/").text)
        yield service


def visit(service, node, script, pictures=""):
    asked = {
        "chromium": shutil.which("chromium"),
        "page": f"http://{service.http}",
        "pictures": str(pictures),
        "claims": '{"sub": "ann", "scope": "files:delete"}',
    }
    done = node.run(node.command(script, json.dumps(asked)), seconds=_SECONDS)
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    if shutil.which("chromium") is None:
        pytest.skip("needs chromium on the PATH: apt-get install chromium")
    node, folder = node_or_skip(), tmp_path_factory.mktemp("console")
    with busy(folder) as service:
        return visit(service, node, beside_modules(node, folder))


def beside_modules(node, folder):
    (Path(folder) / "node_modules").symlink_to(node.modules, target_is_directory=True)
    return shutil.copy(_SCRIPT, folder)


@pytest.mark.parametrize("view", ["light", "dark", "phone"])
def test_every_text_can_be_read_and_the_page_is_as_wide_as_the_screen(found, view):
    seen = found["views"][view]

    assert seen["contrast"] >= 4.5
    assert not seen["wide"]
    assert [] == seen["nameless"]


def test_dark_is_dark_and_the_browser_complains_of_nothing(found):
    backgrounds = {found["views"][view]["background"] for view in ("light", "dark")}

    assert {"rgb(255, 255, 255)", "rgb(22, 22, 26)"} == backgrounds
    assert [] == found["errors"]


def test_the_keyboard_leads_to_why_delete_file_was_denied_and_who_may_call_it(found):
    assert "solid" == found["outline"]
    assert "tool delete_file at files was denied to auth0|alice by client-1 as missing_scope" in found["why"]
    assert "deleters must hold: scopes files:delete" in found["why"]


def test_the_lists_of_entered_claims_are_shown(found):
    rows = [line.split("\t")[1:3] for line in found["lists"].splitlines()]

    assert ["delete_file", "yes"] in rows
    assert ["list_files", "no"] in rows

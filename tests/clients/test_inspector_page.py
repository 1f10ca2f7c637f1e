"""The MCP Inspector's web page in a real browser, in front of Envoy and the service.

Each test leaves a picture of the page in `.cache/screenshots`.
"""

import dataclasses
import json
import shutil
import struct
from pathlib import Path

import pytest

from authz.demo.ports import free_port
from authz.demo.probes import port_ready
from authz.demo.processes import Child, Supervisor
from tests.support.installed import ROOT
from tests.support.node import node_or_skip
from tests.support.running import TOOLS, shared_stack

pytestmark = pytest.mark.envoy

THREE = ["echo", "get_user_info", "list_files"]
REFUSED = "Connection Error - Check if your MCP server is running and proxy token is correct"
_PICTURES = ROOT / ".cache" / "screenshots"
_SCRIPT = Path(__file__).parent / "inspector_page.mjs"
_WIDTH, _HEIGHT = 1280, 900
_SECONDS = 120


@pytest.fixture(scope="module")
def chromium():
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("needs chromium on the PATH: apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    directory = tmp_path_factory.mktemp("page")
    (directory / "node_modules").symlink_to(node_or_skip().modules, target_is_directory=True)
    return shutil.copy(_SCRIPT, directory)


@pytest.fixture
def supervisor(chromium, script):
    """Ends what a test starts; skips before anything is started."""
    with Supervisor() as started:
        yield started


@dataclasses.dataclass(frozen=True)
class Inspector:
    """A running Inspector: which one, and the URLs of its page and its proxy."""

    version: str
    page: str
    proxy: str


def _start(supervisor, version, url, *arguments):
    page, proxy = free_port(), free_port()
    scripts = {
        "0.16": ["inspector-0-16/cli/build/cli.js"],
        "2": [
            "inspector-2/clients/launcher/build/index.js",
            "--web",
            "--server-url",
            url,
            "--transport",
            "http",
        ],
    }
    variables = {
        "HOST": "127.0.0.1",
        "CLIENT_PORT": str(page),
        "SERVER_PORT": str(proxy),
        "HOME": str(supervisor.logs),
        "MCP_AUTO_OPEN_ENABLED": "false",
        "MCP_INSPECTOR_SECRET_STORE": "memory",
        "MCP_PROXY_AUTH_TOKEN": "key",
        "MCP_INSPECTOR_API_TOKEN": "key",
    }
    node = node_or_skip()
    up, proxy_up = port_ready("127.0.0.1", page), port_ready("127.0.0.1", proxy)
    supervisor.start(
        Child(
            name="inspector",
            argv=[*node.command(*scripts[version]), *arguments],
            env=node.environment(**variables),
            ready=lambda: up() and proxy_up(),
            deadline=60.0,
        )
    )
    asked = f"MCP_PROXY_PORT={proxy}&MCP_PROXY_AUTH_TOKEN=key&MCP_INSPECTOR_API_TOKEN=key"
    where = f"transport=streamable-http&serverUrl={url}"
    return Inspector(version, f"http://localhost:{page}/?{asked}&{where}", f"http://localhost:{proxy}")


@pytest.fixture
def visit(chromium, script):
    """Let the browser connect and list; gives what the page showed."""

    def go(inspector, picture, *, token="", reachable="all"):
        _PICTURES.mkdir(parents=True, exist_ok=True)
        file = _PICTURES / f"{picture}.png"
        file.unlink(missing_ok=True)
        asked = {
            "chromium": chromium,
            "inspector": inspector.version,
            "page": inspector.page,
            "proxy": inspector.proxy,
            "reachable": reachable,
            "names": TOOLS,
            "screenshot": str(file),
        }
        node = node_or_skip()
        done = node.run(node.command(script, json.dumps(asked)), seconds=_SECONDS, env={"TOKEN": token})
        assert 0 == done.returncode, done.stderr
        assert (_WIDTH, _HEIGHT) == struct.unpack(">II", file.read_bytes()[16:24])
        return json.loads(done.stdout)

    return go


@pytest.fixture
def stack(supervisor, pytestconfig):
    return shared_stack(pytestconfig)


def test_the_page_is_refused_without_a_token_and_lists_three_of_five_with_it(stack, supervisor, visit):
    token = stack.token(scope="files:read files:delete")
    inspector = _start(supervisor, "0.16", stack.gateways["native"].url)

    # The issuer is out of the browser's reach here, or it would get the Inspector a token at once: see below.
    refused = visit(inspector, "inspector-0.16-without-token", reachable="localhost")
    listed = visit(inspector, "inspector-0.16-with-token", token=token)

    assert {"status": REFUSED, "tools": [], "reasons": ["missing_token"]} == refused
    assert {"status": "Connected", "tools": THREE, "reasons": []} == listed


def test_the_page_gets_itself_a_token_where_the_issuer_registers_and_logs_in_anybody(
    stack, supervisor, visit
):
    inspector = _start(supervisor, "0.16", stack.gateways["native"].url)

    seen = visit(inspector, "inspector-0.16-with-login")

    # This version asks for no scope, so its token has none and is good for two tools.
    assert {"status": "Connected", "tools": THREE[:2], "reasons": ["missing_token"]} == seen


def test_the_newest_page_lists_three_of_five(stack, supervisor, visit):
    header = f"Authorization: Bearer {stack.token(scope='files:read files:delete')}"
    inspector = _start(supervisor, "2", stack.gateways["native"].url, "--header", header)

    seen = visit(inspector, "inspector-2-with-token")

    assert {"status": "Connected", "tools": THREE, "reasons": []} == seen

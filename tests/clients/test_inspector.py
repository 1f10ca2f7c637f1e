"""The MCP Inspector's command line through Envoy and the service, the one of 0.16.2 and the newest.

Each command is a session of its own; that a denial leaves nothing behind is shown by a call after it.
"""

import json

import pytest

from tests.support.node import node_or_skip
from tests.support.running import EVERYTHING, shared_stack
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.envoy


def _inspector_0_16(url):
    return ["@modelcontextprotocol/inspector-cli/build/index.js", url]


def _inspector_2(era):
    launcher = "inspector-2/clients/launcher/build/index.js"
    return lambda url: [launcher, "--cli", "--server-url", url, "--protocol-era", era]


# What each says to a call of a tool that its caller may not use. The newest asks the server for its list first.
INSPECTORS = {
    "0.16": (_inspector_0_16, "no rule allows this"),
    "2 legacy": (_inspector_2("legacy"), "'system_status' not found on server"),
    "2 modern": (_inspector_2("modern"), "'system_status' not found on server"),
}


@pytest.fixture(scope="module")
def stack(pytestconfig):
    return shared_stack(pytestconfig)


@pytest.fixture(params=INSPECTORS)
def version(request):
    return request.param


@pytest.fixture
def inspect(version, stack, tmp_path):
    """Run one version of the Inspector."""
    node = node_or_skip()
    target = INSPECTORS[version][0](stack.gateways["native"].url)

    def run(token, *asked):
        header = ["--header", f"Authorization: Bearer {token}"] if token else []
        command = node.command(*target, "--transport", "http", *header, "--method", *asked)
        done = node.run(command, seconds=DEADLINE, env={"HOME": str(tmp_path)})
        return done.returncode == 0, done.stdout + done.stderr

    return run


def _refused(ended_well, answer):
    """Inspector 0.16 shows a tool's error as a result, and ends well."""
    return not ended_well or '"isError": true' in answer


def _call(tool, argument=""):
    return ["tools/call", "--tool-name", tool, *(["--tool-arg", argument] if argument else [])]


def test_inspector_lists_three_of_five_and_cannot_call_the_others(inspect, stack, version):
    token = stack.token(scope="files:read files:delete")

    listed, answer = inspect(token, "tools/list")
    called, refusal = inspect(token, *_call("system_status"))

    assert listed
    assert ["echo", "get_user_info", "list_files"] == [tool["name"] for tool in json.loads(answer)["tools"]]
    assert _refused(called, refusal)
    assert INSPECTORS[version][1] in refusal


def test_inspector_calls_again_after_a_denial(inspect, stack):
    token = stack.token(**EVERYTHING)

    deleted, refusal = inspect(token, *_call("delete_file", "filename=/elsewhere"))
    called, answer = inspect(token, *_call("echo", "message=still here"))

    assert _refused(deleted, refusal)
    assert "these arguments are not allowed" in refusal
    assert called
    assert "still here" == json.loads(answer)["content"][0]["text"]


def test_inspector_without_a_token_is_refused(inspect):
    listed, refusal = inspect("", "tools/list")

    assert not listed
    assert "echo" not in refusal

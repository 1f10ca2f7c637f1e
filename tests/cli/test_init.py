"""`mcp-authz init`: a first policy that check calls good and whose cases pass, whatever the server offers."""

import json

import pytest
import yaml

from tests.cli.test_lock import answering
from tests.support.commands import command
from tests.support.raw_server import raw_server
from tests.support.running import TOOLS, shared_stack


@pytest.fixture
def out(tmp_path):
    return tmp_path / "policy.yaml"


def assert_good(out):
    checked, tested = command("check", out, "--strict"), command("test", out)

    assert 0 == checked.status, checked.out + checked.err
    assert 0 == tested.status, tested.out + tested.err


def rules(out):
    (server,) = yaml.safe_load(out.read_text())["servers"].values()
    return server["rules"]


def test_the_demos_server_gets_a_rule_for_each_tool(pytestconfig, out):
    ended = command("init", "--server", shared_stack(pytestconfig).upstream, "-o", out)

    assert (0, "") == (ended.status, ended.err)
    assert sorted(TOOLS) == [rule["name"] for rule in rules(out)]
    assert f"mcp-authz check {out} --strict" in ended.out
    assert_good(out)


@pytest.mark.envoy
def test_a_server_that_needs_a_token_is_asked_with_one(pytestconfig, out):
    stack = shared_stack(pytestconfig)
    url = stack.gateways["native"].url
    without = command("init", "--server", url, "-o", out)
    with_one = command("init", "--server", url, "-o", out, environment={"MCP_AUTHZ_TOKEN": stack.token()})

    bad = command("init", "--server", url, "-o", out, "--force", environment={"MCP_AUTHZ_TOKEN": "x.y.z"})

    assert (2, 0, 2) == (without.status, with_one.status, bad.status)
    assert "pass a --token" in without.err
    assert "the token was refused, or this is not the endpoint" in bad.err
    assert ["echo", "get_user_info"] == [rule["name"] for rule in rules(out)]
    assert_good(out)


KINDS = [{"readOnlyHint": True}, {"destructiveHint": False}, {"destructiveHint": True}, None]
MANY = [
    {"name": f"tool_{n:03}", "description": f"Tool\n# {n}: \x1b[31mred", "annotations": KINDS[n % 4]}
    for n in range(200)
]
OFFER = {
    "tools/list": {"tools": MANY},
    "prompts/list": {"prompts": [{"name": "hello"}, {"name": "a: b"}]},
    "resources/list": {"resources": [{"uri": "file:///readme", "name": "r"}]},
    "resources/templates/list": {
        "resourceTemplates": [
            {"uriTemplate": "file:///{+path}", "name": "t"},
            {"uriTemplate": "db:///{table*}/rows", "name": "d"},
            {"uriTemplate": "{+everything}", "name": "e"},
            {"uriTemplate": "x:///{unreadable", "name": "u"},
        ]
    },
}


def test_two_hundred_tools_prompts_and_resources_are_open_by_what_they_say_of_themselves(out):
    with raw_server() as server:
        server.script = answering(lambda method, _: OFFER.get(method))
        command("init", "--server", f"http://127.0.0.1:{server.port}/mcp", "-o", out)
    read, write, destroy, unsaid = (
        {k: v for k, v in rule.items() if k in ("scopes", "roles")} for rule in rules(out)[:4]
    )

    assert {"scopes": ["mcp:read"]} == read
    assert {"scopes": ["mcp:write"]} == write
    assert {"scopes": ["mcp:write"], "roles": ["admin"]} == destroy == unsaid
    assert {
        "prompts": ["a: b", "hello"],
        "resources": ["db:///*/rows", "file:///*", "file:///readme"],
    } == rules(out)[-1]["allow"]
    assert "prompts-and-resources" == rules(out)[-1]["name"]
    assert "\x1b" not in out.read_text()
    assert_good(out)


ODD = ["a b", "ünï", "-", "'\"", "x" * 200, "no: yes", "#x"]


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_saved_list_serves_in_place_of_a_server_and_odd_names_keep_their_rules(tmp_path, out, wrapped):
    listed = {"tools": [{"name": name} for name in [*ODD, "any*thing"]]}
    saved = tmp_path / "list.json"
    saved.write_text(json.dumps({"jsonrpc": "2.0", "id": 1, "result": listed} if wrapped else listed))
    ended = command("init", "--catalogue", saved, "-o", out)

    assert 'no rule can name "any*thing"; it stays denied' in ended.err
    assert sorted(ODD) == sorted(rule["allow"]["tools"][0] for rule in rules(out))
    assert_good(out)


MISTAKES = {
    "neither": ([], "either a server or a catalogue is needed"),
    "both": (["--server", "http://x/mcp", "--catalogue", "f"], "either a server or a catalogue is needed"),
    "no file": (["--catalogue", "missing.json"], "missing.json: cannot be read"),
    "not JSON": (["--catalogue", "{folder}/bad.json"], "bad.json: not JSON"),
    "no list": (["--catalogue", "{folder}/other.json"], "holds no list of tools"),
    "no names": (["--catalogue", "{folder}/nameless.json"], "tools is no list of items with name"),
    "nobody there": (["--server", "http://127.0.0.1:1/mcp"], "did not answer"),
}


@pytest.mark.parametrize(("arguments", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_and_nothing_is_written(tmp_path, out, arguments, expected):
    for name, text in (("bad", "{"), ("other", "[]"), ("nameless", '{"tools": [{}]}')):
        (tmp_path / f"{name}.json").write_text(text)
    ended = command("init", *(part.format(folder=tmp_path) for part in arguments), "-o", out)

    assert 2 == ended.status
    assert expected in ended.err
    assert not out.exists()


def test_a_policy_that_is_there_is_replaced_only_on_request(tmp_path, out):
    out.write_text("mine")
    saved = tmp_path / "list.json"
    saved.write_text('{"tools": [{"name": "a"}]}')

    assert 2 == command("init", "--catalogue", saved, "-o", out).status
    assert "mine" == out.read_text()
    assert 0 == command("init", "--catalogue", saved, "-o", out, "--force").status


def test_a_name_that_looks_like_a_variable_stays_a_name(tmp_path, out):
    saved = tmp_path / "list.json"
    saved.write_text(json.dumps({"tools": [{"name": "${HOME}"}]}))
    command("init", "--catalogue", saved, "-o", out)

    assert 0 == command("test", out, environment={"HOME": "/elsewhere"}).status
    assert "$${HOME}" in out.read_text()

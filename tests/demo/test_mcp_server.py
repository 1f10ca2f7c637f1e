"""The demo's MCP server, as the official client finds it over real HTTP in both eras."""

import asyncio
import json
import sys

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from authz.demo.mcp_server import Arrival, ArrivalLog, arrivals, main
from authz.demo.ports import free_port
from authz.demo.probes import port_ready
from authz.demo.processes import Child, Supervisor
from tests.support.waiting import DEADLINE

TOOLS = ["echo", "get_user_info", "list_files", "delete_file", "system_status"]
LEGACY, MODERN = "2025-11-25", "2026-07-28"
MODES = [("legacy", LEGACY), (MODERN, MODERN), ("auto", MODERN)]
FORMS = {"sse": "text/event-stream", "json-response": "application/json"}


@pytest.fixture(scope="module")
def supervisor():
    with Supervisor() as supervisor:
        yield supervisor


@pytest.fixture(scope="module", params=FORMS)
def server(request, supervisor):
    """Run the server in a process, in each form: its URL, its arrival log, the media type of its legacy results."""
    port, log = free_port(), supervisor.logs / f"{request.param}.jsonl"
    argv = [
        sys.executable,
        "-m",
        "authz.demo.mcp_server",
        "--port",
        str(port),
        f"--{request.param}",
        "--log",
        log,
    ]
    supervisor.start(Child(name=request.param, argv=argv, ready=port_ready("127.0.0.1", port)))
    return f"http://127.0.0.1:{port}/mcp", log, FORMS[request.param]


def converse(url, mode, talk, **headers):
    async def conversation():
        async with (
            asyncio.timeout(DEADLINE),
            httpx2.AsyncClient(headers=headers, trust_env=False) as http,
            Client(streamable_http_client(url, http_client=http), mode=mode) as client,
        ):
            return await talk(client)

    return asyncio.run(conversation())


def call(name, **arguments):
    async def talk(client):
        return await client.call_tool(name, arguments)

    return talk


def text(result):
    return [block.text for block in result.content]


def post(url, message, **headers):
    accept = {"accept": "application/json, text/event-stream"}
    return httpx.post(url, json=message, headers=accept | headers, trust_env=False, timeout=DEADLINE)


@pytest.mark.parametrize(("mode", "version"), MODES)
def test_a_client_of_either_era_finds_exactly_the_five_tools(server, mode, version):
    async def talk(client):
        return client.protocol_version, await client.list_tools()

    spoken, listed = converse(server[0], mode, talk)

    assert version == spoken
    assert TOOLS == [tool.name for tool in listed.tools]
    assert all(tool.description for tool in listed.tools)


@pytest.mark.parametrize("mode", ["legacy", MODERN])
def test_there_are_no_prompts_and_no_resources(server, mode):
    async def talk(client):
        prompts, resources = await client.list_prompts(), await client.list_resources()
        templates = await client.list_resource_templates()
        return [*prompts.prompts, *resources.resources, *templates.resource_templates]

    assert [] == converse(server[0], mode, talk)


@pytest.mark.parametrize("mode", [mode for mode, _ in MODES])
def test_each_tool_does_its_work_in_both_eras(server, mode):
    async def talk(client):
        return {
            "echo": text(await client.call_tool("echo", {"message": "hello"})),
            "list_files": text(await client.call_tool("list_files", {})),
            "inbox": text(await client.call_tool("list_files", {"path": "/inbox"})),
            "delete_file": text(await client.call_tool("delete_file", {"filename": "/inbox/monday.txt"})),
        }

    assert {
        "echo": ["hello"],
        "list_files": ["inbox/", "reports/", "readme.txt"],
        "inbox": ["monday.txt", "tuesday.txt"],
        "delete_file": ["deleted /inbox/monday.txt (simulated: nothing was deleted)"],
    } == converse(server[0], mode, talk)


@pytest.mark.parametrize("mode", [mode for mode, _ in MODES])
def test_system_status_reports_on_the_running_process(server, mode):
    status = converse(server[0], mode, call("system_status")).structured_content

    assert {"status", "python", "uptime"} == set(status)
    assert "ok" == status["status"]
    assert 0 <= status["uptime"] < 600


@pytest.mark.parametrize("mode", [mode for mode, _ in MODES])
def test_get_user_info_shows_what_the_gateway_hands_over(server, mode):
    handed = {"x-mcp-subject": "auth0|alice", "x-mcp-client": "inspector", "x-mcp-scopes": "files:read"}
    result = converse(server[0], mode, call("get_user_info"), **handed)

    assert {
        "subject": "auth0|alice",
        "client": "inspector",
        "scopes": "files:read",
    } == result.structured_content


def test_get_user_info_is_empty_where_nothing_is_handed_over(server):
    assert {"subject": "", "client": "", "scopes": ""} == converse(
        server[0], MODERN, call("get_user_info")
    ).structured_content


def test_a_file_that_was_deleted_is_still_there(server):
    async def talk(client):
        before = text(await client.call_tool("list_files", {"path": "/inbox/"}))
        await client.call_tool("delete_file", {"filename": "/inbox/monday.txt"})
        return before, text(await client.call_tool("list_files", {"path": "/inbox/"}))

    before, after = converse(server[0], MODERN, talk)

    assert "monday.txt" in after
    assert before == after


def test_a_directory_that_is_not_there_is_an_error_that_does_not_repeat_it(server):
    result = converse(server[0], MODERN, call("list_files", path="/secret-place"))

    assert result.is_error
    assert "secret-place" not in "".join(text(result))


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


def test_legacy_lists_come_in_the_form_that_was_chosen(server):
    url, _, media_type = server
    opened = post(url, INITIALIZE)
    session = {"mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": LEGACY}
    post(url, {"jsonrpc": "2.0", "method": "notifications/initialized"}, **session)
    listed = post(url, {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}, **session)

    assert media_type == listed.headers["content-type"].split(";")[0]
    assert all(f'"name":"{tool}"' in listed.text.replace(": ", ":") for tool in TOOLS)


@pytest.mark.parametrize(
    "host", ["localhost:10000", "127.0.0.1:10000", "localhost", "127.0.0.1", "[::1]:10000"]
)
def test_it_is_reached_under_any_loopback_host_and_port(server, host):
    assert 200 == post(server[0], INITIALIZE, host=host, origin=f"http://{host}").status_code


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (421, {"host": "rebound.example:10000"}),
        (421, {"host": "localhost.rebound.example:10000"}),
        (403, {"origin": "http://evil.example"}),
    ],
)
def test_a_name_that_only_resolves_here_is_refused(server, status, headers):
    assert status == post(server[0], INITIALIZE, **headers).status_code


def test_each_request_is_on_record_before_it_is_answered_and_names_only(server):
    url, log, _ = server
    before = len(arrivals(log))
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "echo", "arguments": {"message": "m-1"}},
    }
    post(f"{url}?access_token=q-1", message, authorization="Bearer t-1", **{"X-Custom": "v-1"})
    (arrival,) = arrivals(log)[before:]

    assert (
        Arrival(
            http_method="POST",
            path="/mcp",
            method="tools/call",
            tool="echo",
            headers=(
                "accept",
                "accept-encoding",
                "authorization",
                "connection",
                "content-length",
                "content-type",
                "host",
                "user-agent",
                "x-custom",
            ),
            authorization=True,
        )
        == arrival
    )
    assert [] == [secret for secret in ("m-1", "q-1", "t-1", "v-1") if secret in log.read_text()]


BODIES = {
    "nothing": (b"", None, None),
    "no JSON": (b"{", None, None),
    "too deep for the parser": (b"[" * 100_000, None, None),
    "a batch": (b'[{"method": "tools/call", "params": {"name": "echo"}}]', None, None),
    "a method that is no text": (b'{"method": 1}', None, None),
    "params that are no object": (b'{"method": "tools/call", "params": ["echo"]}', "tools/call", None),
    "a name elsewhere": (b'{"method": "prompts/get", "params": {"name": "echo"}}', "prompts/get", None),
    "the last of two names, as the SDK has it": (
        b'{"method": "tools/call", "params": {"name": "echo", "name": "delete_file"}}',
        "tools/call",
        "delete_file",
    ),
}


@pytest.mark.parametrize("case", BODIES)
def test_whatever_is_sent_is_on_record(server, case):
    body, method, tool = BODIES[case]
    url, log, _ = server
    before = len(arrivals(log))
    answer = httpx.post(
        url, content=body, headers={"content-type": "application/json"}, trust_env=False, timeout=DEADLINE
    )

    assert answer.is_client_error
    assert [(method, tool)] == [(a.method, a.tool) for a in arrivals(log)[before:]]


JSON = st.recursive(
    st.none() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
)
MESSAGES = st.fixed_dictionaries({}, optional={"method": st.just("tools/call") | JSON, "params": JSON})


SCOPE = {"type": "http", "method": "POST", "path": "/mcp", "headers": [(b"authorization", b"Bearer t-1")]}


def passed_on(log, messages):
    """Drive the arrival log with what a server receives, and return what the application then receives."""
    arriving, received = iter(messages), []

    async def receive():
        return next(arriving, {"type": "http.disconnect"})

    async def served(_scope, receive, _send):
        while not received or received[-1].get("more_body"):
            received.append(await receive())

    asyncio.run(ArrivalLog(served, log)(SCOPE, receive, None))
    return received


def part(body, *, more):
    return {"type": "http.request", "body": body, "more_body": more}


@given(
    body=st.binary() | (MESSAGES | JSON).map(lambda value: json.dumps(value).encode()),
    cut=st.integers(0, 100),
)
def test_every_body_makes_a_record_that_is_read_back_and_is_passed_on_whole(tmp_path_factory, body, cut):
    log = tmp_path_factory.getbasetemp() / "bodies.jsonl"
    log.unlink(missing_ok=True)
    received = passed_on(log, [part(body[:cut], more=True), part(body[cut:], more=False)])

    assert [part(body, more=False)] == received
    assert [Arrival.from_request(SCOPE, body)] == arrivals(log)


def test_a_client_that_leaves_within_its_body_is_on_record_and_the_application_sees_it_leave(tmp_path):
    log = tmp_path / "log.jsonl"
    received = passed_on(log, [part(b'{"method"', more=True)])

    assert [part(b'{"method"', more=True), {"type": "http.disconnect"}] == received
    assert [Arrival.from_request(SCOPE, b"")] == arrivals(log)


def test_no_more_of_a_body_is_held_than_the_sdk_takes(tmp_path):
    mebibyte, rest = part(b"x" * 1024 * 1024, more=True), part(b"rest", more=False)
    received = passed_on(tmp_path / "log.jsonl", [*[mebibyte] * 6, rest])

    assert [part(b"x" * 5 * 1024 * 1024, more=True), mebibyte, rest] == received


def test_a_body_over_the_limit_of_the_sdk_is_on_record_and_refused_by_the_sdk(server):
    url, log, _ = server
    before = len(arrivals(log))
    padded = INITIALIZE | {"padding": "x" * 5 * 1024 * 1024}

    assert 413 == post(url, padded).status_code
    assert 1 == len(arrivals(log)[before:])


def test_a_request_without_a_body_is_on_record(server):
    url, log, _ = server
    before = len(arrivals(log))
    httpx.request("DELETE", url, trust_env=False, timeout=DEADLINE)

    assert [("DELETE", None, False)] == [
        (a.http_method, a.method, a.authorization) for a in arrivals(log)[before:]
    ]


def test_each_arrival_is_one_line_of_json(server):
    url, log, _ = server
    post(url, {"method": "two\nlines"})

    assert "two\nlines" == json.loads(log.read_text().splitlines()[-1])["method"]


def test_a_log_that_nothing_was_written_to_is_empty(tmp_path):
    assert [] == arrivals(tmp_path / "none.jsonl")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "localhost"])
def test_it_refuses_to_serve_anything_but_loopback(host, capsys, monkeypatch):
    monkeypatch.setattr("uvicorn.run", lambda *_args, **_kwargs: pytest.fail("it serves"))
    with pytest.raises(SystemExit) as left:
        main(["--host", host])

    assert 2 == left.value.code
    assert "--host" in capsys.readouterr().err


def test_it_serves_beyond_loopback_only_under_a_name_that_a_gateway_calls_it_by(monkeypatch):
    served = {}
    monkeypatch.setattr("uvicorn.run", lambda app, **given: served.update(given, app=app))

    main(["--host", "0.0.0.0", "--expose", "mcp-server"])

    assert "0.0.0.0" == served["host"]


@pytest.mark.parametrize(
    ("host", "status"), [("mcp-server", 200), ("mcp-server:8080", 200), ("evil.example", 421)]
)
def test_it_answers_to_the_name_it_is_exposed_under_and_to_no_other(host, status, supervisor):
    port, name = free_port(), f"exposed-{host.replace(':', '-')}"
    argv = [sys.executable, "-m", "authz.demo.mcp_server", "--port", str(port), "--expose", "mcp-server"]
    supervisor.start(Child(name=name, argv=argv, ready=port_ready("127.0.0.1", port)))

    assert status == post(f"http://127.0.0.1:{port}/mcp", INITIALIZE, host=host).status_code

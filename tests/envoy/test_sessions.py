"""Legacy sessions through a real Envoy: they belong to whoever opened them, whichever process of the service is asked."""

import asyncio
import json
import re
import secrets

import pytest

from authz.demo.client import session
from tests.support.legacy import INITIALIZE, legacy, lines, without_body
from tests.support.raw_server import response
from tests.support.running import TOOLS, another_gateway, arrived
from tests.support.tokens import A_DAY
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import ask, call

pytestmark = pytest.mark.envoy

BOUND = re.compile(r"[A-Za-z0-9_-]{43}\.[!-~]+")
INITIALIZED = legacy("notifications/initialized", id=...)
ECHO = legacy("tools/call", {"name": "echo", "arguments": {"message": "hi"}})
ANSWER = legacy(None, result={"roots": []})


class Keyed:
    """A gateway whose service binds sessions with keys from files."""

    def __init__(self, stack, name, *keys):
        self.files = [stack.supervisor.logs / f"{name}-{number}.key" for number in range(len(keys))]
        self.put(*keys)
        named = zip(("key_file", "previous_key_file"), self.files, strict=False)
        section = ", ".join(f"{key}: {file.name}" for key, file in named)
        self.gateway = another_gateway(stack, name, edit=lambda text: f"{text}sessions: {{{section}}}\n")
        self.gateway.start()
        self.port = self.gateway.ports.envoy

    def put(self, *keys):
        for file, key in zip(self.files, keys, strict=True):
            file.write_text(f"{key}\n")


KEYS = [secrets.token_urlsafe(32) for _ in range(2)]


@pytest.fixture(scope="module")
def one(stack):
    return Keyed(stack, "one", KEYS[0])


@pytest.fixture(scope="module")
def other(stack):
    """Another process with the same key, and one that verifies only."""
    return Keyed(stack, "other", *KEYS)


@pytest.fixture(scope="module")
def alice(stack):
    return stack.token(sub="alice", ttl=A_DAY)


def opened(port, token):
    """Open a session; gives the id that the client got."""
    answer = ask(port, token, legacy("initialize", INITIALIZE), change=lines())
    assert 200 == answer.status
    own = answer.headers["mcp-session-id"]
    assert 202 == ask(port, token, INITIALIZED, change=lines(own)).status
    return own


def called(port, token, own):
    """Call a tool in a session; gives the HTTP status."""
    return ask(port, token, ECHO, change=lines(own)).status


def closed(port, token, own):
    return ask(port, token, b"", **without_body("DELETE", own)).status


def test_a_client_of_the_sdk_lives_a_whole_session_and_the_server_sees_its_own_id(stack, one, alice):
    async def live():
        async with asyncio.timeout(DEADLINE), session(one.gateway.url, alice, "legacy") as client:
            called = await client.call_tool("echo", {"message": "hi"})
            tools = [tool.name for tool in (await client.list_tools()).tools]
            await asyncio.to_thread(
                eventually, lambda: any(each.http_method == "GET" for each in stack.arrivals()[before:])
            )
            return called.content[0].text, tools

    before, results = len(stack.arrivals()), []
    seen = arrived(stack, lambda: results.append(asyncio.run(live())), one.port)
    wanted = {"initialize", "notifications/initialized", "tools/call", "tools/list", "GET", "DELETE"}

    assert [("hi", list(TOOLS[:2]))] == results
    assert wanted == {each.method or each.http_method for each in seen}
    assert ["initialize"] == [each.method for each in seen if "mcp-session-id" not in each.headers]


def test_a_client_gets_the_servers_id_behind_a_tag_also_where_the_server_repeats_it(one, alice):
    own = opened(one.port, alice)
    notified = ask(one.port, alice, INITIALIZED, change=lines(own))
    listed = ask(one.port, alice, legacy("tools/list"), change=lines(own))
    ended = ask(one.port, alice, b"", **without_body("DELETE", own))

    assert BOUND.fullmatch(own)
    assert [202, 200, 200] == [answer.status for answer in (notified, listed, ended)]
    assert {own} == {answer.headers.get("mcp-session-id", own) for answer in (notified, listed, ended)}
    assert own == listed.headers["mcp-session-id"]
    assert own == notified.headers["mcp-session-id"]


@pytest.mark.requirement("protocol.delete")
def test_a_session_that_was_ended_is_the_servers_404(one, alice):
    own = opened(one.port, alice)

    assert (200, 200) == (called(one.port, alice, own), closed(one.port, alice, own))
    answer = ask(one.port, alice, ECHO, change=lines(own))
    assert (404, "") == (answer.status, answer.reason)


STRANGERS = {"subject": {"sub": "mallory"}, "client": {"sub": "alice", "client": "another"}}
USES = {
    "POST": (ECHO, lambda own: {"change": lines(own)}, 1),
    "answer": (ANSWER, lambda own: {"change": lines(own)}, 1),
    "notification": (INITIALIZED, lambda own: {"change": lines(own)}, None),
    "GET": (b"", lambda own: without_body("GET", own), None),
    "resumption": (b"", lambda own: without_body("GET", own, **{"last-event-id": "1"}), None),
    "DELETE": (b"", lambda own: without_body("DELETE", own), None),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("who", STRANGERS)
@pytest.mark.requirement("security.session-is-the-openers")
def test_a_session_is_nobody_elses_and_the_server_hears_nothing(stack, one, alice, who, use):
    own, (body, changes, request_id) = opened(one.port, alice), USES[use]
    stranger, answers = stack.token(**STRANGERS[who]), []

    assert [] == arrived(
        stack, lambda: answers.append(ask(one.port, stranger, body, **changes(own))), one.port
    )
    (answer,) = answers
    assert (404, "session_mismatch", request_id) == (
        answer.status,
        answer.reason,
        json.loads(answer.body)["id"],
    )
    assert 200 == called(one.port, alice, own)


def forged(own):
    tag, _, plain = own.partition(".")
    swapped = "B" if tag[-1] == "A" else "A"
    return [
        plain,
        f".{plain}",
        tag,
        f"{tag}.",
        f"{tag[:-1]}{swapped}.{plain}",
        f"{tag}.{plain}x",
        f"{own},{own}",
    ]


@pytest.mark.requirement("security.session-is-the-openers", "security.session-is-verified")
def test_an_id_without_its_own_tag_is_no_session_and_the_server_hears_nothing(stack, one, alice):
    own, answers = opened(one.port, alice), []

    def act():
        answers.extend(ask(one.port, alice, ECHO, change=lines(each)) for each in forged(own))
        answers.append(ask(one.port, alice, ECHO, change=lines(own), more=[("mcp-session-id", own)]))

    assert [] == arrived(stack, act, one.port)
    assert {(404, "session_mismatch")} == {(answer.status, answer.reason) for answer in answers}
    assert 200 == called(one.port, alice, own)


def test_a_client_answers_the_server_in_its_own_session(one, alice):
    assert 202 == ask(one.port, alice, ANSWER, change=lines(opened(one.port, alice))).status


def test_a_modern_request_goes_up_without_the_session_id_that_it_has_no_use_for(stack, one, alice):
    def act():
        assert 200 == ask(one.port, alice, call(), change={"mcp-session-id": "whose-ever"}).status

    (arrival,) = arrived(stack, act, one.port)
    assert "mcp-session-id" not in arrival.headers


@pytest.mark.requirement("security.session-is-verified")
def test_a_session_id_in_another_spelling_does_not_go_up(stack, one, alice):
    own = opened(one.port, alice)

    def act():
        assert 200 == ask(one.port, alice, ECHO, change=lines(own), more=[("mcp.session.id", "a")]).status

    (arrival,) = arrived(stack, act, one.port)
    assert ["mcp-session-id"] == [name for name in arrival.headers if "session" in name]


def test_processes_with_one_key_admit_each_others_sessions(one, other, alice, stack):
    here, there = opened(one.port, alice), opened(other.port, alice)

    assert [200, 200] == [called(other.port, alice, here), called(one.port, alice, there)]
    assert 404 == called(other.port, stack.token(sub="mallory"), here)


def test_a_process_without_a_key_has_sessions_of_its_own(one, port, alice):
    here, there = opened(one.port, alice), opened(port, alice)

    assert [200, 200] == [called(one.port, alice, here), called(port, alice, there)]
    assert [404, 404] == [called(port, alice, here), called(one.port, alice, there)]


def test_keys_are_replaced_without_ending_a_session(one, other, alice):
    """Both know the new key before one signs with it, and the old one until the last session of it is over."""
    old = opened(other.port, alice)
    other.put(KEYS[1], KEYS[0])
    try:
        assert eventually(lambda: 404 == called(one.port, alice, opened(other.port, alice)))
        new = opened(other.port, alice)

        assert [200, 200] == [called(other.port, alice, each) for each in (old, new)]
        assert [200, 404] == [called(one.port, alice, each) for each in (old, new)]
    finally:
        other.put(*KEYS)


def minted(*headers, status="200 OK"):
    return response(b'{"jsonrpc":"2.0","id":1,"result":{}}', "application/json", status, *headers)


def test_an_id_in_an_error_is_bound_too(raw, raw_port, user):
    raw.script = [minted("mcp-session-id: s1", status="400 Bad Request")]
    answer = ask(raw_port, user, legacy("initialize", INITIALIZE), change=lines())

    assert 400 == answer.status
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}\.s1", answer.headers["mcp-session-id"])


UNBOUND = {
    "modern call": lambda _: {"body": call()},
    "legacy call without a session": lambda _: {"body": ECHO, "change": lines()},
    "notification in a session": lambda own: {"body": INITIALIZED, "change": lines(own)},
    "notification without a session": lambda _: {"body": INITIALIZED, "change": lines()},
    "DELETE": lambda own: {"body": b"", **without_body("DELETE", own)},
    "list": lambda own: {"body": legacy("tools/list"), "change": lines(own)},
}


@pytest.mark.parametrize(
    "status", ["200 OK", "202 Accepted", "307 Temporary Redirect", "400 Bad Request", "500 Oh"]
)
@pytest.mark.parametrize("asked", UNBOUND.values(), ids=UNBOUND.keys())
@pytest.mark.requirement("security.session-is-the-openers")
def test_a_client_never_gets_an_id_as_the_server_wrote_it(raw, raw_port, user, asked, status):
    raw.script = [minted("mcp-session-id: raw-id")]
    own = ask(raw_port, user, legacy("initialize", INITIALIZE), change=lines()).headers["mcp-session-id"]
    raw.script = [minted("Mcp-Session-Id: raw-id", status=status)]
    shown = ask(raw_port, user, **asked(own)).headers.get("mcp-session-id", "")

    assert own.endswith(".raw-id")
    assert shown in {"", own}


def test_of_a_header_that_the_server_sends_twice_no_copy_passes(raw, raw_port, user):
    raw.script = [minted("mcp-session-id: raw-a", "mcp-session-id: raw-b")]
    answer = ask(raw_port, user, call())

    assert (200, "") == (answer.status, answer.headers.get("mcp-session-id", ""))


@pytest.mark.parametrize(
    "headers",
    [
        ["mcp-session-id: a,b"],
        ["mcp-session-id: a", "mcp-session-id: b"],
        ["mcp-session-id: a b"],
        ["mcp-session-id: " + "a" * 2049],
    ],
    ids=["comma", "twice", "space", "long"],
)
def test_an_id_that_cannot_be_bound_is_a_502(raw, raw_port, user, headers):
    raw.script = [minted(*headers)]
    answer = ask(raw_port, user, legacy("initialize", INITIALIZE), change=lines())

    assert (502, -32603, 1) == (answer.status, answer.error["code"], json.loads(answer.body)["id"])
    assert "mcp-session-id" not in answer.headers


@pytest.mark.requirement("security.nothing-secret-is-written")
def test_no_key_and_no_session_id_is_in_a_log(stack, one, alice):
    own = opened(one.port, alice)
    called(one.port, alice, own)
    called(one.port, stack.token(sub="mallory"), own)
    assert eventually(lambda: any(each["reason"] == "session_mismatch" for each in one.gateway.records()))
    written = [
        stack.supervisor.log(name).read_text() for name in (one.gateway.service_name, one.gateway.envoy_name)
    ]

    assert [] == [part for part in (*KEYS, own, *own.split(".")) for text in written if part in text]

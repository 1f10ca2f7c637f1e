import asyncio
import json
from dataclasses import replace

import pytest
from envoy.extensions.filters.http.ext_proc.v3 import processing_mode_pb2
from envoy.service.auth.v3 import external_auth_pb2 as auth_pb
from envoy.service.ext_proc.v3 import external_processor_pb2 as proc_pb
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from authz.core.identity.principal import Caller
from authz.core.mcp.item import Item, Kind
from authz.core.policy.policy import VisibilityInputs
from authz.core.response.caller_metadata import KEY, encode_caller
from authz.core.response.commands import refusal
from authz.core.response.context import KnownCallers, ResponseContext
from authz.edge.envoy.ext_proc import Processor
from authz.edge.envoy.response_readers import NAMESPACE
from tests.support import core as policies
from tests.support import tokens
from tests.support.ext_proc import responses
from tests.support.rpc import CallHere
from tests.support.services import SERVERS, check_request, service
from tests.support.waiting import DEADLINE

INPUTS = VisibilityInputs.of(())
ASKED = policies.post(policies.message("tools/list"))


def encoded(ends=None):
    caller = Caller.of(policies.principal(), "demo", ends)
    return encode_caller(caller, ASKED, INPUTS)


def decoded(text, servers=SERVERS, request_id="null", **more):
    metadata = {"server": "demo", KEY: text, "request_id": request_id}
    return ResponseContext.decode(metadata, KnownCallers().find(metadata, servers), tokens.NOW, **more)


@given(st.none() | st.integers() | st.just(10**2047) | st.text())
def test_the_reader_knows_the_id_of_the_request_in_value_and_type(request_id):
    reader = decoded(encoded(), request_id=json.dumps(request_id))

    assert (type(request_id), request_id) == (type(reader.request_id), reader.request_id)


@pytest.mark.parametrize("request_id", [True, 1.5, [1], {"a": 1}])
def test_an_id_of_another_type_is_none(request_id):
    assert decoded(encoded(), request_id=json.dumps(request_id)).request_id is None


def test_a_caller_is_read_once_for_a_server_and_a_policy_and_no_other_is_taken_for_him():
    callers, text, other = KnownCallers(), encoded(), encoded(ends=1.0)

    def find(text=text, servers=SERVERS, policy="p"):
        return callers.find({"server": "demo", KEY: text, "policy": policy}, servers)

    assert find() is find()
    assert (None, 1.0) == (find().ends, find(other).ends)
    assert find() is not find(policy="q")
    assert SERVERS["demo"] is find().server
    changed = {"demo": policies.server()}
    assert changed["demo"] is find(servers=changed).server
    assert find(servers={}) is None
    assert find(text="{}") is None


@pytest.mark.parametrize(
    ("kind", "name", "listed"),
    [
        (Kind.RESOURCE, "file:///public/a", True),
        (Kind.RESOURCE, "file:///public/../secret", False),
        (Kind.RESOURCE, "file:///public/%2e%2e/secret", False),
        (Kind.RESOURCE, "file:///public/a\n", False),
        (Kind.TOOL, "", False),
        (Kind.TOOL, "x" * 2048, True),
        (Kind.TOOL, "x" * 2049, False),
        (Kind.TASK, "..", True),
    ],
)
@pytest.mark.requirement("protocol.unnameable")
def test_what_no_request_can_name_is_in_no_list(kind, name, listed):
    everything = policies.rule(names=dict.fromkeys(Kind, ("*",)))
    text = encoded()
    reader = decoded(text, {"demo": policies.server(everything)})

    assert listed is reader.visible(Item(kind, name))


@pytest.mark.parametrize("reachable", [False, True])
@pytest.mark.parametrize("scopes", [(), ("missing",)])
@pytest.mark.parametrize("when", [None, 'mcp.tool.name == "a"'])
@pytest.mark.requirement("protocol.lists-are-trimmed")
def test_each_name_under_the_same_rules_is_seen_as_if_it_were_the_only_one(reachable, scopes, when):
    shared = policies.rule(names=dict.fromkeys(Kind, ("*",)), scopes=scopes, when=when)
    text, server = encoded(), policies.server(shared, reachable=reachable)
    reader = decoded(text, {"demo": server})
    items = [Item(kind, name) for name in ("a", "b", "") for kind in (*Kind, *reversed(Kind))]

    alone = [
        decoded(text, {"demo": policies.server(shared, reachable=reachable)}).visible(item) for item in items
    ]

    assert alone == [reader.visible(item) for item in items]
    assert alone == [reader.visible(item) for item in items]


def test_a_task_under_the_rules_of_a_listed_tool_is_judged_by_itself():
    shared = policies.rule(names=dict.fromkeys(Kind, ("*",)), scopes=("missing",))
    text = encoded()
    reader = decoded(text, {"demo": policies.server(shared, reachable=True)})
    both = [Item(Kind.TOOL, "a"), Item(Kind.TASK, "a")]

    assert [True, False] * 3 == [reader.visible(item) for item in both * 3]


def test_a_long_list_under_few_rules_is_judged_once_for_each_set_of_them(monkeypatch):
    rules = policies.rule("allow", "a*", name="few"), policies.rule("deny", "b*", name="others")
    reader = decoded(encoded(), {"demo": policies.server(*rules)})
    items = [Item(Kind.TOOL, f"{name}{number}") for name in "abc" for number in range(50)]
    seen = [reader.visible(item) for item in items]  # looks up which rules are about each
    judged = []
    judge = ResponseContext._judge
    monkeypatch.setattr(
        ResponseContext, "_judge", lambda self, item: judged.append(item) or judge(self, item)
    )

    assert [True] * 50 + [False] * 100 == seen
    assert seen == [reader.visible(item) for item in items]
    assert ["a0", "b0", "c0"] == [item.name for item in judged]


def test_a_stream_that_names_ever_new_things_fills_no_memory():
    reader = decoded(encoded())
    for number in range(20_000):
        reader.visible(Item(Kind.RESOURCE, f"file:///{number}"))

    assert reader.visible(Item(Kind.TOOL, "echo"))
    assert len(reader.caller.cache.verdicts) <= 256


def until(ends, **more):
    """Seconds that a response may stay open at `tokens.NOW`."""
    text = encoded(ends=ends)
    return decoded(text, **more).seconds


@pytest.mark.requirement("security.stream-ends-with-token", "protocol.expired-streams")
def test_a_response_may_stay_open_until_the_token_is_refused_and_the_grace_is_over():
    assert None is until(None)
    assert (10.0, 15.0) == (until(tokens.NOW + 10), until(tokens.NOW + 10, grace=5.0))
    assert (0.0, 2.0) == (until(tokens.NOW - 3), until(tokens.NOW - 3, grace=5.0))


def test_a_session_is_bound_to_the_caller_of_the_check():
    text = encoded()
    reader = decoded(text, sessions=policies.SESSIONS)

    assert "s" == policies.SESSIONS.admit(Caller.of(policies.principal(), "demo"), reader.bind_session("s"))


def test_a_reader_without_a_key_binds_no_session():
    with pytest.raises(ValueError, match="no key"):
        decoded(encoded()).bind_session("s")


def checked(service, method, content=b"", **headers):
    """The dynamic metadata that a Check leaves."""
    message = check_request(method, content, **headers)
    response = asyncio.run(asyncio.wait_for(service.checker().check(message, CallHere()), DEADLINE))
    return MessageToDict(auth_pb.CheckResponse.FromString(response).dynamic_metadata)


def processed(service, metadata, label, data):
    """What Envoy is told about a response with this metadata: the 502's body, or else the body's pieces."""
    first = proc_pb.ProcessingRequest()
    first.protocol_config.response_body_mode = processing_mode_pb2.ProcessingMode.FULL_DUPLEX_STREAMED
    for name, value in ((":status", b"200"), ("content-type", label)):
        first.response_headers.headers.headers.add(key=name, raw_value=value)
    first.metadata_context.filter_metadata[NAMESPACE].update(metadata)
    last = proc_pb.ProcessingRequest(response_body=proc_pb.HttpBody(body=data, end_of_stream=True))

    processor = Processor(resolve=service.response_context, observe=service.metrics)
    answered = asyncio.run(asyncio.wait_for(responses(processor, [first, last]), DEADLINE))
    return b"".join(
        response.immediate_response.body
        or response.response_body.response.body_mutation.streamed_response.body
        for response in answered
    )


@pytest.mark.parametrize("request_id", [1, "one", 2**53 + 1, "\n\ndata: {}"])
def test_from_check_to_response_a_refusal_answers_the_request_by_its_id(request_id):
    with service() as running:
        content = json.dumps(policies.message("tools/list", id=request_id)).encode()
        metadata = checked(running, "POST", content)

        assert refusal(request_id) == processed(running, metadata, b"application/json", b"[]")
        assert b"data: " + refusal(request_id) + b"\n\n" == processed(
            running, metadata, b"text/event-stream", b"data: {\n\n"
        )


def test_from_check_to_response_a_stream_that_answers_no_request_gets_no_id():
    with service() as running:
        metadata = checked(running, "GET", accept="text/event-stream")

        assert b"data: " + refusal(None) + b"\n\n" == processed(
            running, metadata, b"text/event-stream", b"data: {\n\n"
        )


def test_from_check_to_response_the_token_says_when_a_stream_ends():
    leeway = tokens.trust().leeway
    with service(stream_grace=30.0) as running:
        reader = running.response_context(checked(running, "GET", accept="text/event-stream"))

    assert 600 + leeway + 30 - DEADLINE < reader.seconds <= 600 + leeway + 30


def opened(running):
    """A session that the default caller opened at this service."""
    start = json.dumps(policies.message("initialize", {})).encode()
    return running.response_context(checked(running, "POST", start)).bind_session("s")


def admitted(running, session):
    metadata = checked(running, "DELETE", **{"mcp-session-id": session})
    return metadata["decision"] == "allow"


def test_services_without_a_key_admit_no_session_of_each_other_unless_they_are_given_one():
    with service() as one, service() as other, service(b"k" * 32) as third, service(b"k" * 32) as fourth:
        assert [True, False] == [admitted(each, opened(one)) for each in (one, other)]
        assert [True, True] == [admitted(each, opened(third)) for each in (third, fourth)]


def test_the_keys_of_the_policy_win_and_a_reload_replaces_them():
    old, new = b"o" * 32, b"n" * 32
    with service(b"k" * 32, session_keys=(old,)) as running, service(b"k" * 32) as keyless:
        before = opened(running)
        assert not admitted(keyless, before)
        asyncio.run(running.apply(replace(running.settings, session_keys=(new, old))))
        after = opened(running)
        assert before != after
        assert [True, True] == [admitted(running, each) for each in (before, after)]
        asyncio.run(running.apply(replace(running.settings, session_keys=(new,))))
        assert [False, True] == [admitted(running, each) for each in (before, after)]


def test_a_list_asked_for_before_a_reload_binds_with_the_key_in_force():
    start = json.dumps(policies.message("initialize", {})).encode()
    with service(session_keys=(b"o" * 32,)) as running:
        metadata = checked(running, "POST", start)
        asyncio.run(running.apply(replace(running.settings, session_keys=(b"n" * 32,), digest="next")))

        assert admitted(running, running.response_context(metadata).bind_session("s"))


@pytest.mark.parametrize(
    ("uri", "listed"),
    [("db:///orders/{row}", True), ("db:///Secret/{row}", False), ("db:///%73ecret/{row}", False)],
)
def test_a_list_is_held_to_the_spellings_that_a_request_is_held_to(uri, listed):
    allow = policies.rule(names={Kind.RESOURCE: ("db:///*",)})
    deny = policies.rule("deny", names={Kind.RESOURCE: ("db:///secret/*",)})
    reader = decoded(encoded(), {"demo": policies.server(allow, deny)})

    assert listed is reader.visible(Item(Kind.RESOURCE, uri))

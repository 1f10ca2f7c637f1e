import asyncio
import io
import json
import time
from contextlib import contextmanager

import pytest
from envoy.service.auth.v3 import external_auth_pb2 as auth_pb
from envoy.service.ext_proc.v3 import external_processor_pb2 as proc_pb
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from authz.config.settings import IssuerKeys, Settings
from authz.core.actions import refusal
from authz.core.item import Item, Kind
from authz.core.limits import Limits
from authz.core.policy import Policy
from authz.core.server import Directory
from authz.edge.audit import AuditLog
from authz.edge.ext_authz import Checker
from authz.edge.ext_proc import NAMESPACE, Processor
from authz.edge.handover import KEY, Reads, pack, unpack
from authz.edge.service import Service
from tests.support import core as policies
from tests.support import tokens

SERVERS = {"demo": policies.server(policies.rule("allow", "echo"))}
READS = Reads.of(Policy(()))
ASKED = policies.post(policies.message("tools/list"))
PATIENCE = 20
"""Seconds after which a wait in these tests is a failure."""


def handed_over(text):
    return unpack({"server": "demo", KEY: text}, SERVERS, tokens.NOW)


@given(st.none() | st.integers(-(2**63), 2**63 - 1) | st.text())
def test_the_reader_knows_the_id_of_the_request_in_value_and_type(request_id):
    reader = handed_over(pack(policies.principal(), ASKED, READS, request_id=request_id))

    assert (type(request_id), request_id) == (type(reader.request_id), reader.request_id)


def test_nothing_is_handed_over_for_a_request_without_an_id():
    assert "request_id" not in json.loads(pack(policies.principal(), ASKED, READS, request_id=None))


@pytest.mark.parametrize("request_id", [True, 1.5, [1], {"a": 1}])
def test_an_id_of_another_type_is_no_handover_at_all(request_id):
    baggage = json.loads(pack(policies.principal(), ASKED, READS))

    assert handed_over(json.dumps(baggage)) is not None
    assert handed_over(json.dumps({**baggage, "request_id": request_id})) is None


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
def test_what_no_request_can_name_is_in_no_list(kind, name, listed):
    everything = policies.rule(names=dict.fromkeys(Kind, ("*",)))
    text = pack(policies.principal(), ASKED, READS)
    reader = unpack({"server": "demo", KEY: text}, {"demo": policies.server(everything)}, tokens.NOW)

    assert listed is reader.visible(Item(kind, name))


def test_a_stream_that_names_ever_new_things_fills_no_memory():
    reader = handed_over(pack(policies.principal(), ASKED, READS))
    for number in range(20_000):
        reader.visible(Item(Kind.RESOURCE, f"file:///{number}"))

    assert reader.visible(Item(Kind.TOOL, "echo"))
    assert len(reader.known) <= 8192


@contextmanager
def service():
    """A service that holds the default issuer's key."""
    jwks = json.dumps({"keys": [tokens.jwk(tokens.rsa_key(), use="sig", alg="RS256")]}).encode()
    settings = Settings(
        grpc="",
        http="",
        directory=Directory(tuple(SERVERS.values())),
        keys={tokens.ISSUER: IssuerKeys(issuer=tokens.ISSUER, inline=jwks)},
        upstreams={},
        cors={},
        tools={},
        limits=Limits(),
        max_body=4096,
        max_list=4096,
        check_seconds=PATIENCE,
        tokens=10,
        digest="",
    )
    audit = AuditLog(io.BytesIO())
    try:
        yield Service(settings, audit)
    finally:
        audit.close()


def checked(service, method, content=b"", **headers):
    """The dynamic metadata that a Check leaves."""
    now = int(time.time())
    message = auth_pb.CheckRequest()
    http = message.attributes.request.http
    http.method, http.scheme, http.host, http.path, http.raw_body = (
        method,
        "https",
        "mcp.example",
        "/mcp",
        content,
    )
    token = tokens.token(tokens.claims(iat=now - 10, exp=now + 600))
    http.headers.update({"authorization": f"Bearer {token}", "content-type": "application/json", **headers})
    response = asyncio.run(asyncio.wait_for(Checker(service).check(message, None), PATIENCE))
    return MessageToDict(auth_pb.CheckResponse.FromString(response).dynamic_metadata)


def processed(service, metadata, label, data):
    """What Envoy is told about a response with this metadata: the 502's body, or else the body's pieces."""
    first = proc_pb.ProcessingRequest()
    for name, value in ((":status", b"200"), ("content-type", label)):
        first.response_headers.headers.headers.add(key=name, raw_value=value)
    first.metadata_context.filter_metadata[NAMESPACE].update(metadata)
    last = proc_pb.ProcessingRequest(response_body=proc_pb.HttpBody(body=data, end_of_stream=True))

    async def requests():
        yield first
        yield last

    async def run():
        processor = Processor(resolve=service.reader, observe=service.metrics)
        return [response async for response in processor.process(requests(), None)]

    responses = asyncio.run(asyncio.wait_for(run(), PATIENCE))
    return b"".join(
        response.immediate_response.body
        or response.response_body.response.body_mutation.streamed_response.body
        for response in responses
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

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import grpc
import pytest
import structlog
from envoy.config.core.v3 import base_pb2
from envoy.extensions.filters.http.ext_proc.v3 import processing_mode_pb2
from envoy.service.ext_proc.v3 import external_processor_pb2 as pb
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.config.envoy_version import ATTRIBUTES
from authz.core.identity.principal import Caller as AuthenticatedCaller
from authz.core.mcp.item import Kind
from authz.core.response.caller_metadata import KEY
from authz.core.response.commands import ResponseOutcome, expired, refusal
from authz.core.response.list_filter import FilterBounds
from authz.core.response.streams import OpenStreams, StreamShares
from authz.core.servers import Server
from authz.edge.envoy.ext_proc import SERVICE, Processor
from authz.edge.envoy.response_readers import NAMESPACE
from tests.support import core
from tests.support.ext_proc import FakeCall, play
from tests.support.rpc import serving
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.usefixtures("grpc_server")
MODE = processing_mode_pb2.ProcessingMode
LIST = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"shown"},{"name":"hidden"}]}}'
CUT = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"shown"}]}}'


FILES = core.server(name="files")


READER = AuthenticatedCaller.of(core.principal(), FILES.name)


@dataclass
class Caller:
    sees: set[str]
    server: Server = FILES
    request_id: str | int | None = None
    seconds: float | None = None
    remaining_ms: int = 500
    caller: AuthenticatedCaller = READER
    recognise: None = None

    def bind_session(self, session):
        if "," in session:
            raise ValueError(session)
        return f"{self.server.name}.{session}"

    def bind_event(self, event):
        return self.server.name.encode() + b"." + event

    def visible(self, item):
        return item.name in self.sees

    usable = visible


@dataclass
class Observed:
    lists: list = field(default_factory=list)
    outcomes: list = field(default_factory=list)
    causes: list = field(default_factory=list)
    came: list = field(default_factory=list)
    versions: list = field(default_factory=list)

    def listed(self, server, kind, kept, trimmed):
        self.lists.append((server, kind, kept, trimmed))

    def rewritten(self, outcome):
        self.outcomes.append(outcome)

    def rewriter_came(self, server):
        self.came.append(server)

    def envoy_seen(self, version):
        self.versions.append(version)

    def response_refused(self, server, cause):
        self.causes.append((server, cause))


def resolve(metadata):
    return Caller(set(metadata[KEY].split(","))) if KEY in metadata else None


def ending(seconds):
    """Resolve to callers whose responses may stay open for so long, and who asked as number 7."""
    return lambda metadata: replace(resolve(metadata), seconds=seconds, request_id=7)


@asynccontextmanager
async def calls(*, resolve=resolve, observe=None, **options):
    """A server over a real socket, and the function that opens a call to it."""
    processor = Processor(resolve=resolve, observe=observe or Observed(), **options)
    fixed_windows = [
        ("grpc.http2.bdp_probe", 0)
    ]  # as `serve` has them; else they grow for as long as nobody reads
    async with (
        serving(streams=processor.streams, options=fixed_windows) as (_, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=fixed_windows) as channel,
    ):
        yield channel.stream_stream(
            f"/{SERVICE}/Process",
            request_serializer=pb.ProcessingRequest.SerializeToString,
            response_deserializer=pb.ProcessingResponse.FromString,
        )


def exchange(*requests, tries=5, **options):
    """All responses to these requests."""

    async def run():
        async with calls(**options) as process:
            return [response async for response in process(iter(requests))]

    try:
        return asyncio.run(asyncio.wait_for(run(), DEADLINE))
    except grpc.aio.AioRpcError as error:
        if error.details() != CLIENT_FAULT or tries == 1:
            raise
    return exchange(*requests, tries=tries - 1, **options)


CLIENT_FAULT = "Internal error from Core"
"""What grpc.aio's client makes of a call that the server ended, rightly, while the client was still sending."""


def headers(*pairs, status=b"200", end=False, sees=("shown",), mode=MODE.FULL_DUPLEX_STREAMED, method=""):
    request = pb.ProcessingRequest()
    request.response_headers.end_of_stream = end
    for name, value in ((":status", status), *pairs):
        request.response_headers.headers.headers.add(key=name, raw_value=value)
    if sees is not None:
        request.metadata_context.filter_metadata[NAMESPACE].update({KEY: ",".join(sees), "method": method})
    if mode is not None:
        request.protocol_config.response_body_mode = mode
    return request


def body(data, *, end=False):
    return pb.ProcessingRequest(response_body=pb.HttpBody(body=data, end_of_stream=end))


TRAILERS = pb.ProcessingRequest(response_trailers=pb.HttpTrailers())
JSON = ("content-type", b"application/json")
SSE = ("content-type", b"text/event-stream")


def kinds(responses):
    return [response.WhichOneof("response") for response in responses]


def mutation(response):
    changes = response.response_headers.response.header_mutation
    return (
        {option.header.key: option.header.raw_value for option in changes.set_headers},
        list(changes.remove_headers),
    )


def streamed(responses):
    return [
        response.response_body.response.body_mutation.streamed_response
        for response in responses
        if response.HasField("response_body")
    ]


def sent(responses):
    return b"".join(piece.body for piece in streamed(responses))


def assert_bad_gateway(response, request_id=None):
    immediate = response.immediate_response

    assert 502 == immediate.status.code
    assert refusal(request_id) == immediate.body
    assert [("content-type", b"application/json")] == [
        (option.header.key, option.header.raw_value) for option in immediate.headers.set_headers
    ]


def test_a_json_list_is_trimmed_and_its_new_length_announced():
    observed = Observed()

    responses = exchange(
        headers(JSON, ("content-length", b"%d" % len(LIST)), ("etag", b'"x"'), ("digest", b"y")),
        body(LIST[:20]),
        body(LIST[20:], end=True),
        observe=observed,
    )

    assert ["response_headers", "response_body"] == kinds(responses)
    assert ({"content-length": b"%d" % len(CUT)}, ["etag", "digest"]) == mutation(responses[0])
    assert CUT == sent(responses)
    assert [True] == [piece.end_of_stream for piece in streamed(responses)]
    assert [("files", Kind.TOOL, 1, 1)] == observed.lists
    assert [ResponseOutcome.TRIMMED] == observed.outcomes


def test_the_length_overwrites_the_servers_own():
    (reply, *_) = exchange(headers(JSON, ("content-length", b"9")), body(LIST, end=True))
    (option,) = reply.response_headers.response.header_mutation.set_headers

    assert base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD == option.append_action


def test_the_headers_of_json_that_is_not_changed_go_on_as_they_are():
    length = ("content-length", b"%d" % len(CUT))
    responses = exchange(headers(JSON, length, ("etag", b'"x"')), body(CUT, end=True))

    assert ({}, []) == mutation(responses[0])
    assert CUT == sent(responses)


def test_a_length_that_was_wrong_is_set_right():
    responses = exchange(headers(JSON, ("content-length", b"0%d" % len(CUT))), body(CUT, end=True))

    assert ({"content-length": b"%d" % len(CUT)}, []) == mutation(responses[0])


def test_the_last_reply_ends_the_call_once_all_of_the_response_has_come():
    """Nothing of it is under way then, so Envoy need not end the call itself."""

    async def run(*requests):
        async with calls() as process:
            call = process()
            for request in requests:
                await call.write(request)
            return kinds([response async for response in call]), await call.code()

    text = headers(("content-type", b"text/plain"), status=b"404")
    for requests, last in (
        ([headers(end=True)], "response_headers"),
        ([headers(JSON), body(LIST), body(b"", end=True)], "response_body"),
        ([headers(SSE), body(b"data: x"), TRAILERS], "response_trailers"),
        ([text, body(b"x"), body(b"", end=True)], "response_body"),
        ([headers(("content-encoding", b"x")), body(b"x", end=True)], "immediate_response"),
    ):
        got, code = asyncio.run(asyncio.wait_for(run(*requests), DEADLINE))
        assert (grpc.StatusCode.OK, last) == (code, got[-1])


def test_a_call_with_messages_of_the_request_is_read_to_its_end():
    async def run():
        async with calls() as process:
            call = process()
            await call.write(pb.ProcessingRequest(request_headers=pb.HttpHeaders()))
            await call.write(headers(end=True))
            await call.write(pb.ProcessingRequest(request_trailers=pb.HttpTrailers()))
            await call.done_writing()
            return kinds(await read_all(call))

    got = asyncio.run(asyncio.wait_for(run(), DEADLINE))
    assert ["request_headers", "response_headers", "request_trailers"] == got


def test_json_that_is_not_changed_keeps_its_validators():
    responses = exchange(headers(JSON, ("etag", b'"x"')), body(CUT, end=True))

    assert ({"content-length": b"%d" % len(CUT)}, []) == mutation(responses[0])
    assert CUT == sent(responses)


def test_the_headers_of_json_are_held_and_those_of_events_are_not():
    async def first(label):
        async with calls() as process:
            call = process()
            await call.write(headers(label))
            reading = asyncio.ensure_future(call.read())
            if label is JSON:
                await call.write(body(LIST))
                done, _ = await asyncio.wait([reading], timeout=0.2)
                assert not done
                await call.write(body(b"", end=True))
            reply = await reading
            call.cancel()
            return reply

    for label in (JSON, SSE):
        reply = asyncio.run(asyncio.wait_for(first(label), DEADLINE))

        assert "response_headers" == reply.WhichOneof("response")


def test_events_are_sent_one_by_one_as_they_are_completed():
    async def run():
        async with calls() as process:
            call = process()
            await call.write(headers(SSE, ("content-length", b"99"), ("content-digest", b"x")))
            assert ({}, ["content-length", "content-digest"]) == mutation(await call.read())
            await call.write(body(b": ping\n\n" + b"data: " + LIST[:30]))
            assert b": ping\n\n" == sent([await call.read()])
            await call.write(body(LIST[30:] + b"\n\n"))
            assert b"data: " + CUT + b"\n\n" == sent([await call.read()])
            await call.write(body(b"", end=True))
            assert streamed([await call.read()])[0].end_of_stream
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF

    asyncio.run(asyncio.wait_for(run(), DEADLINE))


def test_a_response_that_ends_with_its_headers_is_answered_at_once_and_unchanged():
    responses = exchange(headers(JSON, ("content-length", b"0"), status=b"503", end=True, sees=None))

    assert ["response_headers"] == kinds(responses)
    assert ({}, []) == mutation(responses[0])


def test_another_status_passes_as_it_comes():
    responses = exchange(
        headers(("content-type", b"text/html"), status=b"404"), body(b"<"), body(b"x", end=True)
    )

    assert ({}, ["content-length"]) == mutation(responses[0])
    assert b"<x" == sent(responses)


@pytest.mark.parametrize(
    "requests",
    [
        [headers(JSON), body(b"[" + LIST + b"]", end=True)],
        [headers(JSON, ("content-encoding", b"gzip")), body(b"\x1f\x8b", end=True)],
        [headers(("content-type", b"text/plain")), body(LIST, end=True)],
        [headers(JSON, ("content-type", b"text/event-stream")), body(LIST, end=True)],
        [headers(JSON, sees=None), body(LIST, end=True)],
        [headers(JSON, mode=MODE.BUFFERED), body(LIST, end=True)],
        [headers(JSON, mode=MODE.NONE)],
        [headers(JSON, mode=None), body(LIST, end=True)],
        [headers(JSON, status=b"two hundred"), body(LIST, end=True)],
        [headers(JSON), headers(JSON)],
        [body(LIST, end=True), headers(JSON)],
        [headers(JSON), body(LIST[:-1]), TRAILERS],
        [TRAILERS],
        [headers(JSON), body(b" " * 2000), body(LIST, end=True)],
    ],
    ids=[
        "batch",
        "gzip",
        "text/plain",
        "two content types",
        "nobody known",
        "another body mode",
        "no body mode",
        "a mode that is not said",
        "no status",
        "headers twice",
        "body first",
        "cut off by trailers",
        "trailers alone",
        "too large",
    ],
)
def test_what_cannot_be_judged_is_replaced_by_one_502_while_the_headers_are_held(requests):
    observed = Observed()
    (response,) = exchange(*requests, bounds=FilterBounds(bytes=1000), observe=observed)

    assert_bad_gateway(response)
    assert [ResponseOutcome.REFUSED] == observed.outcomes


def broken(_):
    raise ZeroDivisionError


def broken_caller(_):
    caller = Caller(set())
    caller.visible = broken
    return caller


@pytest.mark.parametrize(
    ("requests", "error"),
    [
        ([headers(JSON, ("mcp-session-id", b"secret,")), body(LIST, end=True)], "ValueError"),
        ([headers(JSON, mode=None), body(LIST, end=True)], "BodyModeError"),
        ([headers(JSON), headers(JSON)], "ValueError"),
    ],
    ids=["a text that quotes", "a mode that is not said", "headers twice"],
)
def test_a_failure_leaves_the_type_of_its_error_in_the_log_and_not_its_text(requests, error):
    with structlog.testing.capture_logs() as logs:
        exchange(*requests)

    assert [{"event": "response failed", "error": error, "log_level": "error"}] == logs


@pytest.mark.parametrize("resolve", [broken, broken_caller])
def test_a_failure_is_a_502_while_the_headers_are_held(resolve):
    (response,) = exchange(headers(JSON), body(LIST, end=True), resolve=resolve)

    assert_bad_gateway(response)


def asked_by(request_id):
    """A way to resolve whose caller waits for the answer to this request."""
    return lambda metadata: Caller(set(metadata[KEY].split(",")), request_id=request_id)


@pytest.mark.parametrize("request_id", [1, "a", 2**53 + 1, None])
@pytest.mark.parametrize(
    "data", [b"[" + LIST + b"]", LIST[:-1], b" " * 2000], ids=["batch", "cut off", "too large"]
)
def test_the_502_for_a_refused_response_answers_the_request_by_its_id(request_id, data):
    (response,) = exchange(
        headers(JSON),
        body(data),
        body(b"", end=True),
        resolve=asked_by(request_id),
        bounds=FilterBounds(bytes=1000),
    )

    assert_bad_gateway(response, request_id)


def test_the_502_for_a_failure_answers_the_request_by_its_id():
    (response,) = exchange(headers(JSON), headers(JSON), resolve=asked_by(7))

    assert_bad_gateway(response, 7)


@pytest.mark.parametrize(
    "data", [b"data: [" + LIST + b"]\n\n", b"data: " + b"{" * 2000], ids=["batch", "too large"]
)
def test_a_refused_event_answers_the_request_by_its_id(data):
    responses = exchange(
        headers(SSE), body(data), body(b"", end=True), resolve=asked_by("a"), bounds=FilterBounds(bytes=1000)
    )

    assert b"data: " + refusal("a") + b"\n\n" == sent(responses)
    assert [False, True] == [piece.end_of_stream for piece in streamed(responses)]


def test_a_failure_after_the_headers_ends_the_body_there():
    responses = exchange(
        headers(SSE),
        body(b": ping\n"),
        body(b"data: " + LIST + b"\n\n"),
        body(b"data: " + LIST + b"\n\n", end=True),
        resolve=broken_caller,
    )

    assert ["response_headers", "response_body", "response_body"] == kinds(responses)
    assert b": ping\n" == sent(responses)
    assert [False, True] == [piece.end_of_stream for piece in streamed(responses)]


def test_an_event_beyond_the_bound_ends_the_body_once_and_nothing_follows():
    responses = exchange(
        headers(SSE),
        body(b"data: {" + b"x" * 2000),
        body(b"data: " + LIST, end=True),
        TRAILERS,
        bounds=FilterBounds(bytes=1000),
    )

    assert ["response_headers", "response_body"] == kinds(responses)
    assert (b"", True) == (streamed(responses)[0].body, streamed(responses)[0].end_of_stream)


@pytest.mark.parametrize(
    ("label", "data", "expected"), [(JSON, LIST, CUT), (SSE, b"data: " + LIST, b"data: " + CUT)]
)
def test_trailers_end_the_body_and_are_answered_after_it(label, data, expected):
    responses = exchange(headers(label), body(data), TRAILERS)

    assert ["response_headers", "response_body", "response_trailers"] == kinds(responses)
    assert expected == sent(responses)
    assert not any(piece.end_of_stream for piece in streamed(responses))


def test_a_large_body_is_sent_in_pieces_of_64_kib():
    large = b'{"jsonrpc":"2.0","id":1,"result":{"x":"' + b"y" * 200_000 + b'"}}'

    responses = exchange(headers(JSON), body(large, end=True))

    assert large == sent(responses)
    assert [65536, 65536, 65536, len(large) - 3 * 65536, 0] == [
        len(piece.body) for piece in streamed(responses)
    ]


def test_request_messages_are_waved_through():
    first = pb.ProcessingRequest(request_headers=pb.HttpHeaders())
    first.protocol_config.request_body_mode = MODE.FULL_DUPLEX_STREAMED
    responses = exchange(
        first,
        pb.ProcessingRequest(request_body=pb.HttpBody(body=b"abc", end_of_stream=True)),
        pb.ProcessingRequest(request_trailers=pb.HttpTrailers()),
        pb.ProcessingRequest(),
    )

    assert ["request_headers", "request_body", "request_trailers"] == kinds(responses)
    echoed = responses[1].request_body.response.body_mutation.streamed_response
    assert (b"abc", True) == (echoed.body, echoed.end_of_stream)


def test_a_request_body_in_another_mode_is_left_alone():
    (response,) = exchange(pb.ProcessingRequest(request_body=pb.HttpBody(body=b"abc", end_of_stream=True)))

    assert response == pb.ProcessingResponse(request_body=pb.BodyResponse())


def test_a_cancelled_call_leaves_the_server_serving():
    async def run():
        async with calls() as process:
            call = process()
            await call.write(headers(SSE))
            await call.read()
            call.cancel()
            again = process(iter([headers(JSON), body(LIST, end=True)]))
            return [response async for response in again]

    assert CUT == sent(asyncio.run(asyncio.wait_for(run(), DEADLINE)))


def test_200_calls_at_once_each_get_their_own_list():
    tools = b",".join(b'{"name":"t%d"}' % n for n in range(200))
    document = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[' + tools + b"]}}"

    async def one(process, n):
        call = process()
        label = SSE if n % 2 else JSON
        await call.write(headers(label, sees=[f"t{n}"]))
        data = b"data: " + document + b"\n\n" if n % 2 else document
        for start in range(0, len(data), 500):
            await call.write(body(data[start : start + 500]))
            await asyncio.sleep(0)
        await call.write(body(b"", end=True))
        await call.done_writing()
        return sent([response async for response in call])

    async def run():
        async with calls() as process:
            return await asyncio.gather(*(one(process, n) for n in range(200)))

    for n, got in enumerate(asyncio.run(asyncio.wait_for(run(), DEADLINE))):
        own = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"t%d"}]}}' % n
        assert (b"data: " + own + b"\n\n" if n % 2 else own) == got


messages = st.sampled_from(
    [
        headers(JSON),
        headers(SSE),
        headers(JSON, end=True),
        headers(SSE, sees=None),
        headers(status=b""),
        body(LIST),
        body(LIST, end=True),
        body(b"data: " + LIST + b"\n\n"),
        body(b"data: " + LIST, end=True),
        body(b"", end=True),
        body(b"\xff"),
        TRAILERS,
        pb.ProcessingRequest(),
        pb.ProcessingRequest(request_headers=pb.HttpHeaders(end_of_stream=True)),
        pb.ProcessingRequest(request_body=pb.HttpBody(body=b"x")),
        pb.ProcessingRequest(request_trailers=pb.HttpTrailers()),
    ]
)


@settings(deadline=None)
@given(st.lists(st.lists(messages, max_size=8), min_size=1, max_size=10))
def test_messages_in_any_order_raise_nothing_and_carry_no_hidden_item_through(scripts):
    async def run():
        processor = Processor(resolve=resolve, observe=Observed())
        played = [FakeCall(script) for script in scripts]
        for call in played:
            await play(processor, call)
        return played

    for script, call in zip(scripts, asyncio.run(run()), strict=True):
        responses = call.responses
        answers = [kind for kind in kinds(responses) if kind.startswith(("response", "immediate"))]
        assert b"hidden" not in sent(responses)
        assert answers.count("response_headers") + answers.count("immediate_response") <= 1
        assert sum(piece.end_of_stream for piece in streamed(responses)) <= 1
        assert sum(kind.startswith("request") for kind in kinds(responses)) == sum(
            (request.WhichOneof("request") or "").startswith("request") for request in script[: call.taken]
        )


def test_the_version_of_envoy_is_read_from_the_first_response_and_then_from_some():
    observed = Observed()
    processor = Processor(resolve=resolve, observe=observed)
    first = headers(end=True)
    first.attributes["envoy.filters.http.ext_proc"].update(dict(zip(ATTRIBUTES, (1, 40, 0), strict=True)))

    async def run():
        seen = []
        for _ in range(33):
            await play(processor, FakeCall([first]))
            seen.append(len(observed.versions))
        return seen

    assert [1] * 16 + [2] * 16 + [3] == asyncio.run(run())
    assert [(1, 40, 0)] * 3 == observed.versions


SESSION = ("mcp-session-id", b"abc")


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        (headers(JSON, SESSION), [body(CUT, end=True)]),
        (headers(SSE, SESSION), []),
        (headers(JSON, SESSION, status=b"400"), [body(b"no", end=True)]),
        (headers(SESSION, status=b"202", end=True), []),
    ],
    ids=["JSON", "events", "error", "no body"],
)
def test_a_session_id_is_bound_to_who_reads_under_any_status(first, rest):
    (reply, *_) = exchange(first, *rest)

    assert b"files.abc" == mutation(reply)[0]["mcp-session-id"]


@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize(
    ("more", "sees"), [([], None), ([("mcp-session-id", b"d")], ["shown"])], ids=["nobody", "twice"]
)
def test_a_session_id_that_cannot_be_bound_is_a_502(more, sees, end):
    observed = Observed()
    first = headers(SSE, SESSION, *more, end=end, sees=sees)
    (reply, *others) = exchange(first, *([] if end else [body(b"data: x\n\n")]), observe=observed)

    assert_bad_gateway(reply)
    assert ([], [ResponseOutcome.REFUSED]) == (others, observed.outcomes)


async def read_all(call):
    """Read until the call is over."""
    got = []
    while (reply := await call.read()) is not grpc.aio.EOF:
        got.append(reply)
    return got


def test_a_stream_ends_when_its_time_is_up_though_nothing_comes():
    observed = Observed()

    async def run():
        async with calls(resolve=ending(0.05), observe=observed) as process:
            call = process()
            await call.write(headers(SSE))
            got = [await call.read() for _ in range(3)]
            await call.write(body(b"data: too late\n\n"))
            await call.write(body(b"", end=True))
            await call.done_writing()
            return got, await read_all(call)

    got, after = asyncio.run(asyncio.wait_for(run(), DEADLINE))

    assert ["response_headers", "response_body", "response_body"] == kinds(got)
    assert b"data: " + expired(7) + b"\n\n" == sent(got)
    assert [False, True] == [piece.end_of_stream for piece in streamed(got)]
    assert [] == after
    assert [ResponseOutcome.EXPIRED] == observed.outcomes


def test_a_body_that_is_held_is_not_cut_off_when_time_is_up():
    async def run():
        async with calls(resolve=ending(0.0)) as process:
            call = process()
            await call.write(headers(JSON))
            await call.write(pb.ProcessingRequest(request_headers=pb.HttpHeaders()))
            waved = await call.read()
            await call.write(body(LIST, end=True))
            await call.done_writing()
            return [waved, *await read_all(call)]

    assert CUT == sent(asyncio.run(asyncio.wait_for(run(), DEADLINE)))


def test_a_stream_that_ended_before_its_time_ends_once():
    async def run():
        async with calls(resolve=ending(0.05)) as process:
            call = process()
            await call.write(headers(SSE))
            await call.write(body(b"data: x\n\n", end=True))
            return await read_all(call)

    got = asyncio.run(asyncio.wait_for(run(), DEADLINE))
    assert [True] == [piece.end_of_stream for piece in streamed(got)]


def test_while_a_client_does_not_read_little_more_is_read_for_it_and_the_end_comes_next():
    """How much gRPC holds on the way is its own; that not all is taken shows that somebody waits."""
    observed, big = Observed(), body(b"data: " + b"x" * 60_000 + b"\n\n")
    many, written = 400, []

    async def run(seconds):
        written.clear()
        async with calls(resolve=ending(seconds), observe=observed) as process:
            call = process()
            await call.write(headers(SSE))

            async def write_all():
                for _ in range(many):
                    await call.write(big)
                    written.append(1)
                await call.done_writing()

            writing = asyncio.ensure_future(write_all())
            await asyncio.wait([writing], timeout=seconds + 0.8)
            while_stalled = len(written)
            got = await read_all(call)
            await writing
            return while_stalled, got

    for seconds in (0.2, 2, 20):  # more of them where a busy machine was late with the first pieces
        while_stalled, got = asyncio.run(asyncio.wait_for(run(seconds), DEADLINE))
        if while_stalled < many:
            break
    assert while_stalled < many / 2
    assert sent(got).endswith(b"data: " + expired(7) + b"\n\n")
    assert len(sent(got)) < many * 60_000 / 2
    assert [True] == [piece.end_of_stream for piece in streamed(got) if piece.end_of_stream]
    assert ResponseOutcome.EXPIRED == observed.outcomes[-1]


def test_of_the_metadata_only_texts_count():
    first = headers(JSON, sees=None)
    first.metadata_context.filter_metadata[NAMESPACE].update({KEY: ["shown"], "n": 1, "b": True})
    (reply,) = exchange(first, body(LIST, end=True))

    assert_bad_gateway(reply)


def test_a_stream_is_counted_while_it_is_open_and_other_responses_are_not():
    async def admitted(method):
        open_streams = OpenStreams(StreamShares(per_caller=1), time.monotonic)
        async with calls(streams=open_streams) as process:
            call = process()
            await call.write(headers(SSE, method=method))
            await call.read()
            during = open_streams.admit(READER.principal, "other")
            await call.write(body(b"", end=True))
            await call.done_writing()
            await read_all(call)
        return during

    async def run():
        return [await admitted(method) for method in ("GET", "subscriptions/listen", "tools/call")]

    assert [False, False, True] == asyncio.run(asyncio.wait_for(run(), DEADLINE))


def test_bytes_that_follow_one_another_are_one_message():
    responses = exchange(headers(SSE), body((b": x\n\n" + b"data: x\n\n") * 5000), body(b"", end=True))

    assert 5000 * 14 == len(sent(responses))
    assert 25 >= len([piece for piece in streamed(responses) if not piece.end_of_stream])

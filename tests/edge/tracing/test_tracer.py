"""What is traced: whose word counts, what a span is part of, and what is left out."""

import asyncio
import random

import pytest

from authz.core.decision import Decision, Facts
from authz.core.mcp.item import Item, Kind
from authz.core.reasons import Reason
from authz.core.request import HttpRequest
from authz.core.response.commands import ResponseOutcome
from authz.core.response.filter_result import Cause
from authz.edge.tracing.attributes import check_attributes, hashed_session, span_name
from authz.edge.tracing.spans import CheckSteps
from authz.edge.tracing.traceparent import SpanParent
from authz.edge.tracing.tracer import Tracer

FACTS = Facts(decision_id="d", policy="p", at=10.0, status=403, source="192.0.2.1")
DENIED = Decision(reason=Reason.MISSING_SCOPE, rule="readers", server="demo", method="tools/call")
ALLOWED = Decision(reason=Reason.ALLOWED, allowed=True, server="demo", method="tools/call")
ENVOY, CLIENT, MESSAGE = (SpanParent(number, number, sampled=True) for number in (1, 2, 3))


def text(parent, sampled=True, version="00", more=""):
    return f"{version}-{parent.trace_id:032x}-{parent.span_id:016x}-{int(sampled):02x}{more}"


class Call:
    def __init__(self, sent=None):
        self.metadata = sent


class Queue:
    def __init__(self, *, admits=True):
        self.spans = []
        self.add = self.spans.append
        self.admits = admits

    def admit_unsampled(self):
        return self.admits

    def close(self):
        pass


def request(client=None, message=None, **headers):
    if client is not None:
        headers["traceparent"] = text(client)
    meta = "" if message is None else f'"_meta": {{"traceparent": "{text(message)}"}}'
    body = f'{{"params": {{{meta}}}}}'.encode()
    return HttpRequest(method="POST", host="h", path="/", headers=headers, body=body)


def ignored(_step):
    pass


def traced(call, decision, asked=None, *, percent=0, steps=("parse", "token")):
    """Make a Check; gives the spans of it."""
    queue = Queue()
    tracer = Tracer(queue, percent=percent)
    traced_steps = tracer.begin(call, ignored)
    for step in steps if traced_steps else ():
        traced_steps(step)
    tracer.end(traced_steps, call, asked or request(), decision, FACTS, 0.25)
    return queue.spans


@pytest.mark.parametrize(
    ("sent", "percent", "decision", "expected"),
    [
        ([text(ENVOY)], 0, ALLOWED, True),
        ([text(ENVOY)], 0, DENIED, True),
        ([text(ENVOY, sampled=False)], 100, ALLOWED, None),
        ([text(ENVOY, sampled=False)], 100, DENIED, False),
        ([text(ENVOY, version="01", more="-later-0")], 0, ALLOWED, True),
        ([text(ENVOY, sampled=False, version="01", more="-later-1")], 100, ALLOWED, None),
        (["malformed-01"], 100, ALLOWED, None),
        ([], 0, ALLOWED, None),
        ([], 0, DENIED, False),
        ([], 100, ALLOWED, True),
        ([], 100, DENIED, True),
    ],
)
def test_envoy_decides_what_is_sampled_and_a_denial_always_makes_a_span(sent, percent, decision, expected):
    """Expected: whether there is a span, and with steps."""
    spans = traced(Call(*sent), decision, percent=percent)

    assert [expected] * (expected is not None) == [span.steps is not None for span in spans]


@pytest.mark.parametrize("asked", [request(CLIENT), request(message=MESSAGE), request(CLIENT, MESSAGE)])
def test_no_header_and_no_message_of_a_client_causes_a_span(asked):
    assert [] == traced(Call(), ALLOWED, asked)
    assert [] == traced(Call(text(ENVOY, sampled=False)), ALLOWED, asked)


@pytest.mark.parametrize(("sampled", "expected"), [(True, 4), (False, 0)])
def test_what_was_not_sampled_leaves_nothing_where_the_queue_has_no_room_for_it(sampled, expected):
    queue, call = Queue(admits=False), Call(text(ENVOY, sampled=sampled))
    tracer = Tracer(queue, percent=0)
    steps = tracer.begin(call, ignored)
    tracer.end(steps, call, request(), DENIED, FACTS, 0.1)
    response = tracer.response(call, Observed())
    response.response_refused("demo", Cause.NOT_JSON)
    response.end({}, 200)

    async def fail():
        for name in ("introspect", "fetch keys"):
            with tracer.work(name, {}) as work:
                work.failed("no answer within 2 s")

    asyncio.run(fail() if steps is None else tracer.within(steps, fail()))

    assert expected == len([span for span in queue.spans if sampled or span.name == "introspect"])


@pytest.mark.parametrize(
    ("sent", "asked", "parent", "links"),
    [
        ([text(ENVOY)], request(), ENVOY, ()),
        ([text(ENVOY)], request(CLIENT), ENVOY, ()),
        ([text(ENVOY)], request(CLIENT, MESSAGE), ENVOY, (MESSAGE,)),
        ([], request(CLIENT, MESSAGE), CLIENT, (MESSAGE,)),
        ([], request(message=MESSAGE), MESSAGE, ()),
        ([], request(), None, ()),
    ],
)
@pytest.mark.parametrize("percent", [0, 100])
def test_a_span_is_part_of_the_nearest_trace_and_the_messages_is_a_link(sent, asked, parent, links, percent):
    (span,) = traced(Call(*sent), DENIED, asked, percent=percent)

    assert (parent, links) == (span.parent, span.links)


def test_once_an_envoy_samples_this_service_does_not_by_itself():
    queue = Queue()
    tracer = Tracer(queue, percent=100)

    assert isinstance(tracer.begin(Call(), ignored), CheckSteps)
    tracer.begin(Call(text(ENVOY, sampled=False)), ignored)
    assert not isinstance(tracer.begin(Call(), ignored), CheckSteps)


def test_the_share_of_own_samples_is_the_percentage():
    tracer = Tracer(Queue(), percent=10)
    random.seed(7)
    found = sum(isinstance(tracer.begin(Call(), ignored), CheckSteps) for _ in range(10_000))

    assert 900 < found < 1100


def test_the_stages_are_timed_for_metrics_as_well():
    seen = []
    tracer = Tracer(Queue(), percent=100)
    tracer.begin(Call(), seen.append)("parse")

    assert ["parse"] == seen


@pytest.mark.parametrize("sent", [[text(ENVOY)], []])
def test_work_that_a_sampled_check_waits_for_is_part_of_its_trace(sent):
    queue = Queue()
    tracer = Tracer(queue, percent=100)
    call = Call(*sent)
    steps = tracer.begin(call, ignored)

    async def ask():
        with tracer.work("introspect", {"url.full": "https://issuer.example/introspect"}):
            return True

    assert asyncio.run(tracer.within(steps, ask()))
    tracer.end(steps, call, request(CLIENT), DENIED, FACTS, 0.1)
    work, check = queue.spans

    assert (steps.span_id, steps.trace_id(), True) == (work.parent.span_id, work.parent.trace_id, work.client)
    assert (ENVOY if sent else None, () if sent else (CLIENT,)) == (check.parent, check.links)


def test_a_fetch_and_a_reload_make_a_span_always_and_a_question_when_it_fails():
    queue = Queue()
    tracer = Tracer(queue, percent=0)
    for name in ("fetch keys", "reload policy", "introspect"):
        with tracer.work(name, {}):
            pass
    with tracer.work("introspect", {}) as work:
        work.failed("no answer within 2 s")
    with pytest.raises(KeyError), tracer.work("reload policy", {}):
        raise KeyError

    assert [
        ("fetch keys", ""),
        ("reload policy", ""),
        ("introspect", "no answer within 2 s"),
        ("reload policy", "KeyError"),
    ] == [(span.name, span.problem) for span in queue.spans]


class Observed:
    """Counts what it is told."""

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        return lambda *parts: self.told.append((name, parts))


@pytest.mark.parametrize(
    ("sent", "cause", "spans"),
    [
        ([text(ENVOY)], None, 1),
        ([text(ENVOY, sampled=False)], None, 0),
        ([], None, 0),
        ([text(ENVOY, sampled=False)], Cause.NOT_JSON, 1),
        ([], Cause.NOT_JSON, 1),
    ],
)
def test_a_response_makes_a_span_if_it_is_sampled_or_refused_and_is_counted_in_any_case(sent, cause, spans):
    queue, observed = Queue(), Observed()
    trace = Tracer(queue, percent=100).response(Call(*sent), observed)
    trace.rewriter_came("demo")
    trace.listed("demo", Kind.TOOL, 2, 3)
    trace.rewritten(ResponseOutcome.REFUSED if cause else ResponseOutcome.TRIMMED)
    if cause:
        trace.response_refused("demo", cause)
    trace.end({"server": "demo", "method": "tools/list", "decision_id": "d", "sub": "alice"}, 200)

    assert spans == len(queue.spans)
    assert (4 if cause else 3) == len(observed.told)
    for span in queue.spans:
        assert {
            "mcp.method.name": "tools/list",
            "mcp_authz.list.kept": 2,
            "mcp_authz.list.trimmed": 3,
            "mcp_authz.decision_id": "d",
        }.items() <= span.attributes.items()
        assert (cause is not None) == span.failed
        assert "alice" not in span.attributes.values()


def attributes(decision, *, authorization=False, session=""):
    (span,) = traced(Call(text(ENVOY)), decision, request(**{"mcp-session-id": session} if session else {}))
    return check_attributes(span, authorization=authorization)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.TOOL, "gen_ai.tool.name"),
        (Kind.PROMPT, "gen_ai.prompt.name"),
        (Kind.RESOURCE, "mcp.resource.uri"),
        (Kind.TASK, "mcp_authz.task"),
    ],
)
def test_an_item_is_named_as_the_conventions_name_its_kind(kind, name):
    decision = Decision(reason=Reason.NO_RULE, method="tools/call", item=Item(kind, "it\x1b[0m" + "x" * 600))

    assert attributes(decision)[name].startswith("it\N{REPLACEMENT CHARACTER}[0mxx")
    assert 520 > len(attributes(decision)[name])


@pytest.mark.parametrize(
    ("method", "expected", "name"),
    [
        ("tools/call", {"mcp.method.name": "tools/call"}, "Check tools/call"),
        ("vendor/own", {"mcp.method.name": "vendor/own"}, "Check"),
        ("GET", {"http.request.method": "GET"}, "Check GET"),
        ("response", {}, "Check"),
        ("", {}, "Check"),
    ],
)
def test_a_method_is_mcps_or_https_and_only_known_ones_name_spans(method, expected, name):
    found = attributes(Decision(reason=Reason.NO_RULE, method=method))

    assert expected == {key: found[key] for key in ("mcp.method.name", "http.request.method") if key in found}
    assert name == span_name(method)


def test_a_session_is_a_hash_by_which_nobody_can_use_it():
    found = attributes(DENIED, session="tag.session-id")["mcp.session.id"]

    assert (hashed_session("tag.session-id"), 16) == (found, len(found))
    assert "session-id" not in found


def test_what_is_only_drafted_is_said_if_somebody_asks_for_it():
    assert not any(name.startswith("gen_ai.agent") for name in attributes(DENIED))
    assert {
        "gen_ai.operation.name": "execute_authorization",
        "gen_ai.agent.authorization.outcome": "deny",
        "gen_ai.agent.authorization.reason": "missing_scope",
        "gen_ai.agent.authorization.policy.name": "readers",
        "gen_ai.agent.authorization.policy.version": "p",
    }.items() <= attributes(DENIED, authorization=True).items()

"""No request costs more steps than its limits allow, however long, deep, wide, foreign or escaped it is."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.core.decision import Decision
from authz.core.request import Limits
from tests.support.core import changed, check, good_token, message, post, rule, server, snapshot
from tests.support.work import counted

UNHURRIED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
"""A machine that is busy with other tests is no failure."""

LIMITS = Limits(nodes=2000, keys=1000, normalised=128)
RULES = (
    rule("allow", "echo", args='args.a.path != "/b" && size(args) > 0', name="reading"),
    rule("deny", "echo", args="args.b.exists(x, x == 1)", name="walking"),
)
TARGET = changed(snapshot(server(*RULES)), limits=LIMITS, max_body=1_048_576)
STEPS = 12 * LIMITS.nodes
"""More than any request may cost: a few calls for each value that the limits let through."""

UNITS = st.sampled_from(
    ["a", "%", "%25", "\ufdfa", "\u0345\u0315", "\\", '"', "{", "[,:", "é", "\0", "\r\n", "\U0001f600"]
)
SIZES = st.sampled_from([0, 1, 40, 900, 20_000])
LONG = st.builds(lambda unit, size: (unit * size)[:20_000], UNITS, SIZES)
SCALARS = LONG | st.sampled_from([1, 2**53 + 1, 2**64, 0.1, True, None, int("9" * 400)])


def wide(value, key, size):
    """Give objects and lists of a size, with keys that begin alike."""
    return {"keys": {f"{key[:60]}{n}": value for n in range(size)}, "list": [value] * size}


def deep(value, depth):
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


ARGUMENTS = st.one_of(
    st.builds(wide, SCALARS, LONG, st.sampled_from([0, 9, 400, 1500, 9000])),
    st.builds(
        lambda value, depth, size: {"a": [deep(value, depth)] * size}, SCALARS, st.integers(0, 90), SIZES
    ),
    st.builds(lambda key, size: {f"{key[:40]}{n}": 1 for n in range(size)}, LONG, SIZES),
    st.dictionaries(LONG, SCALARS, max_size=5),
)
MESSAGES = st.one_of(
    ARGUMENTS.map(lambda given: message("tools/call", {"name": "echo", "arguments": {"b": [], **given}})),
    ARGUMENTS.map(lambda given: message("ping", given)),
    ARGUMENTS.map(lambda given: {**message("ping"), **given}),
    LONG.map(lambda uri: message("resources/read", {"uri": uri})),
)
BODIES = st.builds(
    lambda sent, compact, escaped: json.dumps(
        sent, separators=(",", ":") if compact else None, ensure_ascii=escaped
    ).encode("utf-8", "replace"),
    MESSAGES,
    st.booleans(),
    st.booleans(),
) | st.builds(
    lambda unit, size: unit.encode() * size, UNITS | st.sampled_from(["[", '{"a":', "1", " ", "1e5,"]), SIZES
)


@UNHURRIED
@given(body=BODIES)
def test_a_request_costs_no_more_steps_than_its_limits_allow(body):
    good_token()
    check(post(message("ping")), TARGET)  # verifies the token
    request = post(body)
    decision, steps = counted(lambda: check(request, TARGET))

    assert isinstance(decision, Decision)
    assert STEPS > steps

"""What a merge does to requests that have nothing to do with MCP: 200 of them, before and after, on a real Envoy.

Isolated, nothing. In the same connection manager, what the table announces.
"""

import re

import pytest

from authz.demo.ports import free_port
from authz.merge.merge import merge
from tests.support.real_envoy import running_envoy
from tests.support.shared_shop import chain_for
from tests.support.shop import ISSUER, answered, backend, chat, order, other_traffic, shop
from tests.support.tokens import current, token

pytestmark = pytest.mark.envoy

UNLIKE = (
    (rb"(?im)^(date|x-envoy-upstream-service-time): [^\r]*", rb"\1: -"),
    (rb'"x-request-id", "[0-9a-f-]{36}"', rb'"x-request-id", "-"'),
)
"""What differs from one run to the next: clocks, and ids that Envoy makes."""


def like(answer):
    for found, put in UNLIKE:
        answer = re.sub(found, put, answer)
    return answer


@pytest.fixture(scope="module")
def driven(tmp_path_factory):
    """Run the shop as it is, with --merge and with --isolate; gives by form the answers, the log and the effects."""
    seen = {}
    good = token(current(iss=ISSUER))
    with backend() as servers:
        for form in ("before", "merged", "isolated"):
            port = free_port()
            text, effects = shop(port, servers.api, servers.orders), ()
            if form != "before":
                chain, settings = chain_for("shop.example.com")
                merged = merge(text, "shop.yaml", chain, settings, isolate=form == "isolated")
                text, effects = merged.text, merged.effects
            with running_envoy(text, port, tmp_path_factory.mktemp(form)) as envoy:
                asked = [
                    like(each) for each in answered(port, *(asked.bytes(good) for asked in other_traffic()))
                ]
                asked += [order(port).encode(), like(chat(port))]
                log = [line["line"] for line in envoy.access_log(len(asked)) if "line" in line]
            seen[form] = (asked, log, effects)
    return seen


def differing(driven, form):
    """The requests that are answered otherwise than before."""
    pairs = zip(other_traffic(), driven["before"][0], driven[form][0], strict=False)
    return [(asked, old, new) for asked, old, new in pairs if old != new]


def test_the_traffic_is_what_it_should_be(driven):
    answers = driven["before"][0]
    statuses = {int(answer.split()[1]) for answer in answers if answer.startswith(b"HTTP/1.1 ")}

    assert 200 == len(answers)
    assert {101, 200, 401, 404, 429} == statuses
    assert b"ping" in answers[-1]
    assert b"SERVING" in answers[-2]
    assert b"5000000" in answers[-3]


def test_isolated_every_byte_of_every_answer_and_of_the_access_log_is_the_same(driven):
    assert [] == differing(driven, "isolated")
    assert driven["before"][0] == driven["isolated"][0]
    assert sorted(driven["before"][1]) == sorted(driven["isolated"][1])


ANNOUNCED = {
    "paths with . or .. in them": lambda asked: "/." in asked.path or "%2e" in asked.path,
    "paths with //": lambda asked: "//" in asked.path,
    "paths with %2F or %5C": lambda asked: "%2F" in asked.path,
    "x-mcp-* headers of identity": lambda asked: any(name == "x-mcp-subject" for name, _ in asked.headers),
}
CLIENT = "x-forwarded-* and x-envoy-* from clients"
OF_CLIENT = re.compile(
    rb'\["(x-forwarded-[a-z]+|x-request-id|x-envoy-[a-z-]+)", "[^"]*"\],? ?|content-length: \d+|realm="https?:'
)
"""What this row of the table speaks of, as the backend repeats it; and the length of what it repeats."""


def test_merged_nothing_differs_that_the_table_does_not_announce(driven):
    told = {effect.what for effect in driven["merged"][2]}
    unexpected = [
        asked
        for asked, old, new in differing(driven, "merged")
        if not any(row in told and speaks_of(asked) for row, speaks_of in ANNOUNCED.items())
        and not (CLIENT in told and OF_CLIENT.sub(b"", old) == OF_CLIENT.sub(b"", new))
    ]

    assert [] == unexpected
    assert driven["before"][0][-2:] == driven["merged"][0][-2:]


def test_merged_what_the_table_announces_does_differ(driven):
    told = {effect.what for effect in driven["merged"][2]}
    different = [asked for asked, _, _ in differing(driven, "merged")]

    assert ANNOUNCED.keys() | {CLIENT} <= told
    assert [] == [row for row, speaks_of in ANNOUNCED.items() if not any(map(speaks_of, different))]

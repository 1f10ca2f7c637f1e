"""A resource has many spellings. None of them leads past a deny or out of an allow to what an SDK server then reads.

The server is the official SDK's with the template `db:///{table}/{row}`, which decodes what it takes out of a URI.
"""

import asyncio

import pytest
from mcp.server.mcpserver import MCPServer

from authz.core.mcp.item import Kind
from authz.core.reasons import Reason
from authz.demo.ports import free_port
from tests.support.core import check, message, mirrored, modern, post, rule, server, snapshot
from tests.support.running import EVERYTHING, another_gateway
from tests.support.talking_server import served
from tests.support.tokens import A_DAY
from tests.support.wire import ask
from tests.support.wire import message as asked
from tests.support.work import counted

MEBIBYTE = 1 << 20
AMBIGUOUS = Reason.AMBIGUOUS_URI


def tables():
    """Build the server; what it answers tells which table it read."""
    rows = MCPServer("rows", log_level="ERROR")

    @rows.resource("db:///{table}/{row}")
    async def _row(table: str, row: str) -> str:
        return f"table={table} row={row}"

    return rows


def resources(effect, *names, **parts):
    return rule(effect, names={Kind.RESOURCE: names}, name=effect, **parts)


WIDE = snapshot(
    server(resources("allow", "db:///*"), resources("deny", "db:///secret/*")), max_body=8 * MEBIBYTE
)
PUBLIC = snapshot(server(resources("allow", "file:///public/*")))


def read(uri):
    return post(message("resources/read", {"uri": uri}))


PAST_A_DENY = [
    "db:///%73ecret/x",
    "db:///%2573ecret/x",
    "db:///%252573ecret/x",
    "db:///secret%2fx",
    "db:///secret%2Fx",
    "db:///secret%5Cx",
    "db:///secret%252Fx",
    "db:///Secret/x",
    "db:///SECRET/x",
    "db:////secret/x",
    "db://///secret/x",
    "DB:///secret/x",
    "db:///secret\\x",
    "db:///secret%20/x",
    "db:///secret /x",
    "db:///%20secret/x",
    "db:///secret./x",
    "db:///./secret/x",
    "db:///public/../secret/x",
    "db:///%EF%BD%93ecret/x",
    "db:///\uff53ecret/x",
    "db:///\u017fecret/x",
    "db:///s\ufe0fecret/x",
    "db:///s%E2%80%8Becret/x",
    "db:///%C1%B3ecret/x",
    "db:///%u0073ecret/x",
    "db:///secret\uff0fx",
    "db:///secret;a=1/x",
    "db:///secret/x%00",
    "db:///secret%09/x",
]


@pytest.mark.parametrize("uri", PAST_A_DENY)
@pytest.mark.requirement("reason.ambiguous_uri", "security.one-spelling")
def test_no_spelling_of_a_denied_row_is_read(uri):
    assert AMBIGUOUS is check(read(uri), WIDE).reason


@pytest.mark.parametrize(
    ("uri", "expected"),
    {
        "db:///secret/x": Reason.DENIED_BY_RULE,
        "db:///secret//x": Reason.DENIED_BY_RULE,
        "db://secret/x": Reason.NO_RULE,
        "db:/secret/x": Reason.NO_RULE,
    }.items(),
)
def test_a_spelling_that_the_rules_refuse_anyway_keeps_their_reason(uri, expected):
    assert expected is check(read(uri), WIDE).reason


def test_the_server_of_these_tests_would_read_the_denied_table_in_other_spellings():
    async def go():
        return [
            next(iter(await tables().read_resource(uri))).content
            for uri in ("db:///%73ecret/x", "db:///secret%20/x")
        ]

    assert ["table=secret row=x", "table=secret  row=x"] == asyncio.run(go())


OUT_OF_AN_ALLOW = [
    "file:///public/%c0%ae%c0%ae/secret",
    "file:///public/%C0%AE%C0%AE/secret",
    "file:///public/%u002e%u002e/secret",
    "file:///public/\u2025/secret",
    "file:///public/%E2%80%A5/secret",
    "file:///public/\uff0e\uff0e/secret",
    "file:///public/..%2Fsecret",
    "file:///public/%2Fetc%2Fpasswd",
    "file:///public/..\uff0fsecret",
    "file:///public/.. /secret",
    "file:///public/...",
]


@pytest.mark.parametrize("uri", OUT_OF_AN_ALLOW)
def test_no_spelling_of_a_dot_segment_leads_out_of_an_allow(uri):
    assert AMBIGUOUS is check(read(uri), PUBLIC).reason


ORDINARY = [
    "db:///orders/1",
    "db:///Orders/A%20b",
    "db:///caf%C3%A9/x?sort=name%2Fdesc#top",
    "db:///café/x",
    "db:///v1.2/100%25",
    "db:///secrets/x",
    "db:///{table}/{row}",
]


@pytest.mark.parametrize("uri", ORDINARY)
def test_ordinary_uris_beside_a_deny_are_allowed(uri):
    assert check(read(uri), WIDE).allowed


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("resources/read", {"uri": "db:///%73ecret/x"}),
        ("resources/subscribe", {"uri": "db:///%73ecret/x"}),
        ("resources/unsubscribe", {"uri": "db:///%73ecret/x"}),
        ("resources/directory/read", {"uri": "db:///%73ecret/x"}),
        ("skills/get", {"uri": "db:///%73ecret/x"}),
        ("completion/complete", {"ref": {"type": "ref/resource", "uri": "db:///%73ecret/{row}"}}),
    ],
)
def test_every_method_that_names_a_resource_is_held_to_it(method, params):
    assert AMBIGUOUS is check(post(message(method, params)), WIDE).reason


@pytest.mark.parametrize("piece", ["%", "%25", "%C3%A9", "\u0315\u0316", "\ufdfa", "../"])
def test_a_uri_of_a_mebibyte_is_refused_by_its_length_before_it_is_read(piece):
    uri = "db:///" + piece * (MEBIBYTE // len(piece.encode()) - 16)
    _, few = counted(lambda: check(read("db:///" + piece), WIDE))
    long, many = counted(lambda: check(read(uri), WIDE))

    assert not long.allowed
    assert Reason.BAD_MESSAGE is long.reason
    assert 2 * few + 100 > many


def test_many_long_uris_in_one_request_are_refused_by_their_length_together():
    def listen(size):
        uris = [f"db:///{number:03}/" + "x" * size for number in range(256)]
        params = {"notifications": {"resourceSubscriptions": uris}}
        return post(modern("subscriptions/listen", params), mirrored("subscriptions/listen"))

    long, many = counted(lambda: check(listen(1900), WIDE))
    short, few = counted(lambda: check(listen(100), WIDE))

    assert (AMBIGUOUS, Reason.ALLOWED) == (long.reason, short.reason)
    assert few > many


@pytest.fixture(scope="module")
def port(stack):
    with served(tables(), free_port()) as upstream:
        gateway = another_gateway(
            stack,
            "rows",
            upstream=upstream,
            edit=lambda text: text.replace(
                "tools: [echo, get_user_info]}",
                'tools: [echo], resources: ["db:///*"]}\n      - deny: {resources: ["db:///secret/*"]}',
            ),
        )
        gateway.start()
        yield gateway.ports.envoy


@pytest.mark.envoy
@pytest.mark.parametrize(
    ("uri", "status", "told"),
    [
        ("db:///orders/x", 200, "table=orders row=x"),
        ("db:///Orders/a%20b", 200, "table=Orders row=a b"),
        ("db:///%73ecret/x", 400, "ambiguous_uri"),
        ("db:///Secret/x", 400, "ambiguous_uri"),
        ("db:///secret%20/x", 400, "ambiguous_uri"),
        ("db:///%2573ecret/x", 400, "ambiguous_uri"),
        ("db:///secret%2Fx", 400, "ambiguous_uri"),
        ("db:///secret/x", 200, "denied_by_rule"),
    ],
)
def test_through_envoy_the_row_that_is_read_is_the_row_that_was_judged(stack, port, uri, status, told):
    token = stack.token(ttl=A_DAY, **EVERYTHING)
    body = asked("resources/read", {"uri": uri})
    answer = ask(port, token, body, change={"mcp-name": uri})

    assert status == answer.status
    assert told in answer.body.decode()
    assert "table=secret" not in answer.body.decode()

import re
from pathlib import Path

import pytest

from authz.config.cel.compile import compile_expression
from authz.config.cel.functions import ELSEWHERE, FUNCTIONS
from authz.config.cel.typecheck import ExpressionError
from authz.core.policy.expression import Truth, activate

ROOT = Path(__file__).parents[3]
CALLER = {
    "jwt": {"sub": "alice", "nothing": None, "team": {"name": "sre"}},
    "roles": ["admin"],
    "client": "cli",
    "source": {"address": "10.1.2.3"},
    "mcp": {"prompt": {"name": "hello"}},
    "request": {"headers": {"x-team": "sre"}},
    "args": {"path": "/Inbox/a", "n": 1},
}
T, F, E = Truth.TRUE, Truth.FALSE, Truth.ERROR


def value(text, **changes):
    expression, values = compile_expression(text), {**CALLER, **changes}
    return expression.value(activate({name: values[name] for name in expression.reads}))


def refusal(text):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    return str(caught.value), caught.value.line, caught.value.column


def in_backticks(file, heading):
    """Give the words in backticks in the first cells of the table below a heading."""
    section = (ROOT / "docs" / file).read_text().partition(f"{heading}\n")[2].partition("\n#")[0]
    cells = [row.split(" | ")[0] for row in section.splitlines() if row.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_there_is_works_in_the_engine(name):
    assert name in FUNCTIONS[name]
    assert T is value(FUNCTIONS[name])


def test_the_reference_lists_every_function_there_is():
    assert in_backticks("policy.md", "### Functions") == FUNCTIONS.keys()


def test_the_migration_page_lists_every_function_that_is_not_to_be_had():
    assert (
        in_backticks("migrating-from-agentgateway.md", "## Functions that are not here") == ELSEWHERE.keys()
    )


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_function_that_is_not_to_be_had_is_refused_by_name_with_our_spelling(name):
    said, line, _ = refusal(f"true &&\n{name}(jwt) == 1")

    assert (f"there is no function {name}: {ELSEWHERE[name]}", 2) == (said, line)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nosuch(1)", "there is no function nosuch: docs/policy.md lists the functions there are"),
        ("[1].sort() == [1]", "there is no function sort: docs/policy.md lists the functions there are"),
        ('client.format([1]) == ""', "there is no function format: join texts with +"),
        ("client.replace(client, 'x') == ''", "the texts of replace must be in quotes"),
        ("args.l.join(args.s) == ''", "the text between of join must be in quotes"),
        ("client.split(client) == []", "the text that separates of split must be in quotes"),
        ("args.l.exists(x, args.s.replace('y', 'zz') == x)", "replace here writes one text as often"),
        ("size(args.l.map(x, args.s.split(''))) > 0", "split here writes one text as often"),
        (
            "args.l.all(x, roles.exists(r, args.s.lowerAscii() == r))",
            "lowerAscii here writes one text as often",
        ),
        ("args.l.map(x, args.s).join('') == ''", "join here writes one text as often"),
        ('default(client, "a") == "a"', "default takes a path such as jwt.team"),
        ("default(jwt[client], 1) == 1", "default takes a path such as jwt.team"),
        ("coalesce(1 / 0, 1) == 1", "coalesce takes a path such as jwt.team"),
        ("ip(source.address) == ip('10.0.0.1')", "ip stands only in cidr("),
        ("cidr('10.0.0.0/8') == cidr('10.0.0.0/8')", "cidr stands only in cidr("),
        ("cidr(client).containsIP(source.address)", "containsIP is asked of a network in quotes"),
        ("cidr('10.0.0/8').containsIP(source.address)", "10.0.0/8 is no network: write one as 10.0.0.0/8"),
        ("cidr('fd00::/129').containsIP(source.address)", "fd00::/129 is no network: write one as"),
        ("cidr('::ffff:10.0.0.0/104').containsIP(source.address)", "write it as an IPv4 network"),
        ("inNetwork('10.0.0.0/8', source.address)", "there is no function inNetwork"),
    ],
)
def test_a_form_that_cannot_be_had_is_refused_in_words_of_its_own(text, expected):
    assert expected in refusal(text)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('default(jwt.team.name, "none") == "sre"', T),
        ('default(jwt.team["lead"], "none") == "none"', T),
        ('default(jwt.absent.name, "none") == "none"', T),
        ('default(jwt.sub.name, "none") == "none"', T),
        ('default(request.headers["x-team"], "none") == "sre"', T),
        ('default(request.headers["x-none"], "none") == "none"', T),
        ('default(mcp.tool.name, "none") == "none"', T),
        ('default(jwt.nothing, "none") == null', T),
        ('coalesce(jwt.nothing, "none") == "none"', T),
        ('coalesce(jwt.absent, jwt.team.lead, jwt.team.name, "none") == "sre"', T),
        ("coalesce(jwt.absent, jwt.nothing) == null", T),
        ("coalesce(jwt.absent, jwt.missing) == null", E),
        ('default(jwt.absent, jwt.missing) == "a"', E),
        ('default(default(jwt.absent, jwt.team).name, "none") == "sre"', None),
    ],
)
def test_what_is_absent_can_have_a_default(text, expected):
    if expected is None:
        assert "default takes a path" in refusal(text)[0]
    else:
        assert expected is value(text)


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        (
            "10.0.0.0/8",
            ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3", "::FFFF:a01:203"],
            ["11.0.0.0", "1.10.0.0", "110.0.0.1", "::10.1.2.3", "a00::1"],
        ),
        ("10.1.128.0/17", ["10.1.128.0", "10.1.255.9"], ["10.1.127.255", "10.2.128.0"]),
        ("10.1.2.3/23", ["10.1.2.0", "10.1.3.255"], ["10.1.4.0", "10.1.1.255"]),
        ("192.0.2.7", ["192.0.2.7"], ["192.0.2.70", "192.0.2.8"]),
        ("0.0.0.0/0", ["8.8.8.8", "::ffff:8.8.8.8"], ["::1"]),
        (
            "2001:db8::/32",
            ["2001:db8::", "2001:db8::1", "2001:DB8:0:0:0:0:0:1", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"],
            ["2001:db9::1", "2001:d::b8", "::2001:db8:0:1", "10.1.2.3"],
        ),
        ("2001:db8:1::/47", ["2001:db8:0:1::1", "2001:db8:1::1"], ["2001:db8:2::1"]),
        ("fe80::/10", ["fe80::1", "fe80::1%eth0", "febf::1"], ["fec0::1"]),
        ("::1", ["::1", "0:0:0:0:0:0:0:1"], ["::2", "127.0.0.1"]),
        ("::/0", ["::1", "2001:db8::1"], ["8.8.8.8", "::ffff:8.8.8.8"]),
    ],
)
def test_a_network_contains_its_addresses_alone(network, inside, outside):
    text = f'cidr("{network}").containsIP(source.address)'

    assert [T] * len(inside) == [value(text, source={"address": address}) for address in inside]
    assert [F] * len(outside) == [value(text, source={"address": address}) for address in outside]


NO_ADDRESSES = [
    "",
    "10.1.2.3.4",
    "8.8.8.8\n",
    "192x0x2x7",
    "10.0.0.1/8",
    "/run/peer.sock",
    "1:" * 20_000,
    "::1 ",
]


@pytest.mark.parametrize("address", [*NO_ADDRESSES, None, 7])
def test_what_is_no_address_is_neither_in_a_network_nor_outside_of_it(address):
    text = 'cidr("10.0.0.0/8").containsIP(args.address)'

    assert [E, E] == [value(each, args={"address": address}) for each in (text, f"!{text}")]


def test_a_text_can_be_asked_whether_it_is_an_address_first():
    text = "isIP(args.address)"

    assert [T, T, T] == [
        value(text, args={"address": each}) for each in ("10.0.0.1", "::1", "::ffff:1.2.3.4")
    ]
    assert [F] * len(NO_ADDRESSES) == [value(text, args={"address": each}) for each in NO_ADDRESSES]


def test_an_error_about_an_address_does_not_repeat_it():
    expression = compile_expression('cidr("10.0.0.0/8").containsIP(args.address)')
    bound = activate({"args": {"address": "a-secret"}})

    assert "a-secret" not in str(expression.program.eval(bound).value())


def test_a_default_reads_what_its_path_names():
    expression = compile_expression('default(jwt.team, "") == "" && default(args.a.b, 1) == 1')

    assert ({"team"}, {("a", "b")}) == (expression.claims, expression.arguments.paths)


@pytest.mark.parametrize(
    "text",
    [
        "args.l.exists(x, x.lowerAscii() == 'a')",
        "args.l.map(x, x.replace('a', 'b')).join(',') == ''",
        "args.l.exists(x, x.split('/').exists(part, part.upperAscii() == 'A'))",
        "roles.exists(role, args.s.split('/').exists(part, part == role))",
        "args.s.split('/').all(part, part.reverse() != '..')",
    ],
)
def test_loops_may_write_their_elements_and_what_the_token_bounds(text):
    assert text == compile_expression(text).text

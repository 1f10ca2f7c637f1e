"""The value of an expression: the CEL value true is true, false is false, and all else is an error that nobody sees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.core.policy.expression import (
    CALLER_NAMES,
    VARIABLES,
    WORST_CASE,
    ArgumentPaths,
    Expression,
    Truth,
    activate,
    in_network,
    is_ip,
    read_network,
)
from tests.support.core import condition

EMPTY = {
    "jwt": {},
    "scopes": [],
    "roles": [],
    "groups": [],
    "client": "",
    "issuer": "",
    "server": "",
    "mcp": {},
    "args": {},
    "request": {},
    "source": {},
}


def value(text, **values):
    return condition(text).value(activate({**EMPTY, **values}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", Truth.TRUE),
        ("false", Truth.FALSE),
        ("jwt.flag", Truth.TRUE),
        ("!jwt.flag", Truth.FALSE),
        ('"a" in scopes', Truth.TRUE),
        ("jwt.missing || true", Truth.TRUE),
        ("jwt.missing && false", Truth.FALSE),
        ("jwt.one", Truth.ERROR),
        ("jwt.word", Truth.ERROR),
        ("jwt.none", Truth.ERROR),
        ("jwt.list", Truth.ERROR),
        ("jwt.missing", Truth.ERROR),
        ("jwt.missing == 1", Truth.ERROR),
        ("jwt.one / 0 == 1", Truth.ERROR),
        ("jwt.list[9] == 1", Truth.ERROR),
        ('jwt.word.matches("(")', Truth.ERROR),
        ("jwt.one + 9223372036854775807 == 0", Truth.ERROR),
    ],
)
def test_only_true_is_true_and_only_false_is_false(text, expected):
    claims = {"flag": True, "one": 1, "word": "true", "none": None, "list": [1]}

    assert expected is value(text, jwt=claims, scopes=["a"])


def test_what_costs_more_than_the_engines_budget_is_an_error():
    text = "args.a.exists(x, args.a.exists(y, args.a.exists(z, x + y + z == -1)))"

    assert Truth.ERROR is value(text, args={"a": list(range(1000))})
    assert Truth.FALSE is value(text, args={"a": [1, 2]})


@pytest.mark.parametrize("name", VARIABLES)
def test_a_name_that_is_not_bound_is_an_error_for_what_reads_it_alone(name):
    bound = {key: empty for key, empty in EMPTY.items() if key != name}

    assert Truth.ERROR is condition(f"{name} == {name}").value(activate(bound))
    assert Truth.TRUE is condition("true").value(activate(bound))


def test_what_is_bound_serves_any_number_of_expressions():
    bound = activate({**EMPTY, "jwt": {"level": 3}})

    assert [Truth.TRUE, Truth.FALSE, Truth.TRUE] == [
        condition(text).value(bound) for text in ("jwt.level == 3", "jwt.level == 4", "jwt.level == 3")
    ]


@pytest.mark.parametrize(
    "claim", [object(), {1, 2}, 1j, -(2**63) - 1], ids=["object", "set", "complex", "too small"]
)
def test_what_cel_cannot_express_is_an_error_and_nothing_is_raised(claim):
    assert Truth.ERROR is value("jwt.n == jwt.n", jwt={"n": claim})


@pytest.mark.parametrize(
    ("text", "reads", "headers", "claims", "arguments"),
    [
        ("true", set(), set(), set(), set()),
        ('jwt.a == 1 && "x" in scopes', {"jwt", "scopes"}, set(), {"a"}, set()),
        ('jwt["a"]["b"] == 1', {"jwt"}, set(), {"a"}, set()),
        ("size(jwt) == 1", {"jwt"}, set(), None, set()),
        ("jwt[client] == 1", {"jwt", "client"}, set(), None, set()),
        ("args.n == 1 && has(args.m)", {"args"}, set(), set(), {("n",), ("m",)}),
        ("args[server] == 1", {"args", "server"}, set(), set(), None),
        ('request.headers["x-a"] == ""', {"request"}, {"x-a"}, set(), set()),
        ('request.headers[server] == ""', {"request", "server"}, None, set(), set()),
        ("scopes.exists(word, word == server)", {"scopes", "server"}, set(), set(), set()),
    ],
)
def test_an_expression_knows_what_it_reads(text, reads, headers, claims, arguments):
    read = condition(text)

    paths = None if arguments is None else ArgumentPaths.of(arguments)
    assert (reads, headers, claims, paths) == (read.reads, read.headers, read.claims, read.arguments)


def test_the_names_of_the_caller_are_names_that_can_be_read():
    assert set(VARIABLES) - {"mcp", "tool", "args", "request", "source"} == CALLER_NAMES


def test_two_expressions_of_one_text_are_two_keys():
    one, other = condition("jwt.a == 1"), condition.__wrapped__("jwt.a == 1")

    assert one.text == other.text
    assert one != other
    assert 2 == len({one, other})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
TEXTS = [
    "jwt.v",
    "jwt.v == 1",
    'jwt.v["k"] < 2',
    "size(jwt.v) > 0",
    '"a" in jwt.v',
    'jwt.v.startsWith("a")',
    "jwt.v[0]",
]


@given(st.sampled_from(TEXTS), json_values)
def test_whatever_a_claim_holds_there_is_one_of_three_outcomes_and_nothing_is_raised(text, claim):
    found = value(text, jwt={"v": claim})

    assert isinstance(found, Truth)
    assert text != "jwt.v" or (found is Truth.TRUE) == (claim is True)


def test_an_expression_that_finds_no_memory_is_an_error_and_raises_nothing():
    class Program:
        def eval(self, _activation):
            raise MemoryError

    expression = Expression(
        text="", reads=frozenset(), headers=None, claims=None, arguments=None, program=Program()
    )

    assert Truth.ERROR is expression.value(activate({}))


ADDRESSES = ["10.1.2.3", "::1", "2001:db8::1", "::ffff:10.1.2.3", "fe80::1%" + "z" * 56]
NO_ADDRESSES = [
    "",
    "10.1.2",
    "10.1.2.3/8",
    "010.1.2.3",
    "x",
    "10.1.2.3 ",
    "fe80::1%" + "z" * 57,
    "1" * 10_000,
]


def test_an_address_is_told_from_every_other_text():
    assert [64, 65] == [len(ADDRESSES[-1]), len(NO_ADDRESSES[-2])]
    assert all(is_ip(text) is True for text in ADDRESSES)
    assert all(is_ip(text) is False for text in NO_ADDRESSES)


@pytest.mark.parametrize(
    ("network", "text", "inside"),
    [
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.9.9.9/8", "10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:11.1.2.3", False),
        ("10.0.0.0/8", "2001:db8::1", False),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("::/0", "10.1.2.3", False),
        ("::/0", "::ffff:10.1.2.3", False),
        ("0.0.0.0/0", "::ffff:10.1.2.3", True),
    ],
)
def test_an_address_is_in_a_network_also_when_it_is_written_as_another_kind(network, text, inside):
    assert inside is in_network(network, text)
    assert Truth(str(inside).lower()) is value(f'cidr("{network}").containsIP(client)', client=text)
    assert Truth.TRUE is value("isIP(client)", client=text)


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_is_neither_in_a_network_nor_outside(text):
    with pytest.raises(ValueError, match=r"^this is no IP address$") as caught:
        in_network("10.0.0.0/8", text)

    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    for test in ('cidr("10.0.0.0/8").containsIP(client)', '!cidr("10.0.0.0/8").containsIP(client)'):
        assert Truth.ERROR is value(test, client=text)


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("10.0.0.0/33", "write one as 10.0.0.0/8 or 2001:db8::/32"),
        ("", "write one as 10.0.0.0/8 or 2001:db8::/32"),
        ("example.com", "write one as 10.0.0.0/8 or 2001:db8::/32"),
        ("::ffff:10.0.0.0/104", "write it as an IPv4 network, as addresses of it are"),
    ],
)
def test_what_is_no_network_says_what_to_write(text, cure):
    with pytest.raises(ValueError, match=f"^{cure}$"):
        read_network(text)


@pytest.mark.parametrize(
    ("paths", "kept", "names", "below"),
    [
        ([], set(), set(), {}),
        ([("a",)], {("a",)}, {"a"}, {"a": None}),
        ([("a", "b")], {("a", "b")}, {"a"}, {"a": {("b",)}}),
        ([("a", "b"), ("a",)], {("a",)}, {"a"}, {"a": None}),
        ([("a", "b", "c"), ("a", "b"), ("a", "d")], {("a", "b"), ("a", "d")}, {"a"}, {"a": {("b",), ("d",)}}),
        ([("a", "b"), ("c",)], {("a", "b"), ("c",)}, {"a", "c"}, {"a": {("b",)}, "c": None}),
        ([("__proto__",), ("a",)], {("__proto__",), ("a",)}, {"a"}, {"a": None, "__proto__": None}),
    ],
)
def test_the_places_that_are_read_are_kept_without_what_lies_inside_of_others(paths, kept, names, below):
    read = ArgumentPaths.of(paths)

    assert (kept, names) == (read.paths, read.names)
    assert below == {name: None if each is None else each.paths for name, each in read.below.items()}


def test_a_tool_that_nobody_approved_is_taken_for_the_worst():
    assert {"readOnly": False, "destructive": True, "idempotent": False, "openWorld": True} == WORST_CASE

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.config.cel.compile import compile_expression
from authz.config.cel.typecheck import ExpressionError
from authz.core.policy.expression import Truth, activate

SAMPLE = {
    "jwt": {
        "sub": "alice",
        "scope": "files:read profiles:write",
        "groups": ["admin", "dev"],
        "map": {"admin": True},
        "number": 5,
        "none": None,
    },
    "scopes": ["files:read", "profiles:write"],
    "roles": ["admin"],
    "groups": ["/platform/sre"],
    "client": "cli",
    "issuer": "staff",
    "server": "files",
    "mcp": {"method": "tools/call", "tool": {"name": "echo", "target": "files"}},
    "args": {"path": "/inbox/a", "n": 3, "list": ["a"], "args": 1},
    "request": {"method": "POST", "host": "h", "path": "/mcp", "headers": {"x-env": "prod"}},
    "source": {"address": "10.0.0.7"},
}
T, F, E = Truth.TRUE, Truth.FALSE, Truth.ERROR
NONE: frozenset[str] = frozenset()


def value(expression, **changes):
    values = {**SAMPLE, **changes}
    return expression.value(activate({name: values[name] for name in expression.reads}))


GOOD = [
    # text, names read, headers read, claims read, value on the sample
    ("true", "", "", "", T),
    ('client == "cli"', "client", "", "", T),
    ('issuer == "staff"', "issuer", "", "", T),
    ('"/platform/sre" in groups', "groups", "", "", T),
    ('"files:read" in scopes && !("admin" in roles)', "scopes roles", "", "", F),
    ('server == "files" || jwt.missing', "server jwt", "", "missing", T),
    ("jwt.missing", "jwt", "", "missing", E),
    ("jwt.number", "jwt", "", "number", E),
    ("jwt.sub", "jwt", "", "sub", E),
    ("has(jwt.missing)", "jwt", "", "missing", F),
    ("has(jwt.sub)", "jwt", "", "sub", T),
    ("has(mcp.tool.name)", "mcp", "", "", T),
    ("has(mcp.prompt.name)", "mcp", "", "", E),
    ("has(mcp.tool.arguments) || has(mcp.tool.result) || has(mcp.tool.error)", "mcp", "", "", F),
    ('"sub" in jwt', "jwt", "", None, T),
    ('jwt["sub"] == "alice"', "jwt", "", "sub", T),
    ('jwt["a" + "b"] == 1', "jwt", "", None, E),
    ("size(jwt) == 6", "jwt", "", None, T),
    ('jwt.groups.exists(g, g == "dev")', "jwt", "", "groups", T),
    ("jwt.groups.all(jwt, true)", "jwt", "", "groups", T),
    ('request.headers["x-env"] == "prod"', "request", "x-env", "", T),
    ('request.headers["x-none"] == "prod"', "request", "x-none", "", E),
    ('"x-none" in request.headers', "request", None, "", F),
    ('request.headers[client] == "prod"', "request client", None, "", E),
    ("size(request) == 4", "request", None, "", T),
    ('request.path == "/mcp" && request.method == "POST"', "request", "", "", T),
    ('source.address.startsWith("10.")', "source", "", "", T),
    ("mcp.tool.target == server", "mcp server", "", "", T),
    ('mcp.method == "tools/call"', "mcp", "", "", T),
    ("args.n <= 3", "args", "", "", T),
    ("args.args == 1", "args", "", "", T),
    ("jwt.args == 1", "jwt", "", "args", E),
    ('args.path.matches("^/inbox/[a-z]+$")', "args", "", "", T),
    ("1 / 0 == 1", "", "", "", E),
]


def names(text):
    return None if text is None else frozenset(text.split())


@pytest.mark.parametrize(
    "read", ["mcp.tool.arguments == 1", "mcp.tool.arguments.n == 1", "has(mcp.tool.arguments.n)"]
)
def test_what_is_absent_while_a_call_is_judged_can_only_be_tested_for(read):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(f"true && {read}")

    assert (
        "mcp.tool.arguments is absent while a call is judged; a native rule reads the arguments as args, in `args`"
        in str(caught.value)
    )


@pytest.mark.parametrize(("text", "reads", "headers", "claims", "expected"), GOOD)
def test_an_expression_knows_what_it_reads_and_gives_its_value(text, reads, headers, claims, expected):
    expression = compile_expression(text)

    assert (text, names(reads)) == (expression.text, expression.reads)
    assert (names(headers), names(claims)) == (expression.headers, expression.claims)
    assert expected is value(expression)


@given(st.sampled_from(GOOD), st.data())
def test_only_the_claims_and_headers_it_says_it_reads_change_its_value(row, data):
    expression = compile_expression(row[0])
    other = st.one_of(st.none(), st.integers(-9, 9), st.text(max_size=3))
    jwt, headers = dict(SAMPLE["jwt"]), dict(SAMPLE["request"]["headers"])
    if expression.claims is not None:
        for claim in {*jwt, "spare"} - expression.claims:
            jwt[claim] = data.draw(other)
    if expression.headers is not None:
        for header in {*headers, "spare"} - expression.headers:
            headers[header] = data.draw(st.text(max_size=3))
    changed = value(expression, jwt=jwt, request={**SAMPLE["request"], "headers": headers})

    assert value(expression) is changed


@pytest.mark.parametrize("operator", [" && ", " || "])
def test_a_long_expression_is_no_deep_one(operator):
    assert T is value(compile_expression(operator.join(['client == "cli"'] * 300)))


HIDING_PLACES = [
    ("args.n == 1", 1),
    ('args["n"] == 1', 1),
    ("has(args.n)", 5),
    ("size(args) == 0", 6),
    ("jwt[args.n] == 1", 5),
    ("[args].exists(a, a.n == 1)", 2),
    ("roles.exists(r, r == args.role)", 22),
    ('{"a": args}.a.n == 1', 7),
    ("dyn(args).n == 1", 5),
    ("(true ? args : jwt).n == 1", 9),
    ("args == jwt", 1),
    ("true || args.n == 1", 9),
    ("roles.contains(args.role)", 16),
    ("[1].all(args, args > 0)", 15),
    ("[1].exists(args, true) || args.n == 1", 27),
    (".args.n == 1", 2),
    ("[.args].size() == 1", 3),
]


@pytest.mark.parametrize(("text", "column"), HIDING_PLACES)
def test_a_condition_of_visibility_that_reads_arguments_is_refused_wherever_it_hides_them(text, column):
    with pytest.raises(ExpressionError, match=r"reads args, which only `args` may|write args") as caught:
        compile_expression(text, forbidden=frozenset({"args"}))

    assert (1, column) == (caught.value.line, caught.value.column)


CONTAINS = [
    ('jwt.scope.contains("files:read")', T),
    ('jwt.scope.contains("files:delete")', F),
    ('jwt.scope.contains("files:write")', T),
    ('jwt.groups.contains("admin")', T),
    ('jwt.groups.contains("adm")', F),
    ('jwt.map.contains("admin")', T),
    ('jwt.map.contains("adm")', F),
    ('roles.contains("admin")', T),
    ('roles.contains("adm")', F),
    ('client.contains("l")', T),
    ('["a", "b"].contains("b")', T),
    ('{"a": 1}.contains("b")', F),
    ('jwt.number.contains("5")', E),
    ('jwt.none.contains("x")', E),
    ('jwt.missing.contains("x")', E),
    ("jwt.scope.contains(jwt.number)", E),
    ("jwt.groups.contains(5)", F),
    ('!jwt.groups.contains("root")', T),
    ('jwt.groups.exists(g, g.contains("dm"))', T),
    ('jwt.scope.contains(jwt.groups.contains("admin") ? "read" : "none")', T),
    ('(jwt.groups.contains("admin") ? jwt.groups : []).contains("dev")', T),
    ('(jwt.map.contains("x") ? jwt.scope : jwt.groups).contains("dev")', T),
    ('jwt.groups.filter(g, g.contains("d")).contains("dev")', T),
    ('has(jwt.groups) && jwt.groups.contains("dev")', T),
    ('jwt["scope"].contains("files:read") && jwt.groups.contains("dev")', T),
]


@pytest.mark.parametrize(("text", "expected"), CONTAINS)
def test_contains_looks_into_strings_and_among_the_elements_of_lists_and_the_keys_of_maps(text, expected):
    assert expected is value(compile_expression(text))


@given(
    st.one_of(
        st.text("ab", max_size=4),
        st.lists(st.text("ab", max_size=2), max_size=3),
        st.dictionaries(st.text("ab", max_size=2), st.integers(-9, 9), max_size=3),
    ),
    st.text("ab", max_size=2),
)
def test_contains_means_what_in_means_in_python(holder, wanted):
    expression = compile_expression(f'jwt.x.contains("{wanted}")')

    assert (T if wanted in holder else F) is value(expression, jwt={"x": holder})


def nested_contains(depth):
    text = "jwt.groups"
    for _ in range(depth):
        text = f'({text}.contains("x") ? roles : scopes)'
    return f'{text}.contains("files:read")'


def test_contains_within_the_target_of_contains_has_a_bound():
    assert T is value(compile_expression(nested_contains(4)))
    with pytest.raises(ExpressionError, match="contains is nested too deeply"):
        compile_expression(nested_contains(10))


@given(st.text(max_size=30))
def test_any_text_is_an_expression_or_an_error_with_a_place(text):
    outcome, place = None, (1, 1)
    try:
        outcome = value(compile_expression(text))
    except ExpressionError as error:
        place = (error.line, error.column)

    assert outcome in {None, *Truth}
    assert min(place) >= 1

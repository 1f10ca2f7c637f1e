import pytest

from authz.core.policy.context import EvaluationContext
from authz.core.policy.failure import failure
from authz.core.wire.strict_json import InexactNumber
from tests.support.core import condition as compiled
from tests.support.core import context, principal, tool

SECRET = "s3cret-value"
ARGUMENTS = {"n": 5, "text": SECRET, "list": [SECRET], "big": InexactNumber("9007199254740993")}
WHY = [
    ("args.filename.startsWith('a')", "no such key: filename"),
    ("jwt.team == 'a'", "no such key: team"),
    ("request.headers['x-team'] == 'a'", "no such key: x-team"),
    ("mcp.prompt.name == 'a'", "no such key: prompt"),
    ("jwt[client] == 1", "no such key (its name is computed)"),
    ("args.n.startsWith('a')", "not defined for values of these types: (int64).startsWith(string)"),
    ("args.text < 1", "not defined for values of these types: _<_(string, int64)"),
    ("args.list[3] == 'a'", "there is no item at this index"),
    ("args.n.a.b == 1", "a field is read of a value that is no map"),
    ("args.text[0] == 'a'", "an item is read of a value that is neither a list nor a map"),
    ("1 / 0 == 1", "divided by zero"),
    ("9223372036854775807 + args.n == 1", "a number is too large"),
    ("int(args.text) == 1", "this text is no whole number"),
    ("timestamp(args.text) == timestamp(0)", "this text is no timestamp"),
    ("args.text.matches('[')", "the pattern is no pattern of RE2"),
    ("args.text.charAt(99) == 'a'", "the text is shorter than the index"),
    ("args.text", "its value is of type string, neither true nor false"),
    ("args.n", "its value is of type int, neither true nor false"),
    (
        "args.big == 1",
        "what it reads of the arguments could mean something else to the server, or the request exceeds limits.args_bytes",
    ),
    ("args.n == 5", ""),
    ("args.n == 6", ""),
]


@pytest.mark.parametrize(("text", "expected"), WHY)
def test_why_an_expression_had_no_value_is_said_without_a_value(text, expected):
    asked: EvaluationContext = context(principal(secret=SECRET), ARGUMENTS)
    said = failure(compiled(text), asked, tool("echo"))

    assert expected == said
    assert SECRET not in said

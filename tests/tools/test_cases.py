from pathlib import Path

import pytest

from authz.config.problems import ConfigError
from authz.core.mcp.item import Item, Kind
from authz.tools.cases import read_cases
from tests.support.policy_files import NATIVE, POLICY, lines

CASES = """\
personas:
  reader: {sub: alice, scope: "${SCOPE}"}
cases:
  - name: a call
    persona: reader
    tool: echo
    args: {n: 1}
    headers: {x-env: prod}
    expect: missing_scope
  - name: a list
    claims: {sub: bob}
    server: files
    kind: prompt
    catalogue: [a, b]
    visible: [b]
"""


@pytest.fixture
def read(tmp_path):
    def run(text):
        file = tmp_path / "cases.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_cases(str(file), {"SCOPE": "files:read"})

    return run


@pytest.fixture
def complaints(read):
    def run(text):
        with pytest.raises(ConfigError) as caught:
            read(text)
        return lines(caught.value.problems)

    return run


def indented(text):
    return "".join(f"  {line}\n" for line in text.splitlines())


@pytest.mark.parametrize(
    ("text", "first_line"), [(CASES, 4), (f"{NATIVE}tests:\n{indented(CASES)}", 4 + NATIVE.count("\n") + 1)]
)
def test_cases_stand_in_a_file_of_their_own_or_below_tests_in_the_policy(read, text, first_line):
    found = read(text)
    call, listed = found.cases

    assert {"reader": {"sub": "alice", "scope": "files:read"}} == found.personas
    assert ("a call", first_line, "reader", found.personas["reader"]) == (
        call.name,
        call.line,
        call.persona,
        call.claims,
    )
    assert (Item(Kind.TOOL, "echo"), {"n": 1}, {"x-env": "prod"}, "missing_scope", "") == (
        call.item,
        call.args,
        call.headers,
        call.expect,
        call.server,
    )
    assert ((), ()) == (call.catalogue, call.visible)
    assert (None, "", "files", {"sub": "bob"}) == (listed.item, listed.expect, listed.server, listed.claims)
    assert (Item(Kind.PROMPT, "a"), Item(Kind.PROMPT, "b")) == listed.catalogue
    assert (Item(Kind.PROMPT, "b"),) == listed.visible


@pytest.mark.parametrize("text", [NATIVE, POLICY])
def test_a_policy_without_cases_gives_none(read, text):
    assert () == read(text).cases


CASE = "cases:\n  - {name: n, claims: {}, tool: echo, expect: allow}\n"
ONE_WHO = "a case has exactly one of persona and claims"
ONE_WHAT = (
    "a case has one of tool, prompt, resource, template and task with expect, or catalogue with visible"
)
WRONG = [
    ("claims: {}, ", "", f"FILE:2: cases[0]: {ONE_WHO}"),
    ("claims: {}", "claims: {}, persona: x", f"FILE:2: cases[0]: {ONE_WHO}"),
    ("claims: {}", "persona: x", "FILE:2: cases[0].persona: there is no persona x (add personas)"),
    ("tool: echo, ", "", f"FILE:2: cases[0]: {ONE_WHAT}"),
    ("tool: echo", "tool: echo, prompt: p", f"FILE:2: cases[0]: {ONE_WHAT}"),
    (", expect: allow", "", f"FILE:2: cases[0]: {ONE_WHAT}"),
    ("expect: allow", "catalogue: [a], visible: [a]", f"FILE:2: cases[0]: {ONE_WHAT}"),
    ("tool: echo, expect: allow", "catalogue: [a]", f"FILE:2: cases[0]: {ONE_WHAT}"),
    (
        "tool: echo, expect: allow",
        "catalogue: [a], visible: [b]",
        "FILE:2: cases[0]: visible names something that is not in the catalogue",
    ),
    (
        "allow",
        "missing_scopes",
        "FILE:2: cases[0].expect: allow, deny or a reason is needed; did you mean missing_scope?",
    ),
    ("allow", "allowed", "FILE:2: cases[0].expect: allow, deny or a reason is needed; did you mean allow?"),
    ("tool: echo", "tools: echo", "FILE:2: cases[0].tools: unknown key (did you mean tool?)"),
    (
        "tool: echo",
        "tool: echo, headers: {X-Env: a}",
        "FILE:2: cases[0].headers.X-Env: rules see names in lower case (write x-env)",
    ),
    (
        "tool: echo",
        "tool: echo, args: {n: 9223372036854775808}",
        "FILE:2: cases[0].args: cannot be sent as JSON: integer out of range",
    ),
    ("claims: {}", "claims: {n: .nan}", "FILE:2: cases[0].claims: cannot be sent as JSON: not a JSON number"),
]


@pytest.mark.parametrize(("old", "new", "expected"), WRONG)
def test_what_is_wrong_with_a_case_is_said_at_its_line(complaints, old, new, expected):
    assert expected in complaints(CASE.replace(old, new, 1))


def test_two_cases_with_one_name_are_an_error(complaints):
    text = CASE + "  - {name: n, claims: {}, tool: echo, expect: deny}\n"

    assert ["FILE:3: cases[1].name: two cases have this name (rename one)"] == complaints(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"\xff", "FILE: not UTF-8"),
        ("", "FILE: one document is needed"),
        ("a: 1\n---\nb: 1\n", "FILE: one document is needed"),
    ],
)
def test_a_file_that_holds_no_cases_document_is_an_error(complaints, text, expected):
    assert [expected] == complaints(text)


def test_the_example_of_the_policy_reference_is_read(read):
    reference = Path(__file__).resolve().parents[2] / "docs" / "policy.md"
    example = reference.read_text(encoding="utf-8").partition("```yaml\npersonas:")[2].partition("```")[0]

    assert [
        "a reader lists files",
        "nobody deletes outside the inbox",
        "a reader sees one tool of three",
    ] == [case.name for case in read(f"personas:{example}").cases]

from xml.etree import ElementTree as ET

from authz.tools.case_runner import run
from authz.tools.cases import read_cases
from authz.tools.junit import junit
from tests.support.policy_files import NATIVE, settings

CASES = """\
cases:
  - {name: 'good < "quoted" & fine', claims: {}, tool: echo, expect: allow}
  - {name: "bad \\x01 é", claims: {}, tool: other, expect: allow}
"""


def test_each_case_is_a_testcase_and_a_failure_says_what_was_expected_and_why(tmp_path):
    file = tmp_path / "cases.yaml"
    file.write_text(CASES, encoding="utf-8")

    suite = ET.fromstring(junit(run(read_cases(str(file), {}).cases, settings(NATIVE), 0.0), "policy.yaml"))

    assert {"name": "policy.yaml", "tests": "2", "failures": "1", "errors": "0"} == suite.attrib
    assert [
        {"classname": "files", "name": 'good < "quoted" & fine'},
        {"classname": "files", "name": "bad \N{REPLACEMENT CHARACTER} é"},
    ] == [case.attrib for case in suite]
    (failure,) = suite.iter("failure")
    assert {"message": "expected allow, seen deny"} == failure.attrib
    assert f"{file}:3: no_rule" == failure.text

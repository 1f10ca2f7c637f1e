"""Results of cases as JUnit XML, the form in which CI systems show tests.

There is no standard; this is the part that all readers share: `testsuite` with counts, `testcase` with `classname`
and `name`, `failure` with a message. Characters that XML 1.0 forbids (section 2.2) are written as U+FFFD.
"""

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from authz.tools.case_runner import CaseResult

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Sequence[CaseResult], suite: str) -> str:
    """Return the results as one test suite of this name."""
    failures = sum(not result.passed for result in results)
    root = _element("testsuite", name=suite, tests=str(len(results)), failures=str(failures), errors="0")
    for result in results:
        case = _element("testcase", classname=result.server.name, name=result.case.name)
        root.append(case)
        if not result.passed:
            failure = _element("failure", message=f"expected {result.expected}, seen {result.seen}")
            failure.text = _clean(f"{result.case.file}:{result.case.line}: {result.why}")
            case.append(failure)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _element(tag: str, **attributes: str) -> ET.Element:
    return ET.Element(tag, {name: _clean(text) for name, text in attributes.items()})


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)

"""Trials as JUnit XML, the form in which CI systems show tests.

There is no standard; this is the part that all readers share: `testsuite` with counts, `testcase` with `classname`
and `name`, `failure` with a message. Characters that XML 1.0 forbids (section 2.2) are written as U+FFFD.
"""

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from authz.tools.case_runner import CaseResult

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(trials: Sequence[CaseResult], suite: str) -> str:
    """Write trials as one test suite.

    Args:
        trials: what came of the cases.
        suite: the suite's name.
    """
    failures = sum(not trial.passed for trial in trials)
    root = _element("testsuite", name=suite, tests=str(len(trials)), failures=str(failures), errors="0")
    for trial in trials:
        case = _element("testcase", classname=trial.server.name, name=trial.case.name)
        root.append(case)
        if not trial.passed:
            failure = _element("failure", message=f"expected {trial.expected}, seen {trial.seen}")
            failure.text = _clean(f"{trial.case.file}:{trial.case.line}: {trial.why}")
            case.append(failure)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _element(tag: str, **attributes: str) -> ET.Element:
    return ET.Element(tag, {name: _clean(text) for name, text in attributes.items()})


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)

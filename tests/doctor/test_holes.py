"""Every planted hole is found, that and nothing else; what can be closed mechanically is closed."""

import pytest
import yaml

from authz.doctor.diagnosis import diagnose
from authz.doctor.fix import fix
from authz.doctor.model import Severity
from authz.doctor.registry import ALL
from authz.doctor.source import read_text
from tests.support.holes import HOLES, ours
from tests.support.real_envoy import validate
from tests.support.shared_holes import HINT, SHARED_HOLES
from tests.support.yaml_text import write_yaml

BY_ID = {check.id: check for check in ALL}
EACH = pytest.mark.parametrize("hole", HOLES, ids=lambda hole: hole.name)


@pytest.fixture(scope="module")
def base():
    return ours()


def source(tree):
    return read_text(write_yaml(tree), "envoy.yaml")


def ids(findings):
    return [finding.check.id for finding in findings]


def test_nothing_is_found_on_the_configuration_that_the_holes_are_planted_in(base):
    assert [] == ids(diagnose(source(base)).findings)


@EACH
def test_a_planted_hole_is_found_with_its_line_and_nothing_else_is(base, hole):
    broken = source(hole.tree(base))
    diagnosis = diagnose(broken)
    hint = all(BY_ID[id_].severity is Severity.HINT for id_ in hole.finds)

    assert sorted(hole.finds) == sorted(ids(diagnosis.findings))
    assert hint is diagnosis.clean
    assert all(broken.line(finding.hit.node.path) for finding in diagnosis.findings)


@EACH
def test_a_hole_is_closed_where_a_machine_can_and_envoy_accepts_what_is_written(base, hole, tmp_path):
    closed, after = fix(source(hole.tree(base)))
    again = fix(after.source)
    done = validate(after.source.text, tmp_path) if not hole.by_hand else None

    # What is moved before ext_authz is no longer a hole, but the doctor goes on to say that it is there.
    assert sorted(hole.by_hand) == sorted(set(ids(after.findings)) - {"front-may-change"})
    assert set(hole.finds) == {*ids(closed), *hole.by_hand}
    assert done is None or 0 == done.returncode, done.stderr
    assert ([], after.source.text) == (again[0], again[1].source.text)


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.id)
def test_a_check_says_what_can_happen_and_its_cure_is_yaml(check):
    yaml.safe_load(check.cure)

    assert check.cure.endswith("\n")
    assert check.risk.endswith(".")
    assert not check.what.endswith(".")


def test_there_is_a_hole_for_every_check():
    planted = {id_ for hole in (*HOLES, *SHARED_HOLES) for id_ in hole.finds}

    assert {"key-repeated", HINT, "documents-exempt"} == BY_ID.keys() - planted

"""The right configuration is what the renderer writes today, and the catalog has a row for every check."""

from pathlib import Path

import pytest

import authz.doctor
from authz.doctor import expected
from authz.doctor.data import load_data
from authz.doctor.field_checks import TESTS
from authz.doctor.node import Node
from authz.doctor.registry import ALL, FINDERS
from authz.render.bootstrap import bootstrap
from authz.render.sample import sample
from tests.support.chains import SIDECAR
from tests.support.holes import Tree
from tests.support.yaml_text import read_yaml

KEPT = Path(authz.doctor.__file__).with_name("expected.yaml")
ROWS = {id_: row for rows in load_data("catalog.yaml").values() for id_, row in rows.items()}


@pytest.fixture(scope="module")
def tree():
    return Tree(read_yaml(bootstrap(SIDECAR)))


def test_the_data_is_what_the_renderer_writes_today():
    cure = "write it anew: python -m authz.render.sample > authz/doctor/expected.yaml"

    assert sample() == KEPT.read_text("utf-8"), cure


def test_the_parts_are_those_of_any_rendered_chain(tree):
    metadata = tree.route("metadata")
    own = {"typed_per_filter_config": {expected.DECISIONS: expected.UNGUARDED}}

    assert [expected.CORS_FILTER, expected.REWRITER_FILTER] == [tree.filters[0], tree.wrapper]
    assert expected.AUTHZ == tree.authz
    assert expected.REWRITER == tree.proc
    assert expected.wrapped(tree.proc) == tree.wrapper
    assert expected.METADATA_ROUTE == metadata | own
    assert expected.LAST_ROUTE == tree.hosts[-1]["routes"][-1]
    assert expected.ANY_HOST == tree.hosts[-1]
    assert expected.CLUSTER["health_checks"] == tree.cluster("authz")["health_checks"]
    assert expected.CLUSTER["typed_extension_protocol_options"].keys() == {expected.HTTP2_KEY}


def test_the_identity_headers_are_removed_by_the_rendered_chain(tree):
    (strip,) = tree.manager["early_header_mutation_extensions"]
    removed = [mutation.get("remove") for mutation in strip["typed_config"]["mutations"]]

    assert expected.STRIP == strip
    assert set(expected.IDENTITY_HEADERS) <= set(removed)


def test_every_row_of_the_catalog_has_a_field_or_a_function_and_every_function_a_row():
    assert ROWS.keys() - FINDERS.keys() == {id_ for id_, row in ROWS.items() if "field" in row}
    assert set() == FINDERS.keys() - ROWS.keys()
    assert len(ALL) == len(ROWS)


def fields(row):
    return [row["field"]] if isinstance(row["field"], str) else row["field"]


PUT = [
    (field, row["must_be"])
    for row in ROWS.values()
    if "field" in row and row.get("fix", "put") == "put"
    for field in fields(row)
]


@pytest.mark.parametrize(("field", "must_be"), PUT, ids=[field for field, _ in PUT])
def test_the_value_that_closes_a_finding_passes_the_check(field, must_be):
    assert TESTS[must_be](Node(expected.right(field)))


def test_no_placeholder_is_left_in_a_cure():
    assert [] == [check.id for check in ALL if check.cure.startswith("$") or "\n$" in check.cure]

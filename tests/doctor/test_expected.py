"""The doctor's own lines are those that the renderer writes today."""

import pytest
import yaml

from authz.doctor import expected as pieces
from authz.render.bootstrap import bootstrap
from tests.support.chains import SIDECAR
from tests.support.holes import Tree


@pytest.fixture(scope="module")
def tree():
    return Tree(yaml.safe_load(bootstrap(SIDECAR)))


def test_the_filters_are_those_that_are_rendered(tree):
    wrapper = {key: value for key, value in tree.wrapper.items() if key in {"name", "typed_config"}}

    assert pieces.CORS_FILTER in tree.filters
    assert wrapper == pieces.rewriter(pieces.processor("rewriter"))
    assert tree.proc["processing_mode"] == pieces.PROCESSING_MODE
    assert tree.proc["mutation_rules"] == pieces.RESPONSE_RULES


def test_the_settings_of_ext_authz_are_those_that_are_rendered(tree):
    assert pieces.BODY == tree.authz["with_request_body"]
    assert pieces.UNAVAILABLE == tree.authz["status_on_error"]
    assert pieces.REQUEST_RULES == tree.authz["decoder_header_mutation_rules"]
    assert pieces.RETRY_BASE == tree.authz["grpc_service"]["retry_policy"]["retry_back_off"]["base_interval"]


def test_the_routes_are_those_that_are_rendered(tree):
    metadata, policy = tree.route("metadata"), tree.route("mcp-demo")["typed_per_filter_config"][pieces.CORS]
    own = {key: metadata["typed_per_filter_config"][key] for key in [pieces.DECISIONS]}

    assert pieces.METADATA_ROUTE == metadata | {"typed_per_filter_config": own}
    assert pieces.NOTHING == tree.hosts[-1]["routes"][-1]
    assert pieces.ANY_HOST["domains"] == tree.hosts[-1]["domains"]
    assert pieces.EXPOSED == policy["expose_headers"]


def test_the_settings_of_the_connection_manager_are_those_that_are_rendered(tree):
    (strip,) = tree.manager["early_header_mutation_extensions"]
    removed = [mutation["remove"] for mutation in strip["typed_config"]["mutations"]]

    assert pieces.NOBODY_INTERNAL == tree.manager["internal_address_config"]
    assert set(pieces.IDENTITY_HEADERS) <= set(removed)
    assert {**pieces.STRIP["typed_config"], "mutations": None} == {**strip["typed_config"], "mutations": None}


def test_the_settings_of_clusters_are_those_that_are_rendered(tree):
    cluster = tree.cluster("authz")

    assert [pieces.HEALTH_CHECK] == cluster["health_checks"]
    assert pieces.HTTP2 == cluster["typed_extension_protocol_options"][pieces.HTTP2_KEY]

"""The HTTP filters: their order, and what security rests on in each."""

import pytest

from authz.render.bootstrap import bootstrap
from tests.support.chains import BOOTSTRAPS, MTLS, NATIVE, SHADOW
from tests.support.rendered import CORS, EXT_AUTHZ, ext_proc, filter_named, manager, routes, tree

CHAINS = pytest.mark.parametrize("chain", BOOTSTRAPS.values(), ids=BOOTSTRAPS.keys())


@CHAINS
def test_cors_comes_before_ext_authz_before_what_waits_for_the_rewrite_before_that_before_the_router(chain):
    limit = ["envoy.filters.http.local_ratelimit"] if chain.options.rate else []

    assert [
        CORS,
        EXT_AUTHZ,
        *limit,
        "mcp-unjudged",
        "mcp-rewrite",
        "mcp-server-headers",
        "envoy.filters.http.router",
    ] == _names(chain)


def _names(chain):
    return [f["name"] for f in manager(chain)["http_filters"]]


def test_envoys_own_mcp_filter_comes_before_ext_authz_and_reads_as_large_bodies():
    native = filter_named(NATIVE, "envoy.filters.http.mcp")
    passed = {
        r["name"]
        for _, r in routes(NATIVE)
        if "envoy.filters.http.mcp" in r.get("typed_per_filter_config", {})
    }

    assert [CORS, "envoy.filters.http.mcp", EXT_AUTHZ] == _names(NATIVE)[:3]
    assert ("REJECT_NO_MCP", True) == (native["traffic_mode"], native["reject_duplicate_keys"])
    assert NATIVE.max_request_bytes == native["max_request_body_size"]
    assert {"metadata", "none"} == passed


def test_a_shadow_asks_and_may_change_nothing():
    config = filter_named(SHADOW, EXT_AUTHZ)

    assert config["shadow_mode"]
    assert {"disallow_all": True} == config["decoder_header_mutation_rules"]
    assert [CORS, EXT_AUTHZ, "envoy.filters.http.router"] == _names(SHADOW)
    assert "rewriter" not in str(tree(SHADOW)["static_resources"]["clusters"])


def test_no_chain_but_a_shadow_says_shadow():
    assert [SHADOW] == [
        chain for chain in (*BOOTSTRAPS.values(), NATIVE, SHADOW) if "shadow" in bootstrap(chain).lower()
    ]


def test_every_call_by_one_caller_of_one_tool_at_one_server_is_counted_together():
    config = filter_named(MTLS, "envoy.filters.http.local_ratelimit")
    (descriptor,), (limit,) = config["descriptors"], config["rate_limits"]
    read = [
        (a["metadata"]["metadata_key"]["key"], a["metadata"]["metadata_key"]["path"])
        for a in limit["actions"]
    ]

    assert [{"key": "server"}, {"key": "sub"}, {"key": "tool"}] == descriptor["entries"]
    assert [(EXT_AUTHZ, [{"key": key}]) for key in ("server", "sub", "tool")] == read
    assert {"max_tokens": 20, "tokens_per_fill": 20, "fill_interval": "1s"} == descriptor["token_bucket"]
    assert 10_000 == config["max_dynamic_descriptors"]


@CHAINS
def test_ext_authz_fails_closed_and_judges_whole_exact_bodies(chain):
    config = filter_named(chain, EXT_AUTHZ)
    body = {
        "max_request_bytes": chain.max_request_bytes,
        "allow_partial_message": False,
        "pack_as_bytes": True,
    }
    settings = ("failure_mode_allow", "clear_route_cache", "validate_mutations")

    assert body == config["with_request_body"]
    assert (False, False, True) == tuple(config[name] for name in settings)
    assert {"code": "ServiceUnavailable"} == config["status_on_error"]
    assert "encode_raw_headers" not in config


@CHAINS
def test_no_setting_weakens_ext_authz(chain):
    weak = {
        "filter_enabled",
        "filter_enabled_metadata",
        "deny_at_disable",
        "failure_mode_allow_header_add",
        "shadow_mode",
        "enable_dynamic_metadata_ingestion",
        "allowed_headers",
    }

    assert set() == weak & set(filter_named(chain, EXT_AUTHZ))


@CHAINS
def test_a_try_ends_before_the_check_does(chain):
    service = filter_named(chain, EXT_AUTHZ)["grpc_service"]
    longest = service["retry_policy"]["retry_back_off"]["max_interval"]

    assert f"{chain.check_timeout:g}s" == service["timeout"]
    assert float(longest.removesuffix("s")) < chain.check_timeout


@CHAINS
def test_the_service_may_change_only_identity_headers_those_of_mcp_the_event_id_the_token_and_accept_encoding(
    chain,
):
    rules = filter_named(chain, EXT_AUTHZ)["decoder_header_mutation_rules"]

    assert {
        "disallow_all": True,
        "allow_expression": {
            "regex": "^(x[!-/:-@[-`{-~]mcp[!-/:-@[-`{-~](subject|client|scopes|issuer)|mcp[!-/:-@[-`{-~][!-~]+"
            "|last[!-/:-@[-`{-~]event[!-/:-@[-`{-~]id|authorization|accept-encoding)$"
        },
        "disallow_is_error": True,
    } == rules


@CHAINS
def test_the_rewrite_runs_only_where_ext_authz_asked_for_it(chain):
    matcher = filter_named(chain, "mcp-rewrite")["xds_matcher"]["matcher_list"]["matchers"][-2]
    asked = matcher["predicate"]["single_predicate"]

    assert (EXT_AUTHZ, [{"key": "rewrite"}]) == tuple(
        asked["input"]["typed_config"][k] for k in ("filter", "path")
    )
    assert {"bool_match": True} == asked["custom_match"]["typed_config"]["value"]


@CHAINS
def test_streams_and_lists_are_rewritten_alike_in_pools_of_their_own(chain):
    *pools, last, _ = filter_named(chain, "mcp-rewrite")["xds_matcher"]["matcher_list"]["matchers"]
    configs = [
        rule["on_match"]["action"]["typed_config"]["typed_config"]["typed_config"] for rule in (*pools, last)
    ]
    asked = [rule["predicate"]["single_predicate"] for rule in pools]

    assert [("pool", "streams"), ("pool", "lists")] == [
        (
            one["input"]["typed_config"]["path"][0]["key"],
            one["custom_match"]["typed_config"]["value"]["string_match"]["exact"],
        )
        for one in asked
    ]
    assert ["rewriter_streams", "rewriter_lists", "rewriter"] == [
        config["grpc_service"]["envoy_grpc"]["cluster_name"] for config in configs
    ]
    assert [ext_proc(chain)] * 3 == [
        config | {"grpc_service": ext_proc(chain)["grpc_service"]} for config in configs
    ]


@CHAINS
def test_the_rewrite_fails_closed_and_sees_only_responses(chain):
    config = ext_proc(chain)
    modes = {
        "request_header_mode": "SKIP",
        "request_body_mode": "NONE",
        "request_trailer_mode": "SKIP",
        "response_header_mode": "SEND",
        "response_body_mode": "FULL_DUPLEX_STREAMED",
        "response_trailer_mode": "SEND",
    }

    assert (False, modes) == (config["failure_mode_allow"], config["processing_mode"])
    assert (
        "^(content-(length|type|encoding|digest)|etag|digest|mcp-session-id|x-mcp-trimmed|(www|proxy)-authenticate)$"
        == config["mutation_rules"]["allow_expression"]["regex"]
    )


@CHAINS
def test_the_rewriter_is_asked_about_redirects_and_challenges_of_any_allowed_answer(chain):
    *_, last = filter_named(chain, "mcp-rewrite")["xds_matcher"]["matcher_list"]["matchers"]
    allowed, answers = last["predicate"]["and_matcher"]["predicate"]
    values = [each["single_predicate"]["value_match"] for each in answers["or_matcher"]["predicate"]]

    assert (
        "allow"
        == allowed["single_predicate"]["custom_match"]["typed_config"]["value"]["string_match"]["exact"]
    )
    assert ["3xx", "401", "407"] == [value["exact"] for value in values if "exact" in value]
    assert ext_proc(chain) == last["on_match"]["action"]["typed_config"]["typed_config"]["typed_config"]

"""The published failures that this project answers, and where: each identifier has tests, and each of them exists.

The table is for people who look for an identifier, and for a test that is renamed or removed: the last one of a row
cannot go unnoticed.
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.support.tracked import tracked

TESTS = Path(__file__).parents[1]

HIDDEN_CALLS = (
    "advisories/test_calls.py::test_a_tool_that_is_hidden_is_denied_by_name_with_any_arguments_in_both_eras",
    "envoy/test_lists.py::test_a_list_is_trimmed_by_the_same_rules_as_calls",
    "property/test_policy.py::test_an_item_is_listed_exactly_when_the_rules_without_their_args_would_let_it_be_called",
    "property/test_policy.py::test_what_is_callable_with_some_arguments_is_listed",
    "core/response/test_context.py::test_what_no_request_can_name_is_in_no_list",
)
PARTS = (
    "advisories/test_wire.py::test_nothing_of_a_refused_request_arrives",
    "advisories/test_wire.py::test_a_body_that_ends_before_its_length_never_arrives",
    "advisories/test_calls.py::test_on_a_part_of_a_body_no_rule_is_asked",
)
LOOKALIKES = (
    "advisories/test_wire.py::test_nothing_of_a_refused_request_arrives",
    "core/mcp/test_message.py::test_a_key_that_only_looks_like_a_known_one_is_refused_at_every_level",
    "core/mcp/test_message.py::test_what_is_accepted_says_the_same_to_a_reader_that_ignores_case",
)
DISGUISES = (
    "envoy/test_lists.py::test_a_list_that_cannot_be_judged_is_502_and_shows_nothing",
    "envoy/test_lists.py::test_in_whatever_form_it_comes_a_list_is_trimmed",
    "envoy/test_lists.py::test_a_disguised_list_in_a_stream_is_replaced_and_the_events_after_it_are_still_judged",
    "envoy/test_streams.py::test_a_stream_that_comes_byte_by_byte_is_read_as_one",
    "core/response/test_rewriter.py::test_a_list_in_disguise_does_not_pass",
)
BATCHES = (
    "core/mcp/test_message.py::test_a_batch_is_refused_in_every_version",
    "advisories/test_calls.py::test_a_flaw_in_headers_or_version_is_400_with_its_own_code_and_nothing_arrives",
    "advisories/test_wire.py::test_nothing_of_a_refused_request_arrives",
)
MIRRORS = (
    "advisories/test_calls.py::test_a_flaw_in_headers_or_version_is_400_with_its_own_code_and_nothing_arrives",
    "core/mcp/test_message.py::test_the_first_flaw_in_the_specifications_order_is_the_reason",
    "core/mcp/test_routing_headers.py::test_headers_that_are_sent_agree_with_the_body_in_every_era",
)
PATHS = (
    "advisories/test_wire.py::test_in_whatever_spelling_the_same_rules_decide",
    "advisories/test_wire.py::test_nothing_of_a_refused_request_arrives",
    "advisories/test_adversary.py::test_no_path_leads_from_the_public_metadata_to_another_page_of_the_service",
)
REPEATED = (
    "advisories/test_wire.py::test_nothing_of_a_refused_request_arrives",
    "advisories/test_http2.py::test_nothing_of_a_refused_http_2_request_arrives",
    "core/test_engine.py::test_a_header_that_may_stand_only_once_is_refused_when_repeated",
    "edge/envoy/test_ext_authz.py::test_a_header_that_is_listed_twice_is_a_repetition",
)
TRUSTED_HEADERS = (
    "advisories/test_identity.py::test_no_x_header_changes_a_decision",
    "advisories/test_identity.py::test_the_server_is_told_the_verified_identity_and_no_other",
    "advisories/test_adversary.py::test_no_header_that_overrides_method_path_or_argument_changes_a_decision",
    "property/test_engine.py::test_no_x_header_changes_a_decision",
)
OUTAGES = (
    "envoy/test_failures.py::test_a_killed_service_means_503_until_it_is_back",
    "envoy/test_failures.py::test_a_service_that_hangs_means_503_and_what_it_says_later_counts_for_nothing",
    "envoy/test_wrong_services.py::test_no_answer_that_is_not_a_sound_yes_lets_a_request_pass",
    "envoy/test_wrong_services.py::test_a_yes_that_comes_too_late_is_503",
    "advisories/test_calls.py::test_bytes_that_are_no_check_are_denied_and_recorded_and_harm_nothing_else",
    "render/test_extensions.py::test_ext_authz_fails_closed_and_judges_whole_exact_bodies",
)
PROCESSORS = (
    "edge/envoy/test_ext_proc.py::test_messages_in_any_order_raise_nothing_and_carry_no_hidden_item_through",
    "edge/envoy/test_ext_proc.py::test_200_calls_at_once_each_get_their_own_list",
    "envoy/test_failures.py::test_a_service_killed_in_the_middle_of_a_list_never_lets_the_rest_pass",
    "envoy/test_wrong_services.py::test_no_failure_of_the_processor_lets_a_list_pass",
    "core/response/test_list_filter.py::test_what_is_neither_surely_a_list_nor_surely_none_is_refused",
)
KEY_SERVER = (
    "advisories/test_keys.py::test_cve_2025_64527_an_answer_of_the_key_server_ends_neither_the_service_nor_its_keys",
    "advisories/test_keys.py::test_cve_2025_64527_a_service_that_starts_with_such_an_answer_recovers_by_itself",
)
NO_TOKEN = (
    "advisories/test_calls.py::test_no_method_of_either_era_passes_without_a_token",
    "core/test_engine.py::test_no_message_of_any_method_passes_without_a_token",
    "property/test_engine.py::test_every_request_gets_a_decision_and_none_is_allowed_without_the_valid_token",
)
ALGORITHMS = (
    "advisories/test_tokens.py::test_cve_2022_29217_cve_2026_48526_ghsa_jq35_7prp_9v3f_a_public_key_is_no_hmac_secret",
    "advisories/test_tokens.py::test_ghsa_jq35_7prp_9v3f_the_header_does_not_choose_among_the_key_s_algorithms",
    "advisories/test_calls.py::test_nothing_arrives_that_was_sent_with_a_bad_token",
)
CRITICAL = (
    "advisories/test_tokens.py::test_ghsa_752w_5fwx_jx9f_cve_2025_59420_no_critical_extension_is_understood",
)
ISSUERS = ("advisories/test_tokens.py::test_ghsa_75c5_xw7c_p5pm_the_issuer_is_compared_to_the_letter",)
KIDS = (
    "advisories/test_keys.py::test_ghsa_2gx3_rcp4_g85q_ghsa_fhv5_28vv_h8m8_ten_thousand_unknown_kids_cause_one_fetch_in_a_cool_down",
    "advisories/test_keys.py::test_ghsa_2gx3_rcp4_g85q_ghsa_fhv5_28vv_h8m8_a_fetch_that_fails_wipes_no_key",
    "envoy/test_rotation.py::test_a_flood_of_unknown_keys_causes_one_fetch_and_nobody_else_notices",
)
REDIRECTS = (
    "advisories/test_keys.py::test_ghsa_9v7f_9g4p_ffgj_ghsa_993g_76c3_p5m4_the_key_server_sends_nobody_elsewhere",
    "advisories/test_keys.py::test_ghsa_9v7f_9g4p_ffgj_ghsa_993g_76c3_p5m4_keys_come_by_https_and_from_no_file",
)
HUGE_TOKENS = (
    "advisories/test_tokens.py::test_ghsa_8wjv_2p76_3863_cve_2025_61920_deep_and_huge_tokens_cost_little",
    "advisories/test_wire.py::test_nothing_of_a_refused_request_arrives",
)
SPELLINGS = ("advisories/test_tokens.py::test_ghsa_hxm8_2xgr_2p9m_a_token_has_one_spelling",)
GARBAGE = (
    "advisories/test_calls.py::test_no_garbage_arrives_and_after_it_the_next_request_is_served",
    "property/test_engine.py::test_every_request_gets_a_decision_and_none_is_allowed_without_the_valid_token",
    "core/mcp/test_message.py::test_every_body_is_a_message_or_a_rejection",
)
CROSSED = (
    "envoy/test_streams.py::test_200_users_whose_requests_of_one_id_are_all_under_way_each_get_their_own_list",
    "envoy/test_users.py::test_a_hundred_users_with_the_same_ids_each_get_the_answer_to_their_own_call",
    "advisories/test_adversary_core.py::test_an_answer_kept_for_one_request_is_the_answer_made_anew_for_every_other",
)
REBINDING = (
    "advisories/test_wire.py::test_nothing_of_a_refused_request_arrives",
    "advisories/test_identity.py::test_an_origin_that_is_not_listed_is_403_and_nothing_arrives",
)
AUDIENCES = (
    "advisories/test_tokens.py::test_audience_confusion_a_token_for_a_sibling_api_is_refused",
    "advisories/test_tokens.py::test_audience_confusion_an_id_token_is_no_access_token",
    "envoy/test_oauth.py::test_a_token_that_a_client_got_for_one_gateway_opens_no_other",
    "advisories/test_calls.py::test_nothing_arrives_that_was_sent_with_a_bad_token",
)

TABLE: dict[str, tuple[str, ...]] = {
    "CVE-2026-46519": HIDDEN_CALLS,  # mcp-server-kubernetes: the list was trimmed, the call was not
    "github/gh-aw#25105": HIDDEN_CALLS,  # the allow-list was the client's to keep
    "CVE-2026-65838": PARTS,  # Skipper with OPA: decided on the part of the body that it had
    "GHSA-8qqm-fp2q-v734": PARTS,
    "kubernetes-sigs/kube-agentic-networking#320": PARTS,
    "agentgateway 1.4.0": PARTS,  # its release notes: cut and compressed bodies
    "CVE-2026-27896": LOOKALIKES,  # MCP Go SDK: keys in other letters, keys with U+0000
    "GHSA-q382-vc8q-7jhj": LOOKALIKES,
    "stacklok/toolhive#5745": BATCHES,
    "stacklok/toolhive#5257": DISGUISES,
    "stacklok/toolhive#6092": DISGUISES,
    "SEP-2243": MIRRORS,  # headers that say something else than the body
    "CVE-2026-26205": PATHS,  # opa-envoy-plugin: a path read as an authority
    "CVE-2021-32777": REPEATED,  # Envoy: several values of one header
    "CVE-2021-32779": PATHS,  # Envoy: a fragment in the path
    "CVE-2026-26308": REPEATED,
    "CVE-2023-27487": TRUSTED_HEADERS,  # Envoy: x-envoy-original-path from outside
    "CVE-2024-45806": TRUSTED_HEADERS,  # Envoy: x-envoy headers believed of internal addresses
    "CVE-2026-40575": TRUSTED_HEADERS,  # oauth2-proxy: X-Forwarded-Uri
    "CVE-2025-64484": TRUSTED_HEADERS,  # oauth2-proxy: underscore twins
    "CVE-2023-27488": OUTAGES,  # Envoy: a Check that could not be encoded, and a filter that fails open
    "CVE-2024-23324": OUTAGES,
    "CVE-2025-30157": PROCESSORS,  # Envoy's ext_proc: local replies, order of messages, deep JSON
    "CVE-2026-47207": PROCESSORS,
    "CVE-2026-48042": PROCESSORS,
    "CVE-2025-64527": KEY_SERVER,  # Envoy's jwt_authn: what a key server answers
    "GHSA-g53w-w6mj-hrpp": NO_TOKEN,  # Kuadrant mcp-gateway: a shared secret that skipped the token
    "CVE-2022-29217": ALGORITHMS,  # PyJWT: the public key as an HMAC secret
    "CVE-2026-48526": ALGORITHMS,
    "GHSA-jq35-7prp-9v3f": ALGORITHMS,
    "GHSA-752w-5fwx-jx9f": CRITICAL,  # PyJWT, Authlib: critical extensions passed over
    "CVE-2025-59420": CRITICAL,
    "GHSA-75c5-xw7c-p5pm": ISSUERS,  # PyJWT: part of an issuer was enough
    "GHSA-2gx3-rcp4-g85q": KIDS,  # PyJWT: unknown key ids
    "GHSA-fhv5-28vv-h8m8": KIDS,
    "GHSA-9v7f-9g4p-ffgj": REDIRECTS,  # PyJWT: where keys may come from
    "GHSA-993g-76c3-p5m4": REDIRECTS,
    "GHSA-8wjv-2p76-3863": HUGE_TOKENS,  # PyJWT, Authlib: tokens that cost too much
    "CVE-2025-61920": HUGE_TOKENS,
    "GHSA-hxm8-2xgr-2p9m": SPELLINGS,  # PyJWT: many texts for one token
    "CVE-2025-53365": GARBAGE,  # MCP Python SDK: one bad message, no process
    "CVE-2025-53366": GARBAGE,
    "Kuadrant/authorino#651": GARBAGE,
    "CVE-2026-25536": CROSSED,  # MCP TypeScript SDK: answers of one client to another
    "modelcontextprotocol/python-sdk#2718": CROSSED,
    "CVE-2025-66414": REBINDING,  # MCP SDKs: pages of other origins
    "CVE-2025-66416": REBINDING,
    "CVE-2026-59950": REBINDING,
    "audience confusion": AUDIENCES,  # MCP authorization: a token is for one server
}


@cache
def _defined(path: str) -> frozenset[str]:
    tree = ast.parse((TESTS / path).read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("identifier", TABLE)
@pytest.mark.requirement("security.published-failures")
def test_a_published_failure_is_answered_by_tests_that_exist(identifier):
    named = [test.partition("::") for test in TABLE[identifier]]

    assert named
    assert [] == [name for path, _, name in named if name not in _defined(path)]


IDENTIFIER = re.compile(r"\b(?:CVE-\d{4}-\d{4,}|GHSA(?:-[23456789cfghjmpqrvwx]{4}){3})\b", re.IGNORECASE)


@pytest.mark.parametrize("file", tracked("tests/advisories/test_*.py"), ids=lambda file: file.name)
def test_an_identifier_that_a_test_of_this_directory_names_has_a_row(file):
    text = file.read_text("utf-8").replace("_", "-")

    assert {found.upper() for found in IDENTIFIER.findall(text)} <= {row.upper() for row in TABLE}

"""The closed list of reasons: one row each, and the words and codes that the protocols leave for them."""

import pytest

from authz.core.reasons import CODE_BUSY, CODE_POLICY, CODE_SERVICE, CODE_TOKEN, TABLE, Group, Reason

WORDS = """
    missing_token malformed_token expired_token not_yet_valid bad_signature unknown_key unknown_issuer wrong_audience
    bad_claims inactive_token keys_unavailable
    bad_origin unknown_endpoint bad_content_type bad_encoding body_too_large partial_body bad_json too_complex bad_message batch
    header_mismatch unsupported_version method_not_allowed unknown_method session_mismatch ambiguous_uri
    allowed no_rule denied_by_rule missing_scope missing_role args_not_allowed rule_error item_changed item_not_locked
    too_many_streams rewriter_missing deadline internal
"""


def test_the_list_is_the_published_one():
    assert set(WORDS.split()) == {str(reason) for reason in Reason}


def test_every_reason_has_a_row_and_no_row_is_without_a_reason():
    assert set(Reason) == set(TABLE)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.ALLOWED])
def test_a_denial_has_a_status_a_client_takes_for_one_and_a_text(reason):
    row = TABLE[reason]

    assert 400 <= row.status < 600
    assert row.text


@pytest.mark.parametrize("reason", Reason)
def test_a_code_of_our_own_lies_outside_what_json_rpc_and_mcp_reserve(reason):
    standard = {-32700, -32600, -32601, -32602, -32603, -32001, -32020, -32022}

    assert TABLE[reason].code in standard or not -32768 <= TABLE[reason].code <= -32000


@pytest.mark.parametrize(
    ("group", "codes", "statuses"),
    [
        (Group.TOKEN, {CODE_TOKEN}, {401}),
        (Group.POLICY, {CODE_POLICY, 0}, {403, 200}),
        (Group.SERVICE, {CODE_SERVICE, CODE_BUSY}, {503, 429}),
        (
            Group.REQUEST,
            {-32700, -32600, -32601, -32602, -32001, -32020, -32022},
            {400, 403, 404, 405, 413, 415},
        ),
    ],
)
def test_a_group_is_answered_in_one_manner(group, codes, statuses):
    rows = [row for row in TABLE.values() if row.group is group]

    assert codes == {row.code for row in rows}
    assert statuses == {row.status for row in rows}


@pytest.mark.parametrize(
    ("reason", "status", "code"),
    [
        (Reason.BAD_JSON, 400, -32700),
        (Reason.BATCH, 400, -32600),
        (Reason.HEADER_MISMATCH, 400, -32020),
        (Reason.UNKNOWN_METHOD, 404, -32601),
        (Reason.BAD_ORIGIN, 403, -32600),
        (Reason.SESSION_MISMATCH, 404, -32001),
        (Reason.METHOD_NOT_ALLOWED, 405, -32600),
    ],
)
def test_what_the_specification_fixes_is_answered_as_it_says(reason, status, code):
    assert (status, code) == (TABLE[reason].status, TABLE[reason].code)


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        TABLE[Reason.INTERNAL] = TABLE[Reason.ALLOWED]

"""The two messages that take the place of what may not be sent: one line of ASCII that answers the request by its id."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.core.reasons import TABLE, Reason
from authz.core.response.commands import Judged, ResponseOutcome, expired, refusal

IDS = [None, 0, 1, -1, 2**53 + 1, 2**63 - 1, "", "7", "\n\ndata: {}\n\n", "\r\n", "é\u2028", '","x":"']
request_ids = st.none() | st.text() | st.integers(-(2**63), 2**63 - 1)
MESSAGES = pytest.mark.parametrize("written", [refusal, expired])


@MESSAGES
@pytest.mark.parametrize("request_id", IDS)
def test_a_message_answers_by_the_requests_own_id_and_type(written, request_id):
    answer = json.loads(written(request_id))

    assert ({"jsonrpc", "id", "error"}, "2.0") == (set(answer), answer["jsonrpc"])
    assert (request_id, type(request_id)) == (answer["id"], type(answer["id"]))


@MESSAGES
@given(request_ids)
def test_no_id_breaks_out_of_its_line_or_its_string(written, request_id):
    """An id is the client's text, and the message becomes the data of an event."""
    message = written(request_id)

    assert message.isascii()
    assert [message] == message.splitlines()
    assert request_id == json.loads(message)["id"]


def test_a_refusal_is_an_internal_error_that_says_nothing_of_the_response():
    error = json.loads(refusal(1))["error"]

    assert {"code": -32603, "message": "the response of the MCP server could not be checked"} == error


def test_the_end_of_a_stream_is_the_error_of_an_expired_token():
    row = TABLE[Reason.EXPIRED_TOKEN]

    assert {"code": row.code, "message": row.text, "data": {"reason": "expired_token"}} == json.loads(
        expired(1)
    )["error"]


def test_the_outcomes_are_the_words_of_the_metrics():
    assert ["trimmed", "unchanged", "passed", "refused", "expired", "challenged"] == list(ResponseOutcome)


def test_what_became_of_a_message_without_lists_counts_nothing():
    assert () == Judged(ResponseOutcome.PASSED).counts

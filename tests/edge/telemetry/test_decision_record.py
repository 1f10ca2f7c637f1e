"""The record of one decision: whom it names."""

import pytest

from authz.core.decision import Decision
from authz.core.policy.context import Caller
from authz.core.reasons import Reason
from authz.edge.telemetry.decision_record import Facts, make_record
from tests.support.core import principal
from tests.support.tokens import ISSUER

FACTS = Facts(decision_id="d", policy="p", at=0.0, status=0, source="192.0.2.1")


@pytest.mark.requirement("security.records-name-the-caller")
def test_a_record_names_its_caller_by_subject_client_and_issuer():
    decision = Decision(reason=Reason.NO_RULE, caller=Caller.of(principal("secret:scope"), "demo"))
    record = make_record(decision, FACTS, 0.0)

    assert ("auth0|alice", "client-1", ISSUER) == (record.sub, record.client, record.issuer)
    assert "secret:scope" not in repr(record)


def test_a_record_of_a_refused_token_names_nobody():
    record = make_record(Decision(reason=Reason.BAD_SIGNATURE), FACTS, 0.0)

    assert ("", "", "") == (record.sub, record.client, record.issuer)

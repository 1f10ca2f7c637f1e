import pytest
from google.protobuf import json_format

from authz.config.problems import ConfigError
from authz.proto import decision_pb2
from authz.tools.personas import by_subject, claims_of
from tests.support.core import server
from tests.support.tokens import ISSUER, trust


def record(**values):
    return json_format.ParseDict({"sub": "alice", **values}, decision_pb2.DecisionRecord())


def test_an_option_replaces_the_personas_with_its_sub_and_one_without_sub_is_skipped():
    personas = {"a": {"sub": "alice", "n": 1}, "b": {"sub": "bob"}, "c": {}, "d": {"sub": "alice", "n": 2}}

    assert {
        "alice": [{"sub": "alice", "n": 1}, {"sub": "alice", "n": 2}],
        "bob": [{"sub": "bob"}],
    } == by_subject(personas, [])
    assert [{"sub": "alice", "m": 3}] == by_subject(personas, ['alice={"m": 3}'])["alice"]


def test_a_sub_may_hold_an_equals_sign():
    assert {"a=b": [{"sub": "a=b"}]} == by_subject({}, ["a=b={}"])


@pytest.mark.parametrize("entry", ["alice", "alice=5", 'alice={"a": 1', 'alice={"a": 1, "a": 2}'])
def test_an_entry_of_another_form_is_a_problem_that_repeats_nothing_of_it(entry):
    with pytest.raises(ConfigError) as caught:
        by_subject({}, [entry])

    assert ["--claims-for"] == [problem.file for problem in caught.value.problems]
    assert "alice" not in str(caught.value)


@pytest.mark.parametrize(
    ("claims", "values", "expected"),
    [
        ([{"n": 1}], {}, {"n": 1}),
        ([{"n": 1}], {"issuer": ISSUER, "client": "cli"}, {"n": 1, "iss": ISSUER, "azp": "cli"}),
        ([{"client_id": "cli"}], {"client": "cli"}, {"client_id": "cli"}),
        ([{"azp": "other"}], {"client": "cli"}, None),
        ([{"iss": "https://other.example/"}], {"issuer": ISSUER}, None),
        ([{"azp": "a"}, {"azp": "b"}], {"client": "b"}, {"azp": "b"}),
        ([{"n": 1}, {"n": 2}], {}, None),
        ([], {}, None),
    ],
)
def test_a_record_completes_the_one_persona_that_it_does_not_contradict(claims, values, expected):
    assert expected == claims_of(record(**values), server(), {"alice": claims})


def test_the_client_stands_in_the_claim_that_the_issuer_is_configured_with():
    target = server(issuers={ISSUER: trust(client_claim=("cid",))})

    assert {"iss": ISSUER, "cid": "cli"} == claims_of(
        record(issuer=ISSUER, client="cli"), target, {"alice": [{}]}
    )

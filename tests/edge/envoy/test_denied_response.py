"""A denial for Envoy: the status is the rendered one's, and one that is to show the rewriter asks for it."""

import pytest
from envoy.service.auth.v3 import external_auth_pb2 as auth_pb
from google.protobuf.json_format import MessageToDict

from authz.core.decision import Decision
from authz.core.denial import DenialResponse
from authz.core.reasons import Reason
from authz.edge.envoy.check_response import id_part
from authz.edge.envoy.denied_response import answer_denial, deny
from tests.support import core

ID = "0123456789abcdef"


def metadata(response):
    return MessageToDict(auth_pb.CheckResponse.FromString(response).dynamic_metadata)


@pytest.mark.parametrize(
    ("listener", "rewrite", "pool"),
    [("127.0.0.1:10000", True, "lists"), ("", True, "lists"), (None, False, None)],
)
def test_a_denial_that_is_to_show_the_rewriter_asks_for_it_by_the_way_of_lists_and_says_where(
    listener, rewrite, pool
):
    said = metadata(
        deny(Decision(reason=Reason.NO_RULE), DenialResponse(403, (), b""), "p", ID, listener),
    )

    assert (rewrite, listener, pool) == (said["rewrite"], said.get("listener"), said.get("pool"))


@pytest.mark.parametrize("decision_id", ["", ID[1:], ID + "0"])
def test_an_id_of_another_length_makes_no_part_that_a_reader_could_take_for_something_else(decision_id):
    with pytest.raises(ValueError, match="a decision's id has 16 characters"):
        id_part(decision_id)


@pytest.mark.parametrize("probe", [True, False])
def test_an_answer_comes_with_the_status_that_the_client_sees_and_only_a_probe_asks_for_the_rewriter(probe):
    request = core.changed(core.call(), listener=lambda: "127.0.0.1:10000")
    response, status = answer_denial(
        Decision(reason=Reason.NO_RULE, server="demo"), request, core.snapshot(core.server()), ID, probe
    )
    denied = auth_pb.CheckResponse.FromString(response).denied_response

    assert (status, True) == (denied.status.code, status >= 200)
    assert (probe, probe) == (metadata(response)["rewrite"], "listener" in metadata(response))

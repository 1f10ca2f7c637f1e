"""What audit records are made of, for the tests of the forms in which they are written."""

from authz.edge.telemetry.response_record import ResponseFacts

REFUSED = ResponseFacts(
    at=1_700_000_001.5,
    decision_id="id-2",
    response="refused",
    cause="not_json",
    server="demo",
    method="tools/list",
    upstream_status=200,
    status=502,
)
"""A response that was refused, after the decision of this id."""

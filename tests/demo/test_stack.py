"""The parts that the demo starts, as a whole: what they trust, what they show, and that they end."""

import json

import httpx
import jwt
import pytest

from authz.demo.gateway import AGENTGATEWAY, NATIVE, Gateway
from authz.demo.issuer.app import AUDIENCE
from authz.demo.scenarios.run import ALL
from authz.demo.stack import Stack
from tests.support.running import EVERYTHING, shared_stack
from tests.support.waiting import DEADLINE
from tests.support.wire import ask, call, message

pytestmark = pytest.mark.envoy


@pytest.fixture(scope="module")
def stack(pytestconfig):
    """Both forms of the policy, in front of one MCP server."""
    return shared_stack(pytestconfig, "agentgateway")


@pytest.mark.parametrize("form", ["native", "agentgateway"])
@pytest.mark.parametrize(
    ("fields", "tools"),
    [
        ({}, ALL[:2]),
        ({"scope": "files:read"}, ALL[:3]),
        ({"roles": ["admin"]}, [*ALL[:2], "system_status"]),
        (EVERYTHING, ALL),
    ],
)
def test_both_forms_of_the_policy_list_alike(stack, form, fields, tools):
    port = stack.gateways[form].ports.envoy

    assert tools == ask(port, stack.token(form, **fields), message("tools/list")).tools


def test_a_token_of_one_forms_issuer_is_no_token_for_the_other(stack):
    port = stack.gateways["native"].ports.envoy

    assert (401, "unknown_issuer") == (
        (answer := ask(port, stack.token("agentgateway"), call())).status,
        answer.reason,
    )


def test_a_token_is_for_the_demos_audience_and_has_the_claims_that_were_asked_for(stack):
    token = stack.token(sub="alice", claims={"extra": 1})
    claims = jwt.decode(token, options={"verify_signature": False})

    assert (stack.issuer, "alice", 1) == (claims["iss"], claims["sub"], claims["extra"])
    assert AUDIENCE in claims["aud"]


def test_a_gateway_runs_from_a_copy_of_its_policy_that_goes_with_the_logs(stack):
    for form, original in (("native", NATIVE), ("agentgateway", AGENTGATEWAY)):
        policy = stack.gateways[form].policy

        assert stack.supervisor.logs == policy.parent
        assert original.read_bytes() == policy.read_bytes()


def test_the_issuers_keys_can_be_changed_and_its_documents_made_to_fail():
    with Stack(forms=()) as stack:
        jwks = f"{stack.issuer}.well-known/jwks.json"
        kids = [jwt.get_unverified_header(stack.token())["kid"], stack.rotate()]
        published = [key["kid"] for key in httpx.get(jwks, trust_env=False, timeout=DEADLINE).json()["keys"]]
        stack.revoke(kids[0])
        left = [key["kid"] for key in httpx.get(jwks, trust_env=False, timeout=DEADLINE).json()["keys"]]
        stack.outage("500")
        failing = httpx.get(jwks, trust_env=False, timeout=DEADLINE).status_code
        stack.outage("off")

        assert (kids[::-1], kids[1:], 500) == (published, left, failing)
        assert 200 == httpx.get(jwks, trust_env=False, timeout=DEADLINE).status_code


def test_what_reaches_the_mcp_server_is_among_the_arrivals(stack):
    before = len(stack.arrivals())
    ask(stack.gateways["native"].ports.envoy, stack.token(), call())

    assert ["echo"] == [arrival.tool for arrival in stack.arrivals()[before:]]


def test_records_are_the_services_decisions_and_nothing_else_of_its_log(stack):
    gateway = stack.gateways["native"]
    log = stack.supervisor.log(gateway.service_name).read_text("utf-8")

    assert "serving" in [json.loads(line).get("event") for line in log.splitlines()]
    assert all("event" not in record for record in gateway.records())


def test_a_stack_that_cannot_start_ends_what_it_started(monkeypatch, capsys):
    def fail(_gateway):
        msg = "no Envoy today"
        raise RuntimeError(msg)

    monkeypatch.setattr(Gateway, "start", fail)
    stack = Stack(forms=("native",))
    with pytest.raises(RuntimeError, match="no Envoy today"):
        stack.__enter__()

    assert [False, False] == [stack.supervisor.running(name) for name in ("issuer", "mcp-server")]
    assert stack.supervisor.logs.name in capsys.readouterr().err
    _remove(stack)


def _remove(stack: Stack) -> None:
    """The logs of a failure are kept for a person to read; here nobody will."""
    for log in stack.supervisor.logs.iterdir():
        log.unlink()
    stack.supervisor.logs.rmdir()

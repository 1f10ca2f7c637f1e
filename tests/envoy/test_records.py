"""What is written down about decisions: one record each, the right figures, and nobody's secrets."""

import json
import re
import uuid

import pytest

from tests.support.running import EVERYTHING, another_gateway, metrics, recorded
from tests.support.waiting import eventually
from tests.support.wire import ask, call, exchange, message, request

pytestmark = pytest.mark.envoy

INTERFACE = (
    "mcp_authz_decisions_total",
    "mcp_authz_tool_decisions_total",
    "mcp_authz_check_seconds_bucket",
    "mcp_authz_list_items_total",
    "mcp_authz_rewrites_total",
    "mcp_authz_token_cache_total",
    "mcp_authz_jwks_keys",
    "mcp_authz_jwks_age_seconds",
    "mcp_authz_jwks_fetches_total",
    "mcp_authz_policy_info",
)


@pytest.fixture(scope="module")
def gateway(stack):
    """One of its own, so that only these tests are counted."""
    gateway = another_gateway(stack, "recorded")
    gateway.start()
    ask(
        gateway.ports.envoy, None, call()
    )  # so that the service need not knock, which would be one more record
    return gateway


@pytest.fixture
def port(gateway):
    return gateway.ports.envoy


def _delete(filename: str) -> bytes:
    return call("delete_file", filename=filename)


DECISIONS = {
    "an allowed call": ({}, call(), {}, "allow allowed"),
    "an allowed list": ({}, message("tools/list"), {}, "allow allowed"),
    "no rule": ({}, call("system_status"), {}, "deny no_rule"),
    "missing scope": ({}, call("list_files"), {}, "deny missing_scope"),
    "missing role": ({"scope": "files:delete"}, _delete("/inbox/a"), {}, "deny missing_role"),
    "arguments": (EVERYTHING, _delete("/etc/passwd"), {}, "deny args_not_allowed"),
    "no token": (None, call(), {}, "deny missing_token"),
    "expired": ({"ttl": -3600}, call(), {}, "deny expired_token"),
    "another audience": ({"audience": "https://other.example"}, call(), {}, "deny wrong_audience"),
    "another issuer": ({"claims": {"iss": "https://x.example/"}}, call(), {}, "deny unknown_issuer"),
    "header of another tool": ({}, call(), {"change": {"mcp-name": "x"}}, "deny header_mismatch"),
    "batch": ({}, call(), {"sent": b"[" + call()[1:]}, "deny bad_json"),
    "another host": ({}, call(), {"change": {"host": "evil.example"}}, "deny unknown_endpoint"),
    "another media type": ({}, call(), {"change": {"content-type": "text/plain"}}, "deny bad_content_type"),
    "unknown method": ({}, message("tools/destroy"), {}, "deny unknown_method"),
}


@pytest.mark.parametrize(("fields", "body", "change", "said"), DECISIONS.values(), ids=DECISIONS.keys())
def test_each_decision_has_one_record_whose_reason_the_client_was_told(
    stack, gateway, port, fields, body, change, said
):
    token = None if fields is None else stack.token(**fields)
    answers = []
    (record,) = recorded(stack, gateway, lambda: answers.append(ask(port, token, body, **change)))
    (answer,) = answers

    assert said == f"{record['decision']} {record['reason']}"
    assert said.removeprefix("deny ").removeprefix("allow allowed") == answer.reason
    if answer.reason:
        assert record["decision_id"] == answer.denial["decision_id"]
        assert answer.status == record["status"]


def _canary() -> str:
    return f"canary{uuid.uuid4().hex}"


@pytest.mark.requirement("security.nothing-secret-is-written")
def test_no_token_claim_argument_or_header_value_is_written_anywhere(stack):
    """In nothing that Envoy and the service write or publish, and in no denial."""
    gateway = another_gateway(stack, "discreet")
    gateway.start()
    port, secret = gateway.ports.envoy, _canary()
    claims = {"email": secret, "jti": secret, "nested": {"a": [secret]}, "permissions": [secret]}
    token = stack.token(scope=f"files:read {secret}", roles=["admin", secret], claims=claims)
    odd = [("x-secret", secret), ("cookie", f"a={secret}"), ("user-agent", secret)]
    where = {"start": f"POST /mcp?access_token={secret} HTTP/1.1", "more": odd}
    broken = call(message=secret).replace(b'"id": 1', b'"id": {}')
    cut = call(message=secret)
    answers = [
        ask(port, token, call(message=secret), **where),
        ask(port, token, _delete(f"/etc/{secret}"), **where),
        ask(port, token, message("tools/list"), **where),
        ask(port, token, broken, **where),
        ask(port, token, cut, sent=cut[:-1] + b"]", **where),
        ask(port, secret, call(message=secret), **where),
        ask(port, f"{secret}.{secret}.{secret}", call(message=secret), **where),
        ask(port, token + "a", call(message=secret), **where),
        ask(port, stack.token(ttl=-9999, claims=claims), call(), **where),
        ask(port, stack.token(claims={"iss": f"https://{secret}/"}), call(), **where),
        ask(port, stack.token(audience=secret), call(), **where),
        ask(port, stack.token(claims={"sub": {"a": secret}}), call(), **where),
        ask(port, token, call(), change={"origin": f"http://{secret}", "host": secret}),
        ask(port, token, call(), change={"mcp-session-id": secret, "mcp-method": secret}),
    ]
    published = json.dumps(metrics(gateway))
    assert eventually(lambda: len(gateway.records()) >= len(answers))
    for name in (gateway.envoy_name, gateway.service_name):
        stack.supervisor.stop(name)  # Envoy writes the rest of its log when it ends
    logs = [
        stack.supervisor.log(name).read_text("utf-8") for name in (gateway.envoy_name, gateway.service_name)
    ]
    parts = [secret, token, token.split(".")[1], token.split(".")[2]]

    # Of a refused token a record names issuer and audience as it claims them, and marks them as unverified.
    logs[1], claimed = re.subn(r'"unverified":\{[^{}]*\}', "", logs[1])
    assert claimed
    assert len(answers) == logs[0].count('"decision_id":"')
    assert secret in answers[0].body.decode()
    for written in (published, *logs, *(answer.body.decode() for answer in answers[1:])):
        assert [] == [part for part in parts if part in written]
    for answer in answers:
        assert secret not in json.dumps(answer.headers)


def test_the_metrics_of_the_interface_are_there(stack, gateway, port):
    ask(port, stack.token(), call())
    ask(port, stack.token(), message("tools/list"))
    eventually(lambda: any(name.startswith("mcp_authz_rewrites_total") for name in metrics(gateway)))
    names = {sample.partition("{")[0] for sample in metrics(gateway)}

    assert [] == [name for name in INTERFACE if name not in names]


def test_the_metrics_count_what_was_decided(stack, gateway, port):
    user, admin = stack.token(), stack.token(**EVERYTHING)
    before = metrics(gateway)
    for token, body in [
        (user, call()),
        (user, call()),
        (user, call("system_status")),
        (user, call("made-up")),
        (user, message("tools/list")),
        (admin, message("tools/list")),
        (None, call()),
    ]:
        ask(port, token, body)
    counted = {
        sample: value - before.get(sample, 0.0)
        for sample, value in metrics(gateway).items()
        if value != before.get(sample, 0.0)
    }

    assert {
        _sample(
            "decisions", server="demo", method="tools/call", rule="rule-1", decision="allow", reason="allowed"
        ): 2,
        _sample(
            "decisions", server="demo", method="tools/call", rule="", decision="deny", reason="no_rule"
        ): 1,
        _sample(
            "decisions",
            server="demo",
            method="tools/call",
            rule="status-for-admins",
            decision="deny",
            reason="no_rule",
        ): 1,
        _sample(
            "decisions", server="demo", method="tools/list", rule="", decision="allow", reason="allowed"
        ): 2,
        _sample("decisions", server="demo", method="", rule="", decision="deny", reason="missing_token"): 1,
        _sample("tool_decisions", server="demo", tool="echo", decision="allow"): 2,
        _sample("tool_decisions", server="demo", tool="system_status", decision="deny"): 1,
        _sample("tool_decisions", server="demo", tool="_other", decision="deny"): 1,
        _sample("list_items", server="demo", kind="tool", outcome="kept"): 2 + 5,
        _sample("list_items", server="demo", kind="tool", outcome="trimmed"): 3,
        _sample("rewrites", outcome="trimmed"): 1,
        _sample("rewrites", outcome="unchanged"): 1,
    } == {name: value for name, value in counted.items() if name.split("{")[0] in _COUNTED}
    assert 7 == counted['mcp_authz_check_seconds_count{server="demo"}']


_COUNTED = {f"mcp_authz_{name}_total" for name in ("decisions", "tool_decisions", "list_items", "rewrites")}


def _sample(name: str, **labels: str) -> str:
    written = ",".join(f'{label}="{labels[label]}"' for label in sorted(labels))
    return f"mcp_authz_{name}_total{{{written}}}"


def test_a_request_without_an_endpoint_is_counted_for_no_server(gateway, port):
    sample = _sample("decisions", server="", method="", rule="", decision="deny", reason="unknown_endpoint")
    before = metrics(gateway).get(sample, 0.0)
    exchange(port, request(port, None, call(), start="POST /other HTTP/1.1"))

    assert before + 1 == metrics(gateway)[sample]

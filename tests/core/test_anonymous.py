"""Callers without an acceptable token, where a document and the command line both say that they may go on."""

import pytest

from authz.config.load import LoadOptions, load
from authz.config.problems import ConfigError
from authz.core.identity.principal import TokenRejected
from authz.core.reasons import TABLE, Group, Reason
from tests.support.core import call, check, rule, server, snapshot

POLICY = """\
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {{name: p}}
spec:
  traffic:
    jwtAuthentication:
      mode: {mode}
      providers: [{{issuer: "https://issuer.example/", audiences: [a]}}]
  backend:
    mcp: {{authorization: {{action: Allow, policy: {{matchExpressions: ['mcp.tool.name == "echo"', 'jwt.scope == "s"']}}}}}}
"""
TOKEN_REASONS = {reason for reason, row in TABLE.items() if row.group is Group.TOKEN}


def refusing(reason, admitted):
    target = server(rule("allow", "echo"), anonymous=frozenset(admitted))
    return snapshot(target, identify=lambda *_: TokenRejected(reason=reason, detail="x"))


@pytest.mark.parametrize("reason", sorted({*TOKEN_REASONS, Reason.KEYS_UNAVAILABLE}))
def test_no_refusal_of_a_token_lets_a_caller_go_on_unless_the_server_admits_it(reason):
    assert reason is check(call("echo"), refusing(reason, ())).reason
    assert reason is check(call("echo"), refusing(reason, TOKEN_REASONS - {reason})).reason


def test_an_admitted_caller_is_nobody_and_gets_what_the_rules_give_to_nobody():
    context = refusing(Reason.MISSING_TOKEN, {Reason.MISSING_TOKEN})
    allowed, denied = check(call("echo"), context), check(call("delete_file"), context)

    assert (True, "", (), {}) == (
        allowed.allowed,
        allowed.principal.subject,
        allowed.principal.scopes,
        allowed.principal.claims,
    )
    assert Reason.NO_RULE is denied.reason


def written(tmp_path, mode):
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY.format(mode=mode), encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("mode", ["Optional", "Permissive"])
def test_a_mode_that_lets_anonymous_callers_in_is_refused_without_the_flag(tmp_path, mode):
    with pytest.raises(ConfigError, match="--allow-anonymous"):
        load(written(tmp_path, mode), environment={})


@pytest.mark.parametrize(
    ("mode", "admitted"),
    [("Strict", set()), ("Optional", {Reason.MISSING_TOKEN}), ("Permissive", TOKEN_REASONS)],
)
def test_with_the_flag_a_mode_admits_exactly_its_refusals_and_keys_that_are_missing_never(
    tmp_path, mode, admitted
):
    settings = load(written(tmp_path, mode), environment={}, options=LoadOptions(allow_anonymous=True))

    assert admitted == settings.directory.servers[0].anonymous
    assert Reason.KEYS_UNAVAILABLE not in settings.directory.servers[0].anonymous
    assert (mode != "Strict") == any("without a valid token" in str(each) for each in settings.warnings)


def test_an_unknown_mode_is_an_error_with_and_without_the_flag(tmp_path):
    for allow in (False, True):
        with pytest.raises(ConfigError, match="unknown mode"):
            load(written(tmp_path, "Lax"), environment={}, options=LoadOptions(allow_anonymous=allow))

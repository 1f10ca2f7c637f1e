"""Targets with more behind them: tokens, Envoy's Checks, expressions of CEL, policy files."""

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from envoy.service.auth.v3 import external_auth_pb2 as auth
from structlog.testing import capture_logs

from authz.config.cel.compile import compile_expression
from authz.config.cel.typecheck import ExpressionError
from authz.config.load import load
from authz.config.problems import ConfigError
from authz.config.settings import Settings
from authz.core.decision import Facts
from authz.core.identity.principal import Principal, TokenRejected
from authz.core.identity.token import bearer, verify
from authz.core.policy.expression import Expression, Truth
from authz.edge.envoy.denied_response import answer_denial
from authz.edge.envoy.ext_authz import Checker
from authz.edge.snapshots import Snapshots
from tests.fuzz.readers import member, readings
from tests.fuzz.seeds import of_tests
from tests.fuzz.target import Target
from tests.support import core, policy_files, tokens


@cache
def _signed() -> dict[str, bool]:
    """Return tokens that the issuer signed, and whether they are acceptable."""
    bad = ({"exp": 1}, {"aud": "x"}, {"iss": "x"}, {"nbf": 2**40}, {"exp": "x"})
    return {tokens.token(): True, **{tokens.token(tokens.claims(**changes)): False for changes in bad}}


def _token(data: bytes) -> None:
    token = bearer(data.decode("utf-8", "surrogateescape"))
    if isinstance(token, TokenRejected):
        return
    found = verify(token, {tokens.ISSUER: (tokens.trust(), tokens.good_keys())}, tokens.NOW)
    assert isinstance(found, Principal | TokenRejected)
    assert isinstance(found, Principal) == _signed().get(token, False)


def _token_seeds() -> list[bytes]:
    headers: tuple[dict[str, Any], ...] = (
        {"alg": "none"},
        {"alg": "HS256"},
        {"kid": 5},
        {"jwk": {}},
        {"crit": ["b64"]},
    )
    sent = [*_signed(), *(tokens.token(**header) for header in headers)]
    tested = of_tests("tests.core.identity.test_jws", "tests.core.identity.test_token")
    return [*(f"Bearer {token}".encode() for token in sent), *tested]


ALLOWED = "echo"


@cache
def _checker() -> Checker:
    """Return a handler of Checks that knows one token, whatever the time is, and allows one tool."""
    known = core.identify(core.server(), f"Bearer {core.good_token()}")

    def identify(_server: Any, authorization: str | None) -> Any:
        good = authorization == f"Bearer {core.good_token()}"
        return known if good else core.identify(core.server(), authorization)

    return Checker(
        Snapshots(
            core.snapshot(core.server(core.rule("allow", ALLOWED)), identify=identify, check_seconds=1e9)
        ),
        find_key=lambda _rejected, _began: None,
        deny=answer_denial,
        write=lambda _decision, facts, _seconds: _recorded(facts),
        count=lambda _decision, _seconds: None,
        time_stages=lambda: lambda _stage: None,
    )


def _recorded(facts: Facts) -> None:
    assert facts.decision_id


_NO_CALL: Any = None
_UNREADABLE = {"DecodeError", "UnicodeDecodeError"}
"""Why a message may be denied by the broad `except`: it is no CheckRequest at all."""


def _check(data: bytes) -> None:
    try:
        with capture_logs() as log:
            _checker().check(data, _NO_CALL).send(
                None
            )  # nothing of the call is used: no key is ever searched for
    except StopIteration as answered:
        response = auth.CheckResponse.FromString(answered.value)
    else:
        msg = "a Check waited"
        raise AssertionError(msg)
    assert {entry["error"] for entry in log} <= _UNREADABLE
    assert response.WhichOneof("http_response") == (
        "denied_response" if response.status.code else "ok_response"
    )
    if response.status.code == 0:
        _allowed(auth.CheckRequest.FromString(data))


def _allowed(request: Any) -> None:
    """Raise AssertionError unless the token is good and every reader of the body finds in it what is allowed."""
    http = request.attributes.request.http
    assert http.method in {"GET", "POST", "DELETE"}
    for value in readings(http.raw_body) if http.method == "POST" else ():
        if member(value, "method") == "tools/call":
            assert member(value, "params", "name") == ALLOWED


def _check_seeds() -> list[bytes]:
    bodies = [
        core.message("tools/call", {"name": "echo", "arguments": {"a": 1}}),
        core.message("tools/call", {"name": "other"}),
        core.message("tools/list"),
        core.message("ping"),
        core.modern("tools/call", {"name": "echo"}),
    ]
    seeds = []
    for body in bodies:
        for listed in (False, True):
            message = auth.CheckRequest()
            http = message.attributes.request.http
            http.method, http.scheme, http.host, http.path = "POST", "https", "mcp.example", "/mcp"
            http.raw_body = json.dumps(body).encode()
            headers = {"authorization": f"Bearer {core.good_token()}", "content-type": "application/json"}
            headers |= core.mirrored("tools/call", "echo") if "_meta" in str(body) else {}
            for name, value in headers.items():
                if listed:
                    http.header_map.headers.add(key=name, raw_value=value.encode())
                else:
                    http.headers[name] = value
            seeds.append(message.SerializeToString())
    return seeds


_CEL_CHARS = 400


def _compiled(text: str) -> Expression | ExpressionError:
    try:
        return compile_expression(text)
    except ExpressionError as error:
        return error


def _cel(data: bytes) -> None:
    text = data.decode("utf-8", "replace")[:_CEL_CHARS]
    expression = _compiled(text)
    if isinstance(expression, ExpressionError):
        assert expression.line >= 1
        assert expression.column >= 1
        return
    context = core.context(core.principal("s", roles=("r",), level=3), {"path": "/a", "n": 1}, x="y")
    assert context.truth(expression, core.tool("echo")) in set(Truth)


def _cel_seeds() -> list[bytes]:
    modules = (
        "config.cel.test_compile",
        "config.cel.test_typecheck",
        "core.policy.test_context",
        "core.policy.test_expression",
    )
    return [seed for seed in of_tests(*(f"tests.{module}" for module in modules)) if len(seed) <= _CEL_CHARS]


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="mcp-authz-fuzz")


def _loaded(file: Path) -> Settings | ConfigError:
    try:
        return load(str(file), environment={"X": "x"})
    except ConfigError as error:
        return error


def _policy(data: bytes) -> None:
    file = Path(_folder().name, "policy.yaml")
    file.write_bytes(data)
    loaded = _loaded(file)
    if isinstance(loaded, ConfigError):
        assert loaded.problems
        assert all(problem.message for problem in loaded.problems)
    else:
        assert loaded.directory.servers


def _policy_seeds() -> list[bytes]:
    modules = (
        "test_load",
        "test_yaml_document",
        "native.test_rules",
        "native.test_build",
        "agentgateway.test_policy",
    )
    forms = (policy_files.NATIVE, policy_files.POLICY)
    return [*(form.encode() for form in forms), *of_tests(*(f"tests.config.{module}" for module in modules))]


TARGETS = {
    "token": Target(
        invariant="a header is refused, or holds to the letter a token that the issuer signed and that is acceptable",
        seeds=_token_seeds,
        check=_token,
    ),
    "check": Target(
        invariant="any bytes are answered with a CheckResponse, and an allow is about the one tool that is allowed",
        seeds=_check_seeds,
        check=_check,
    ),
    "cel": Target(
        invariant="a text is refused with its place, or has a truth value for every call; nothing is raised",
        seeds=_cel_seeds,
        check=_cel,
    ),
    "policy": Target(
        invariant="a file is loaded or refused with ConfigError, whose every problem says what is wrong",
        seeds=_policy_seeds,
        check=_policy,
    ),
}

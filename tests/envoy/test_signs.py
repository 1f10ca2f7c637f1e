"""What somebody takes out of a running Envoy is told by log, metric, console, stats and /readyz, with its cure.

Envoy is started again for each change, and a rewriter that has come before is missed only after two seconds: these tests take their time.
"""

import html
import json
import threading

import httpx
import pytest
import yaml

from tests.support.commands import command
from tests.support.running import EVERYTHING, TOOLS, another_gateway, metrics
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import LEGACY_HEADERS, ask, call, legacy, message

pytestmark = pytest.mark.envoy

LIST = message("tools/list")
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


@pytest.fixture(scope="module")
def gateway(stack):
    """A gateway of its own, whose service looks at its Envoy eight times a second."""
    gateway = another_gateway(stack, "signs", edit=lambda text: text + "limits: {quiet_seconds: 1}\n")
    stack.supervisor.start(gateway.service())
    return gateway


@pytest.fixture
def envoy(stack, gateway):
    """A function that starts Envoy anew, with a change of its connection manager."""

    def start(change=lambda _manager: None):
        child = gateway.envoy()
        file = stack.supervisor.logs / f"{gateway.name}.yaml"
        tree = yaml.safe_load(file.read_text())
        change(tree["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"])
        file.write_text(yaml.safe_dump(tree))
        stack.supervisor.stop(gateway.envoy_name)
        stack.supervisor.start(child)

    yield start
    stack.supervisor.stop(gateway.envoy_name)


def filters(manager):
    return {each["name"]: each for each in manager["http_filters"]}


def without_the_rewriter(manager):
    manager["http_filters"] = [
        each for each in manager["http_filters"] if each["name"] not in {"mcp-unjudged", "mcp-rewrite"}
    ]


def only_without_the_rewriter(manager):
    """Leave the filter that refuses what was not judged."""
    manager["http_filters"] = [each for each in manager["http_filters"] if each["name"] != "mcp-rewrite"]


def without_raw_bytes(manager):
    del filters(manager)["envoy.filters.http.ext_authz"]["typed_config"]["with_request_body"]["pack_as_bytes"]


def without_bodies(manager):
    del filters(manager)["envoy.filters.http.ext_authz"]["typed_config"]["with_request_body"]


def with_jwt_authn(issuer, keys):
    """Put a jwt_authn in front that verifies tokens and, as is its default, does not forward them."""

    def change(manager):
        manager["http_filters"].insert(
            0,
            {
                "name": "envoy.filters.http.jwt_authn",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
                    "providers": {"own": {"issuer": issuer, "local_jwks": {"inline_string": keys}}},
                    "rules": [{"match": {"prefix": "/mcp"}, "requires": {"provider_name": "own"}}],
                },
            },
        )

    return change


def disabled_on_the_route(manager):
    for host in manager["route_config"]["virtual_hosts"]:
        for route in host["routes"]:
            if route["name"].startswith("mcp-"):
                route["typed_per_filter_config"]["envoy.filters.http.ext_authz"] = {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
                    "disabled": True,
                }


def problems(gateway):
    answer = httpx.get(f"{gateway.http}/readyz", trust_env=False, timeout=DEADLINE)
    assert 200 == answer.status_code
    return {each["name"]: each for each in answer.json()["envoy"]}


def told(stack, gateway, name):
    """Return the problem once every place tells it."""
    assert eventually(lambda: name in problems(gateway)), problems(gateway)
    found = problems(gateway)[name]
    console = httpx.get(gateway.http, trust_env=False, timeout=DEADLINE).text
    stats = command("stats", "--url", gateway.http).out
    log = stack.supervisor.log(gateway.service_name).read_text()
    assert 1.0 == metrics(gateway)[f'mcp_authz_envoy_problem{{problem="{name}"}}']
    assert '<h2 id="worries" class="bad">What worries me</h2>' in console
    assert (html.escape(found["cure"].split(".")[0]) in console, name in stats) == (True, True)
    assert f'"problem": "{name}"' in log
    return found


def names_none(answers):
    return not any(tool.encode() in answer.body for answer in answers for tool in TOOLS)


@pytest.mark.requirement("security.no-list-without-rewriter")
def test_without_the_rewriter_no_list_passes_from_the_first_request_on_until_it_is_there(
    stack, gateway, envoy
):
    port, token, everything = gateway.ports.envoy, stack.token(), stack.token(**EVERYTHING)
    envoy(without_the_rewriter)
    start = legacy("initialize", INITIALIZE)
    refused = []
    for each in (token, everything, token):  # what a client does before it lists brings no rewriter
        assert (401, 200) == (
            ask(port, None, LIST).status,
            ask(port, each, start, change=LEGACY_HEADERS).status,
        )
        refused += [ask(port, each, LIST) for _ in range(2)]
    assert {503} == {answer.status for answer in refused}
    assert names_none(refused)
    error = json.loads(refused[0].body)["error"]
    assert (50300, "rewriter_missing") == (error["code"], error["data"]["reason"])
    assert "1" == refused[0].headers["retry-after"]
    assert 200 == ask(port, token, call()).status
    found = told(stack, gateway, "rewriter_missing")
    assert [f"127.0.0.1:{port}"] == found["where"]
    assert "put the filter mcp-rewrite behind ext_authz again" in found["cure"]

    envoy()
    assert eventually(lambda: 200 == ask(port, everything, LIST).status)
    assert eventually(lambda: not problems(gateway))


@pytest.mark.requirement("security.no-list-without-rewriter")
def test_no_answer_passes_from_the_moment_on_at_which_it_is_taken_out_of_a_running_envoy(
    stack, gateway, envoy
):
    port, token = gateway.ports.envoy, stack.token()
    envoy()
    assert eventually(lambda: 200 == ask(port, token, LIST).status)
    envoy(only_without_the_rewriter)
    answers = [ask(port, token, LIST) for _ in range(3)]

    assert [503, 503, 503] == [each.status for each in answers]
    assert names_none(answers)
    assert "the answer could not be checked" in json.loads(answers[0].body)["error"]["message"]
    assert 200 == ask(port, token, call()).status
    assert [f"127.0.0.1:{port}"] == told(stack, gateway, "rewriter_missing")["where"]
    envoy()
    assert eventually(lambda: 200 == ask(port, token, LIST).status)
    assert eventually(lambda: not problems(gateway))


@pytest.mark.requirement("security.no-list-without-rewriter")
def test_after_it_was_taken_out_of_a_running_envoy_nobody_gets_a_list_two_seconds_after_the_first(
    stack, gateway, envoy
):
    port, callers = gateway.ports.envoy, [stack.token(sub=name) for name in ("ann", "ben", "eve")]
    envoy()
    assert eventually(lambda: [200, 200] == [ask(port, each, LIST).status for each in callers[:2]])
    envoy(without_the_rewriter)
    ask(port, callers[0], LIST)

    assert eventually(lambda: 503 == ask(port, callers[0], LIST).status)
    later = [ask(port, each, LIST) for each in callers]
    assert {503} == {answer.status for answer in later}
    assert names_none(later)
    envoy()
    for each in callers:
        ask(port, each, LIST)
    assert {200} == {ask(port, each, LIST).status for each in callers}
    assert eventually(lambda: not problems(gateway))


@pytest.mark.parametrize(
    ("change", "name", "cure"),
    [
        (without_raw_bytes, "body_not_raw", "pack_as_bytes: true"),
        (without_bodies, "body_absent", "with_request_body"),
    ],
)
def test_bodies_that_are_not_handed_over_are_refused_and_told(stack, gateway, envoy, change, name, cure):
    envoy(change)

    assert 400 == ask(gateway.ports.envoy, stack.token(), call()).status
    assert cure in told(stack, gateway, name)["cure"]


def test_tokens_that_a_filter_takes_away_are_missed(stack, gateway, envoy):
    issuer = stack.issuer
    found = httpx.get(f"{issuer.rstrip('/')}/.well-known/jwks.json", trust_env=False, timeout=DEADLINE)
    envoy(with_jwt_authn(issuer, found.text))
    statuses = {ask(gateway.ports.envoy, stack.token(), call()).status for _ in range(20)}

    assert {401} == statuses
    assert "set forward: true on jwt_authn" in told(stack, gateway, "no_tokens")["cure"]
    envoy()
    assert 200 == ask(gateway.ports.envoy, stack.token(), call()).status
    assert eventually(lambda: "no_tokens" not in problems(gateway))


def test_a_route_on_which_nobody_asks_any_more_is_missed_after_steady_traffic(stack, gateway, envoy):
    port, token, pace = gateway.ports.envoy, stack.token(), threading.Event()
    envoy()
    for _ in range(110):
        ask(port, token, call())
        pace.wait(0.03)
    envoy(disabled_on_the_route)

    assert 200 == ask(port, None, call()).status
    assert "not disabled on the route" in told(stack, gateway, "no_checks")["cure"]


def test_the_version_of_envoy_is_shown(stack, gateway, envoy):
    envoy()
    ask(gateway.ports.envoy, stack.token(), LIST)

    assert any(name.startswith('mcp_authz_envoy_info{version="1.') for name in metrics(gateway))
    assert "Envoy's version" in command("stats", "--url", gateway.http).out

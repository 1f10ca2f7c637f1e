"""Holes on a real Envoy: with the hole the request gets through, the doctor finds it, and the corrected file refuses.

What must get through is tried until it does: on a busy machine a Check can be late, and a late one is a no.

Service, issuer and MCP server are those of the demo; only Envoy is started anew for each configuration.
"""

import contextlib
import copy
import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from authz.demo.ports import free_port
from authz.doctor.diagnosis import diagnose
from authz.doctor.fix import fix
from authz.doctor.source import read_text
from tests.support.holes import AUTHZ, LUA, NAMED, Tree
from tests.support.real_envoy import running_envoy
from tests.support.running import another_gateway, shared_stack
from tests.support.tokens import A_DAY
from tests.support.waiting import eventually
from tests.support.wire import ask, call, message
from tests.support.yaml_text import read_yaml, write_yaml

pytestmark = pytest.mark.envoy

ORIGIN = "http://localhost:6274"
LIST = message("tools/list")
CALL = call("echo", message="CANARY-42")
HIDDEN = "system_status"
"""A tool that the user of these tests may neither call nor see."""


@dataclass(frozen=True)
class Stage:
    """The running parts, and Envoy's configuration in front of them."""

    base: dict[str, Any]
    host: str
    user: str
    admin: str


@pytest.fixture(scope="module")
def stage(pytestconfig):
    stack = shared_stack(pytestconfig)
    # So that the service does not stand in the way of what gets through where nobody trims lists.
    terms = f"origins: [{ORIGIN}]\n    rewriter: optional"
    gateway = another_gateway(stack, "doctor", edit=lambda text: text.replace('origins: ["*"]', terms))
    stack.supervisor.start(gateway.service())
    assert gateway.envoy().argv
    base = read_yaml((stack.supervisor.logs / "doctor.yaml").read_text("utf-8"))
    del base["admin"]
    return Stage(
        base=base,
        host=f"localhost:{gateway.ports.envoy}",
        user=stack.token(ttl=A_DAY),
        admin=stack.token(scope="files:read files:delete", roles=["admin"], ttl=A_DAY),
    )


def without_a_token(stage, port):
    """Whether a call without a token is answered by the server."""
    return b"CANARY-42" in asked(stage, port, None, CALL).body


def skipping(stage, port):
    return b"CANARY-42" in asked(stage, port, None, CALL, more=[("x-skip", "1")]).body


def elsewhere(stage, port):
    return b"CANARY-42" in asked(stage, port, None, CALL, start="POST /debug/mcp HTTP/1.1").body


def in_the_list(stage, port):
    """Whether a hidden tool stands in the user's list."""
    return HIDDEN.encode() in asked(stage, port, stage.user, LIST).body


def in_the_list_with_a_header(stage, port):
    return HIDDEN.encode() in asked(stage, port, stage.user, LIST, more=[("x-list", "no")]).body


def from_an_evil_page(stage, port):
    """Whether a call of another site's page reaches the server (which refuses it, too, but for its own reasons)."""
    answer = asked(stage, port, stage.admin, CALL, more=[("origin", "https://evil.example")])
    return b"bad_origin" not in answer.body


def by_another_tools_name(stage, port):
    """Whether a call of echo, which the user may call, gives what the hidden tool says."""
    answer = asked(stage, port, stage.user, CALL)
    return (
        answer.status == 200
        and b'"result"' in answer.body
        and not answer.reason
        and b"CANARY-42" not in answer.body
    )


def as_a_success(stage, port):
    return asked(stage, port, stage.user, CALL).status // 100 == 2


def without_a_token_as_a_success(stage, port):
    return asked(stage, port, None, CALL).status == 200


def another_answer_than_the_services(stage, port):
    """Whether a call without a token is answered without the service's words."""
    answer = asked(stage, port, None, CALL)
    return answer.status != 401 or b"missing_token" not in answer.body


def asked(stage, port, token, body, **changes):
    return ask(port, token, body, change={"host": stage.host}, **changes)


@dataclass(frozen=True)
class Case:
    """A hole, what else is different, the way through it, and the port that is used."""

    hole: str
    through: Any
    also: list[Any] = field(default_factory=list)


def nobody_at(name):
    """Let a cluster lead to a socket at which nobody listens."""

    def change(tree):
        (locality,) = tree.cluster(name)["load_assignment"]["endpoints"]
        (endpoint,) = locality["lb_endpoints"]
        endpoint["endpoint"]["address"]["pipe"]["path"] += ".nobody"
        tree.cluster(name).pop("health_checks", None) if name == "rewriter" else None

    return change


def nothing_waits(tree):
    """Take out what refuses answers that the rewriter has not judged, so that they get through."""
    del tree.filters[tree.place("mcp-unjudged")]


def none_of_them(tree):
    tree.authz["filter_enabled"]["default_value"]["numerator"] = 0


def led_to_the_servers_path(tree):
    tree.route("debug")["route"]["prefix_rewrite"] = "/mcp"


def origin_hidden(tree):
    tree.authz["disallowed_headers"] = {"patterns": [{"exact": "origin"}]}


def another_tool_put_in(tree):
    body = call(HIDDEN).decode().replace('"message": "hi"', "").replace("\\", "\\\\").replace("'", "\\'")
    code = (
        "function envoy_on_request(h)\n"
        "  if h:body() then\n"
        f"    h:headers():replace('content-length', tostring(h:body():setBytes('{body}')))\n"
        f"    h:headers():replace('mcp-name', '{HIDDEN}')\n"
        "  end\nend\n"
    )
    lua = next(each for each in tree.filters if each["name"] == LUA["name"])
    lua["typed_config"]["default_source_code"]["inline_string"] = code


CASES = [
    Case("authz failure mode allow true", without_a_token, [nobody_at("authz")]),
    Case("authz status on error other", as_a_success, [nobody_at("authz")]),
    Case("authz shadow mode true", without_a_token),
    Case("the authz filter is disabled", without_a_token),
    Case("a header decides whether requests are judged", skipping),
    Case("authz filter enabled other", without_a_token, [none_of_them]),
    Case("authz filter enabled metadata other", without_a_token),
    Case("authz disallowed headers other", from_an_evil_page, [origin_hidden]),
    Case("the servers route is not judged", without_a_token),
    Case("another path to the server is not judged", elsewhere, [led_to_the_servers_path]),
    Case("a whole virtual host is not judged", without_a_token),
    Case("a second listener leads to the same server", without_a_token),
    Case("a lua filter comes after ext authz", by_another_tools_name, [another_tool_put_in]),
    Case("nothing trims lists", in_the_list, [nothing_waits]),
    Case(
        "the rewriter fails open and takes bodies in another mode",
        in_the_list,
        [nobody_at("rewriter"), nothing_waits],
    ),
    Case("proc observability mode true", in_the_list, [nothing_waits]),
    Case("a header decides whether lists are trimmed", in_the_list, [nothing_waits]),
    Case("a route chosen by header enables the rewriter", in_the_list, [nothing_waits]),
    Case("the rewriter asks for another key", in_the_list, [nothing_waits]),
    Case("the rewriter runs where the flag is false", in_the_list, [nothing_waits]),
    Case("a route takes the rewriter away", in_the_list, [nothing_waits]),
    Case("a route switches the rewriter off", in_the_list, [nothing_waits]),
    Case("the rewriter stands before ext authz", in_the_list, [nothing_waits]),
    Case("a filter writes into the metadata of ext authz", in_the_list_with_a_header),
]


def planted(stage, case):
    tree = Tree(NAMED[case.hole].tree(stage.base))
    for change in case.also:
        change(tree)
    for listener in tree.resources["listeners"]:
        listener["address"]["socket_address"]["port_value"] = free_port()
    return tree.root


def ours_alone(stage):
    root = copy.deepcopy(stage.base)
    root["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] = free_port()
    return root


UNJUDGED = [
    ("nothing catches other paths", "GET /nowhere HTTP/1.1", None),
    ("nothing catches other hosts", "GET /mcp HTTP/1.1", "other.example.com"),
]


@pytest.mark.parametrize(("hole", "start", "host"), UNJUDGED, ids=[row[0] for row in UNJUDGED])
def test_a_request_without_a_route_is_not_judged_and_one_for_the_last_route_is(
    stage, hole, start, host, tmp_path
):
    root = planted(stage, Case(hole, None))
    mended = fix(read_text(write_yaml(root), "envoy.yaml"))[1].source.tree
    decisions = []
    for name, tree in (("broken", root), ("mended", mended)):
        with serving(tree, tmp_path / name) as port:
            ask(port, None, b"", start=start, change={"host": host or stage.host})
        (line,) = (tmp_path / name / "access.log").read_text("utf-8").splitlines()
        decisions.append(json.loads(line).get("decision"))

    assert [None, "deny"] == decisions


@contextlib.contextmanager
def serving(root, directory):
    """Run Envoy on a tree; gives the port of its last listener."""
    directory.mkdir()
    port = root["static_resources"]["listeners"][-1]["address"]["socket_address"]["port_value"]
    with running_envoy(write_yaml(root), port, directory):
        yield port


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.hole)
def test_what_gets_through_a_hole_no_longer_does_once_it_is_closed(stage, case, tmp_path):
    root = planted(stage, case)
    broken = read_text(write_yaml(root), "envoy.yaml")
    found = {finding.check.id for finding in diagnose(broken).findings}
    mended = read_yaml(fix(broken)[1].source.text)

    with serving(root, tmp_path / "broken") as port:
        assert eventually(lambda: case.through(stage, port))
    assert {*NAMED[case.hole].finds, *(["unjudged-passes"] if nothing_waits in case.also else [])} == found
    with serving(mended, tmp_path / "mended") as port:
        assert not case.through(stage, port)


@pytest.mark.requirement("security.no-list-without-rewriter")
@pytest.mark.parametrize(
    "case", [each for each in CASES if nothing_waits in each.also], ids=lambda case: case.hole
)
def test_envoy_refuses_a_list_itself_that_would_get_through_a_hole_of_the_rewriter(stage, case, tmp_path):
    root = planted(stage, replace(case, also=[each for each in case.also if each is not nothing_waits]))

    with serving(root, tmp_path / "ours") as port:
        assert eventually(lambda: 503 == asked(stage, port, stage.user, LIST).status)
        assert not case.through(stage, port)
        assert eventually(lambda: b"CANARY-42" in asked(stage, port, stage.user, CALL).body)


REPLACED = [
    ("a mapper makes denials look well", without_a_token_as_a_success),
    ("a mapper hides what was denied", another_answer_than_the_services),
    ("pages take the place of denials", another_answer_than_the_services),
]


@pytest.mark.parametrize(("hole", "replaced"), REPLACED, ids=[row[0] for row in REPLACED])
def test_a_denial_that_the_doctor_says_is_replaced_does_not_reach_the_client(stage, hole, replaced, tmp_path):
    root = planted(stage, Case(hole, None))
    found = {finding.check.id for finding in diagnose(read_text(write_yaml(root), "envoy.yaml")).findings}
    with serving(root, tmp_path / "broken") as port:
        assert replaced(stage, port)
    assert set(NAMED[hole].finds) == found
    with serving(ours_alone(stage), tmp_path / "mended") as port:
        assert not replaced(stage, port)


def test_through_a_closed_configuration_of_ours_nothing_of_this_gets(stage, tmp_path):
    with serving(ours_alone(stage), tmp_path / "ours") as port:
        assert [] == [
            case.hole for case in CASES if case.through != as_a_success and case.through(stage, port)
        ]
        good = [("origin", ORIGIN)]
        assert eventually(lambda: b"CANARY-42" in asked(stage, port, stage.user, CALL, more=good).body)
        assert eventually(lambda: b"echo" in asked(stage, port, stage.user, LIST).body)


@pytest.mark.parametrize(
    ("written", "passes"),
    [
        ("failure_mode_allow: false\n{0}failure_mode_allow: true", True),
        ("failure_mode_allow: true\n{0}failure_mode_allow: false", False),
    ],
)
def test_of_two_equal_keys_envoy_and_the_doctor_take_the_last(stage, written, passes, tmp_path):
    tree = Tree(copy.deepcopy(stage.base))
    nobody_at("authz")(tree)
    port = tree.resources["listeners"][0]["address"]["socket_address"]["port_value"] = free_port()
    before, _, after = write_yaml(tree.root).partition("failure_mode_allow: false")
    pad = " " * (len(before) - before.rindex("\n") - 1)
    text = before + written.format(pad) + after
    found = {finding.check.id for finding in diagnose(read_text(text, "envoy.yaml")).findings}

    with running_envoy(text, port, tmp_path):
        assert passes is bool(
            eventually(lambda: without_a_token(stage, port)) if passes else without_a_token(stage, port)
        )
    assert {"key-repeated", *(["authz-fail-open"] if passes else [])} == found
    assert AUTHZ in text

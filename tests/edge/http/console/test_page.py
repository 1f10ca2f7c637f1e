"""The console, over HTTP and as a page: what it shows, and what it must not."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from authz.core.decision import Decision
from authz.core.reasons import Reason
from authz.edge.http.console.activity import Activity
from authz.edge.http.console.page import Seen, headers, page
from authz.edge.http.console.samples import samples_of
from authz.edge.http.console.summary import summarize
from authz.edge.http.memory import Denial, Why, WorkerMemory
from authz.edge.http.status import WorkerStatus
from authz.edge.jwks.problem import KeyProblem
from authz.edge.telemetry.metrics import Metrics
from tests.support.policy_files import NATIVE, settings
from tests.support.serving import Served, ask
from tests.support.waiting import eventually

EVIL = "<script>alert(1)</script>\"'&"


def status(**changes):
    given = {
        "ready": True,
        "draining": False,
        "policy": "a",
        "issuers_without_keys": [],
        "reload_problem": "",
    }
    return WorkerStatus(**given | changes)


def shown(found=None, text=NATIVE, memory=None, activity=None, asked=None, **changes):
    seen = Seen(
        settings=settings(text),
        status=status(**changes),
        summary=summarize(samples_of((found or Metrics()).registry.collect())),
        memory=memory or WorkerMemory(),
        activity=activity or Activity(),
        problems=[],
    )
    return page(seen, asked or {})


class Tags(HTMLParser):
    """Notes elements, and attributes that could load or run something."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.risky, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.risky += [name for name, _ in attrs if name in {"src", "style"} or name.startswith("on")]
        self.risky += [to for name, to in attrs if name in {"href", "action"} and not to.startswith("?")]
        if tag not in {"meta", "br", "input"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag == self.open.pop()


def test_the_page_is_whole_and_loads_and_runs_nothing():
    tags = Tags(shown())

    assert [] == tags.open
    assert [] == tags.risky
    assert {"script", "form", "input", "img", "link", "iframe"} & set(tags.tags) == set()


def test_what_keeps_tokens_from_being_judged_stands_first_with_url_cause_and_cure():
    problem = KeyProblem(issuer="https://i/", url="https://i/jwks", cause="status 404")
    text = shown(key_problems=[problem])

    assert "issuer https://i/: status 404; https://i/jwks<br>" in text
    assert "Cure: restore the route to the issuer" in text
    assert text.index("https://i/jwks") < text.index("Decisions")
    assert "Nothing: all is well." in shown()


def test_every_value_is_escaped():
    metrics = Metrics()
    metrics.policy(EVIL, {})
    metrics.decided(Decision(reason=Reason.NO_RULE, server=EVIL, rule=EVIL, shadows=(EVIL,)), 0.1)
    metrics.fetched(EVIL, "ok")
    denial = Denial(
        time=EVIL,
        decision_id=EVIL,
        reason=EVIL,
        rule=EVIL,
        server=EVIL,
        method=EVIL,
        name=EVIL,
        sub=EVIL,
        client=EVIL,
    )
    why = Why(denial=denial, text=EVIL, now=EVIL, rules=[(EVIL,) * 8], changes=[EVIL], lists=[(EVIL,) * 5])
    memory = WorkerMemory(denials=[denial], changed=[(EVIL, "tools", EVIL)], why=why)
    text = shown(
        metrics,
        reload_problem=EVIL,
        issuers_without_keys=[EVIL],
        ready=False,
        memory=memory,
        asked={"why": EVIL, "refresh": EVIL},
    )
    text += shown(asked={"view": "who", "server": EVIL, "claims": EVIL, "persona": EVIL})

    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;" in text
    assert [] == Tags(text).risky


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "ready"),
        (
            {"reload_problem": "SECRET in line 3"},
            "ready, by the last good policy: the file cannot be used now",
        ),
        ({"ready": False, "draining": True}, "ending"),
        ({"ready": False, "issuers_without_keys": ["https://i/"]}, "not ready: no keys of https://i/"),
        ({"ready": False}, "not ready"),
    ],
)
def test_the_state_is_said_in_words(changes, expected):
    text = shown(**changes)

    assert expected == re.search(r'<span class="state \w+">([^<]*)</span>', text)[1]
    assert "SECRET" not in text


def test_servers_are_named_with_what_their_author_made_public():
    text = shown(text=NATIVE + "    upstream: http://10.0.0.1:8080/mcp\n")

    assert "<td>files</td><td>https://mcp.example/mcp</td><td>https://issuer.example/</td><td>1</td>" in text
    assert "10.0.0.1" not in text


def test_the_style_is_the_one_that_its_policy_allows():
    style = re.search(r"<style>(.*?)</style>", shown(), re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = headers({})["content-security-policy"]

    assert f"style-src 'sha256-{digest}'" in policy
    assert {"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(
        policy.split("; ")
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [({}, True), ({"why": "1"}, True), ({"refresh": "off"}, False), ({"view": "who"}, False)],
)
def test_the_page_refreshes_itself_unless_that_would_disturb(asked, expected):
    assert expected == ("refresh" in headers(asked))


PERSONA = (
    NATIVE
    + """\
      - allow: {tools: [purge]}
        name: purgers
        scopes: [files:delete]
tests:
  personas:
    admin: {sub: ann, scope: files:delete}
"""
)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"persona": "admin"}, "<td>purge</td><td>yes</td><td>allowed</td><td>purgers</td>"),
        ({"claims": '{"sub": "bob"}'}, "<td>purge</td><td>no</td><td>missing_scope</td><td>purgers</td>"),
        ({"claims": "[]"}, "not a JSON object"),
        ({"claims": "[" * 9000}, "not a JSON object"),
        ({"claims": " " * 20_000}, "longer than 16,384 characters"),
        ({"claims": '{"iss": "https://other.example/"}'}, "a token with these claims is refused"),
    ],
)
def test_who_sees_what_is_answered_for_a_persona_and_for_claims(asked, expected):
    assert expected in shown(text=PERSONA, asked={"view": "who", "server": "files", **asked})


def test_a_rule_is_shown_with_what_it_decided_and_when():
    metrics, now = Metrics(), [1000.0]
    activity = Activity(lambda: now[0])
    metrics.decided(Decision(reason=Reason.MISSING_SCOPE, server="files", rule="purgers"), 0.1)
    activity.note(samples_of(metrics.registry.collect()))
    now[0] = 1012.0
    text = shown(metrics, text=PERSONA, activity=activity)

    assert "<td>files</td><td>purgers</td><td>allow</td><td>1</td><td>12 s ago</td>" in text
    assert re.search(r"<td>allow-echo|<td>allow</td><td>0</td><td>never</td>", text)


def test_a_denial_leads_to_why_it_came_even_once_it_is_forgotten():
    denial = Denial(
        time="2026-12-01T00:00:00.000Z", decision_id="d-1", reason="no_rule", sub="ann", name="purge"
    )
    text = shown(memory=WorkerMemory(denials=[denial]), asked={"refresh": "off"})

    assert '<a href="?why=d-1&amp;refresh=off">why d-1</a>' in text
    assert "The denial d-2 is not kept any more" in shown(asked={"why": "d-2"})


def test_why_a_token_was_refused_is_said_in_the_fixed_sentence_of_the_record():
    denial = Denial(time="t", decision_id="d-1", reason="bad_claims", detail="aud is missing")
    memory = WorkerMemory(denials=[denial], why=Why(denial=denial, text="the claims are not acceptable"))

    assert "<p>The token was refused: aud is missing.</p>" in shown(memory=memory, asked={"why": "d-1"})


def test_workers_answer_over_http_with_their_denials_and_why(tmp_path):
    with Served(tmp_path, "--grace", "0") as service:
        ask(service.grpc, connections=8)
        assert eventually(lambda: 8 == service.get("/").text.count("why "))
        answer = service.get("/")
        found = re.search(r"\?why=([^&\"]+)", answer.text)[1]
        why = service.get(f"/?why={found}")
        posted = service.post("/")

    assert (200, "text/html; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
    assert {name: answer.headers[name] for name in headers({})} == headers({})
    assert "<td>missing_token</td><td>-</td><td>8</td>" in answer.text
    assert "2 of 2 up" in answer.text
    assert "a bearer token is required. " in why.text.replace("</p>", " ")
    assert 405 == posted.status_code


def test_nothing_of_it_is_there_when_it_is_off(tmp_path):
    with Served(tmp_path, "--grace", "0", "--console", "off", workers=1) as service:
        found = [service.get(path).status_code for path in ("/", "/?why=1", "/metrics")]

    assert [404, 404, 200] == found

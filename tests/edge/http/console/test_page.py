"""The console, over HTTP and as a page: what it shows, and what it must not."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from authz.core.decision import Decision
from authz.core.reasons import Reason
from authz.edge.http.console.page import HEADERS, page
from authz.edge.http.console.summary import samples_of, summarize
from authz.edge.http.status import WorkerStatus
from authz.edge.jwks.problem import KeyProblem
from authz.edge.telemetry.metrics import Metrics
from tests.support.policy_files import NATIVE, settings
from tests.support.serving import Served, ask

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


def shown(found=None, text=NATIVE, **changes):
    metrics = found or Metrics()
    return page(settings(text), status(**changes), summarize(samples_of(metrics.registry.collect())))


class Tags(HTMLParser):
    """Notes elements, and attributes that could load or run something."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.risky, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.risky += [name for name, _ in attrs if name in {"src", "href", "style"} or name.startswith("on")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag == self.open.pop()


def test_the_page_is_whole_and_loads_and_runs_nothing():
    tags = Tags(shown())

    assert [] == tags.open
    assert [] == tags.risky
    assert {"script", "form", "input", "a", "img", "link", "iframe"} & set(tags.tags) == set()


def test_what_keeps_tokens_from_being_judged_stands_first_with_url_and_cause():
    problem = KeyProblem(issuer="https://i/", url="https://i/jwks", cause="status 404")
    text = shown(key_problems=[problem])

    assert "<td>https://i/</td><td>status 404</td><td>https://i/jwks</td>" in text
    assert text.index("problems with issuers") < text.index("servers")
    assert "problems with issuers" not in shown()


def test_every_value_is_escaped():
    metrics = Metrics()
    metrics.policy(EVIL, {})
    metrics.decided(Decision(reason=Reason.NO_RULE, server=EVIL, rule=EVIL, shadows=(EVIL,)), 0.1)
    metrics.fetched(EVIL, "ok")
    text = shown(metrics, reload_problem=EVIL, issuers_without_keys=[EVIL], ready=False)

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
    policy = HEADERS["content-security-policy"]

    assert f"style-src 'sha256-{digest}'" in policy
    assert {"default-src 'none'", "form-action 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(
        policy.split("; ")
    )


def test_it_is_served_at_the_root_and_only_read(tmp_path):
    with Served(tmp_path, "--grace", "0") as service:
        ask(service.grpc, connections=8)
        answer = service.get("/")
        posted = service.post("/")

    assert (200, "text/html; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
    assert {name: answer.headers[name] for name in HEADERS} == dict(HEADERS)
    assert "<td>missing_token</td><td>-</td><td>8</td>" in answer.text
    assert "2 of 2 up" in answer.text
    assert 405 == posted.status_code

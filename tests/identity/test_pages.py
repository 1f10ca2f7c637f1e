"""The pages of docs/identity: each policy loads without a warning, both tokens are accepted, and each mistake is told as written.

The tokens are signed here with a real key; what stands in them is what the page shows.
"""

import json
import re
from functools import cache
from pathlib import Path

import pytest

from authz.core import engine
from authz.core.authentication import Authenticator
from authz.core.denial import render_denial
from authz.core.reasons import Reason
from authz.core.request import NEVER
from tests.support import core, tokens
from tests.support.policy_files import settings

PAGES = Path(__file__).parents[2] / "docs" / "identity"
PROVIDERS = sorted(path.stem for path in PAGES.glob("*.md") if path.stem != "README")
DESCRIPTION = re.compile(r'error_description="([^"]*)"')
DATED = re.compile(r"read on \d{4}-\d{2}-\d{2}")


@cache
def text(provider):
    return (PAGES / f"{provider}.md").read_text(encoding="utf-8")


def block(provider, kind, number=0):
    return re.findall(rf"^```{kind}\n(.*?)^```", text(provider), re.DOTALL | re.MULTILINE)[number]


def policy(provider):
    return block(provider, "yaml")


def claims(provider, who):
    return json.loads(block(provider, "json", ("person", "machine").index(who)))


def mistakes(provider):
    table = text(provider).partition("## Five mistakes\n")[2].partition("\n## ")[0]
    rows = [re.split(r" \| ", line.strip("| ")) for line in table.splitlines() if line.startswith("| ")]
    return {row[0]: (row[1].strip("`"), row[2]) for row in rows if row[0] != "mistake"}


def answered(given, token, tool="echo", style="jsonrpc"):
    """Decide about a call of a tool with a token; give reason and sentence, as a client sees them."""
    (server,) = settings(given.replace("    rules:", f"    denial: {style}\n    rules:")).directory.servers
    authenticator = Authenticator(lambda _: tokens.good_keys(), lambda _: None, size=10)
    request = core.call(tool, headers={"authorization": f"Bearer {token}"})
    snapshot = core.snapshot(server, authenticator=authenticator)
    decision = engine.check(request, snapshot, tokens.NOW + 10, NEVER)
    if decision.allowed:
        return "allowed", ""
    answer = render_denial(decision, server, request, "0")
    told = DESCRIPTION.search(dict(answer.headers).get("www-authenticate", ""))
    return str(decision.reason), told[1] if told else json.loads(answer.body)["error"]["message"]


def asked(provider, who="person", tool="echo", edit=("", ""), **changes):
    """Ask with a token of the page and changed claims (`...` takes one away), under the page's policy with one edit."""
    found = {name: value for name, value in {**claims(provider, who), **changes}.items() if value is not ...}
    assert edit[0] in policy(provider)
    return answered(
        policy(provider).replace(*edit) if edit[0] else policy(provider), tokens.token(found), tool
    )


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_page_is_dated_and_its_policy_loads_without_a_warning(provider):
    assert DATED.search(text(provider))
    assert () == settings(policy(provider)).warnings


SECTIONS = ["## What to set up", "## The policy file", "## The claims", "## Five mistakes"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_page_says_what_to_click_the_issuer_block_the_claims_and_the_mistakes_in_that_order(provider):
    headings = [line for line in text(provider).splitlines() if line.startswith("## ")]
    steps = text(provider).partition(SECTIONS[0])[2].partition("\n## ")[0]

    assert SECTIONS == [heading for heading in headings if heading in SECTIONS]
    assert len(re.findall(r"^(?:1\.|### 1\.) ", steps, re.MULTILINE)) == 1
    assert "issuers:" in policy(provider)
    assert {"person", "machine"} == {who for who in ("person", "machine") if claims(provider, who)}


TOOLS = {
    "auth0": {"person": "echo list_files delete_file", "machine": "echo list_files"},
    "keycloak": {"person": "echo list_files delete_file deploy", "machine": "echo list_files"},
    "entra": {"person": "echo list_files delete_file deploy", "machine": "echo list_files"},
    "okta": {"person": "echo list_files delete_file", "machine": "echo list_files"},
    "cognito": {"person": "echo list_files delete_file", "machine": "echo list_files"},
    "google": {"person": "echo list_files", "machine": "echo list_files"},
}


@pytest.mark.parametrize("who", ["person", "machine"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_token_of_the_page_may_use_what_its_scopes_roles_and_groups_are_for(provider, who):
    every = ("echo", "list_files", "delete_file", "deploy")

    assert TOOLS[provider][who].split() == [
        tool for tool in every if asked(provider, who, tool)[0] == Reason.ALLOWED
    ]


CALLERS = {
    "auth0": ("auth0|6553da60a54af58e29493993", "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja"),
    "keycloak": ("f1c4f64e-2c0c-4cda-8c9f-9f3f8f3a2b0e", "mcp-client"),
    "entra": ("HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ", "00001111-aaaa-2222-bbbb-3333cccc4444"),
    "okta": ("alice@acme.example", "0oab8eb55Kb9jdMIr5d6"),
    "cognito": ("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "1example23456789"),
    "google": ("10769150350006150715113082367", "1234987819200.apps.googleusercontent.com"),
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_caller_is_named_by_the_provider_s_own_subject_and_client(provider):
    (server,) = settings(policy(provider)).directory.servers
    authenticator = Authenticator(lambda _: tokens.good_keys(), lambda _: None, size=10)
    sent = f"Bearer {tokens.token(claims(provider, 'person'))}"
    caller = authenticator.authenticate(server, sent, tokens.NOW + 10)

    assert CALLERS[provider] == (caller.principal.subject, caller.principal.client)
    assert provider == caller.issuer


ELSEWHERE = {"groups": ..., "_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {}}}
MADE = {
    "auth0": {
        "requested no audience": lambda p: answered(policy(p), "an-opaque-token"),
        "without its final slash": lambda p: asked(p, edit=("auth0.com/\n", "auth0.com\n")),
        "another API": lambda p: asked(p, aud="https://another-api"),
        "roles as objects": lambda p: asked(p, **{"https://mcp-demo/roles": [{"name": "admin"}]}),
        "not in the flow": lambda p: asked(p, tool="delete_file", **{"https://mcp-demo/roles": ...}),
    },
    "keycloak": {
        "no audience mapper": lambda p: asked(p, aud="account"),
        "realm_access.roles": lambda p: asked(
            p, tool="delete_file", edit=("[realm_access, roles]", "realm_access.roles")
        ),
        "`basic` was removed": lambda p: asked(p, sub=...),
        "final slash": lambda p: asked(p, edit=("realms/acme\n", "realms/acme/\n")),
        "an ID token": lambda p: asked(
            p, typ="ID", at_hash="x", aud=["https://mcp.example/mcp", "mcp-client"]
        ),
    },
    "entra": {
        "requestedAccessTokenVersion": lambda p: asked(
            p, iss="https://sts.windows.net/aaaabbbb-0000-cccc-1111-dddd2222eeee/", ver="1.0"
        ),
        "Application ID URI": lambda p: asked(p, edit=("[6e74172b", "[api://6e74172b")),
        "`claims.scopes` was left out": lambda p: asked(
            p, tool="list_files", edit=("scopes: scp, ", ""), roles=...
        ),
        "more groups": lambda p: asked(p, **ELSEWHERE),
        "no app role": lambda p: asked(p, "machine", "delete_file", roles=...),
    },
    "okta": {
        "org authorization server": lambda p: asked(p, iss="https://acme.okta.com"),
        "api://default": lambda p: asked(p, aud="api://default"),
        "`claims.scopes` was left out": lambda p: asked(p, tool="list_files", edit=("scopes: scp, ", "")),
        "`claims.client` was left out": lambda p: asked(p, edit=(", client: cid", "")),
        "ID token only": lambda p: asked(p, tool="delete_file", groups=...),
    },
    "cognito": {
        "`claims.audience` was left out": lambda p: asked(p, edit=("audience: client_id, ", "")),
        "not in `audiences`": lambda p: asked(p, client_id="3example45678901"),
        "an ID token": lambda p: asked(p, token_use="id", aud="1example23456789"),
        "`scope_prefix` was left out": lambda p: asked(
            p, tool="list_files", edit=("    scope_prefix: mcp/\n", "")
        ),
        "`claims.groups` was left out": lambda p: asked(
            p, tool="delete_file", edit=(', groups: "cognito:groups"', "")
        ),
    },
    "google": {
        "an access token": lambda p: answered(policy(p), "ya29.a0AfH6SMBx"),
        "`refuse_id_tokens` was left out": lambda p: asked(p, edit=("    refuse_id_tokens: false\n", "")),
        "another client": lambda p: asked(p, aud="another.apps.googleusercontent.com"),
        "has not verified": lambda p: asked(p, email_verified=False),
        "asks for a scope": lambda p: asked(
            p,
            tool="delete_file",
            edit=("    rules:\n", "    rules:\n      - {allow: {tools: [delete_file]}, scopes: [x]}\n"),
        ),
    },
}
"""What makes each mistake of a page, by words of its row."""


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_page_has_five_mistakes_and_each_is_made_here(provider):
    rows = list(mistakes(provider))

    assert 5 == len(rows) == len(MADE[provider])
    assert [1] * 5 == [sum(words in row for words in MADE[provider]) for row in rows]


@pytest.mark.parametrize(
    ("provider", "words"), [(provider, words) for provider, rows in MADE.items() for words in rows]
)
def test_a_mistake_is_answered_with_the_sentence_that_the_page_quotes(provider, words):
    (expected,) = (told for row, told in mistakes(provider).items() if words in row)

    assert expected == MADE[provider][words](provider)


def test_the_index_names_every_page():
    index = (PAGES / "README.md").read_text(encoding="utf-8")

    assert [] == [provider for provider in PROVIDERS if f"({provider}.md)" not in index]

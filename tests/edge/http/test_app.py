"""The service's HTTP port, asked over real connections: metadata documents, readiness, liveness, metrics."""

import asyncio
import contextlib
import io
import json
import re
import socket
import threading

import httpx
import pytest
import uvicorn
from mcp.client.auth.utils import build_protected_resource_metadata_discovery_urls
from mcp.shared.auth import ProtectedResourceMetadata

from authz.edge.http.app import application
from authz.edge.http.listener import Uvicorn
from authz.edge.http.status import WorkerReport
from authz.edge.service import Service
from authz.edge.telemetry.audit_log import AuditLog
from tests.support import tokens
from tests.support.jwks_server import IssuerSite, page
from tests.support.policy_files import POLICY, problems, settings
from tests.support.waiting import DEADLINE

WELL_KNOWN = "/.well-known/oauth-protected-resource"
ISSUER = "https://tenant.example/"
OTHER = "https://login.example/realms/one"
HEAD = f"""\
issuers:
  one: {{issuer: {ISSUER}, audiences: [api]}}
  two: {{issuer: {OTHER}, audiences: [api]}}
servers:
"""
FILES = """\
  files:
    resource: https://mcp.example:8443/files/mcp
    issuers: [two, one]
    scopes: [files:read]
    resource_name: Files
    resource_documentation: https://docs.example/files
    rules:
      - allow: {tools: [purge]}
        scopes: [files:delete]
"""
MAIL = """\
  mail:
    resource: https://mcp.example:8443/mail/mcp
    issuers: [one]
"""
ROOT = """\
  root:
    resource: https://mcp.example:8443
    issuers: [one]
"""
SLASH = """\
  slash:
    resource: https://mcp.example:8443/slash/
    issuers: [one]
"""
HOST = "mcp.example:8443"


@contextlib.asynccontextmanager
async def served(policy, *, fetching=False):
    """Serve a policy's HTTP side on a free port; gives a client of it."""
    audit = AuditLog(io.BytesIO())
    service = Service(settings(policy), audit)
    config = uvicorn.Config(
        application(WorkerReport(service)), log_config=None, lifespan="off", server_header=False
    )
    web = Uvicorn(config)
    listener = socket.create_server(("127.0.0.1", 0))
    running = asyncio.create_task(web.serve(sockets=[listener]))
    if fetching:
        await service.keys.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=DEADLINE) as client:
            yield client
    finally:
        web.should_exit = True
        await running
        await service.keys.close()
        audit.close()


class Servers:
    """Servers of policies that only answer, each started once, on one loop in a thread."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.stack = contextlib.AsyncExitStack()
        self.clients = {}
        self.thread.start()

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(DEADLINE)

    async def ask(self, policy, method, path, headers):
        if policy not in self.clients:
            self.clients[policy] = await self.stack.enter_async_context(served(policy))
        return await self.clients[policy].request(method, path, headers=headers)

    def close(self):
        self.run(self.stack.aclose())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def servers():
    servers = Servers()
    yield servers
    servers.close()


@pytest.fixture
def asked(servers):
    """Ask once; gives the answer."""

    def ask(policy, path, *, host=HOST, method="GET", **headers):
        return servers.run(servers.ask(policy, method, path, {"host": host, **headers}))

    return ask


# Metadata documents


def test_a_document_says_all_that_a_client_needs_and_nothing_of_the_rules(asked):
    answer = asked(HEAD + FILES, f"{WELL_KNOWN}/files/mcp")

    assert (200, "application/json") == (answer.status_code, answer.headers["content-type"])
    assert {
        "resource": "https://mcp.example:8443/files/mcp",
        "authorization_servers": [OTHER, ISSUER],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["files:read"],
        "resource_name": "Files",
        "resource_documentation": "https://docs.example/files",
    } == answer.json()


def test_what_the_policy_file_does_not_say_the_document_leaves_out(asked):
    document = asked(HEAD + MAIL, f"{WELL_KNOWN}/mail/mcp").json()

    assert {"resource", "authorization_servers", "bearer_methods_supported"} == document.keys()


def test_the_sdk_reads_the_document_and_keeps_the_issuers_final_slash(asked):
    document = ProtectedResourceMetadata.model_validate_json(
        asked(HEAD + FILES, f"{WELL_KNOWN}/files/mcp").content
    )

    assert [OTHER, ISSUER] == [str(url) for url in document.authorization_servers]
    assert ["files:read"] == document.scopes_supported


TWO = HEAD + FILES + MAIL
THREE = TWO + ROOT


@pytest.mark.parametrize(
    ("policy", "path", "resource"),
    [
        (TWO, "/files/mcp", "https://mcp.example:8443/files/mcp"),
        (TWO, "/mail/mcp", "https://mcp.example:8443/mail/mcp"),
        (TWO, "", None),
        (TWO, "/", None),
        (TWO, "/files", None),
        (TWO, "/files/mcp/", None),
        (TWO, "/files/mcp/x", None),
        (TWO, "//files/mcp", None),
        (TWO, "/FILES/mcp", None),
        (TWO, "/files/mcp?x=1", "https://mcp.example:8443/files/mcp"),
        (THREE, "", "https://mcp.example:8443"),
        (THREE, "/mail/mcp", "https://mcp.example:8443/mail/mcp"),
        (HEAD + FILES, "", "https://mcp.example:8443/files/mcp"),
        (HEAD + FILES, "/files/mcp", "https://mcp.example:8443/files/mcp"),
        (HEAD + FILES, "/other", None),
        (HEAD + SLASH, "/slash", "https://mcp.example:8443/slash/"),
        (HEAD + SLASH, "/slash/", "https://mcp.example:8443/slash/"),
    ],
)
def test_a_server_is_described_at_its_path_and_at_the_root_only_when_it_is_the_only_one(
    asked, policy, path, resource
):
    answer = asked(policy, WELL_KNOWN + path)

    assert (200 if resource else 404, resource) == (answer.status_code, answer.json().get("resource"))


@pytest.mark.parametrize("server", [FILES, MAIL, ROOT, SLASH])
def test_the_first_place_where_the_sdk_looks_by_itself_has_the_document(asked, server):
    resource = server.split("resource: ")[1].split("\n")[0]
    place = build_protected_resource_metadata_discovery_urls(None, resource)[0]

    assert resource == asked(HEAD + server, httpx.URL(place).path).json()["resource"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("mcp.example:8443", 200),
        ("MCP.Example:8443", 200),
        ("mcp.example", 404),
        ("mcp.example:443", 404),
        ("mcp.example:8443.evil.example", 404),
        ("evil.example", 404),
        ("127.0.0.1", 404),
    ],
)
@pytest.mark.parametrize("path", ["", "/files/mcp"])
def test_a_server_is_described_at_its_own_host_and_port_only(asked, host, status, path):
    assert status == asked(HEAD + FILES, WELL_KNOWN + path, host=host).status_code


def test_a_default_port_may_be_written_or_left_out(asked):
    policy = (HEAD + MAIL).replace(":8443", "")
    statuses = [
        asked(policy, f"{WELL_KNOWN}/mail/mcp", host=f"mcp.example{port}").status_code
        for port in ("", ":443")
    ]

    assert [200, 200] == statuses


@pytest.mark.parametrize(
    ("headers", "resource"),
    [
        ({}, "http://gw.example:10000/mcp"),
        ({"x-forwarded-proto": "https"}, "https://gw.example:10000/mcp"),
        ({"x-forwarded-proto": "http"}, "http://gw.example:10000/mcp"),
        ({"x-forwarded-proto": "javascript"}, "https://gw.example:10000/mcp"),
        ({"x-forwarded-proto": 'https", evil="'}, "https://gw.example:10000/mcp"),
        ({"x-forwarded-host": "evil.example"}, "http://gw.example:10000/mcp"),
    ],
)
def test_a_server_without_a_public_url_is_described_by_how_it_was_reached(asked, headers, resource):
    assert (
        resource == asked(POLICY, f"{WELL_KNOWN}/mcp", host="gw.example:10000", **headers).json()["resource"]
    )


@pytest.mark.parametrize(
    "headers",
    [{"x-forwarded-proto": "http"}, {"x-forwarded-host": "evil.example"}, {"forwarded": "host=evil.example"}],
)
def test_a_public_url_that_is_configured_is_not_for_a_sender_to_change(asked, headers):
    answer = asked(HEAD + FILES, f"{WELL_KNOWN}/files/mcp", **headers)

    assert "https://mcp.example:8443/files/mcp" == answer.json()["resource"]


NAMES = HEAD + MAIL + "    hosts: [Inside.example, 'inside.example:9443', '*']\n"


@pytest.mark.parametrize(
    ("host", "resource"),
    [
        ("mcp.example:8443", "https://mcp.example:8443/mail/mcp"),
        ("inside.example", "https://inside.example/mail/mcp"),
        ("INSIDE.example", "https://inside.example/mail/mcp"),
        ("inside.example:9443", "https://inside.example:9443/mail/mcp"),
        ("evil.example", "https://mcp.example:8443/mail/mcp"),
    ],
)
def test_a_server_with_several_names_is_described_under_the_one_that_was_used_if_the_file_has_it(
    asked, host, resource
):
    assert resource == asked(NAMES, f"{WELL_KNOWN}/mail/mcp", host=host).json()["resource"]


MACHINES = """\
issuers:
  people: {issuer: "https://tenant.example/", audiences: [api], scope_prefix: "api://app/"}
  more: {issuer: "https://login.example/", audiences: [api]}
  machines: {issuer: "urn:machines", audiences: [api], jwks_uri: "https://keys.example/jwks"}
servers:
  files:
    resource: https://mcp.example:8443/mcp
    issuers: [machines, people, more]
    scopes: [files:read, offline]
"""


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("", [ISSUER, "https://login.example/"]),
        ("    authorization_servers: [more]\n", ["https://login.example/"]),
        ("    authorization_servers: []\n", None),
    ],
)
def test_a_client_is_told_of_the_issuers_that_the_file_names_and_never_of_one_that_is_no_url(
    asked, line, named
):
    document = asked(MACHINES + line, f"{WELL_KNOWN}/mcp").json()

    assert named == document.get("authorization_servers")


def test_scopes_are_named_as_a_client_requests_them_at_the_first_issuer_it_is_told_of(asked):
    path = f"{WELL_KNOWN}/mcp"
    first = asked(MACHINES, path).json()["scopes_supported"]
    other = asked(MACHINES + "    authorization_servers: [more]\n", path).json()["scopes_supported"]

    assert ["api://app/files:read", "api://app/offline"] == first
    assert ["files:read", "offline"] == other


@pytest.mark.parametrize(("path", "status"), [("/files/mcp", 200), ("/nothing", 404)])
def test_head_is_answered_as_get_without_the_body(asked, path, status):
    got, headed = (asked(TWO, WELL_KNOWN + path, method=method) for method in ("GET", "HEAD"))

    assert (status, status, b"") == (got.status_code, headed.status_code, headed.content)
    assert got.headers["content-length"] == headed.headers["content-length"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_document_is_only_read(asked, method):
    assert 405 == asked(TWO, f"{WELL_KNOWN}/files/mcp", method=method).status_code


# The policy file's scopes


@pytest.mark.parametrize(
    ("place", "key"),
    [
        ("    scopes: [files:read, offline_access]\n", "servers.mail.scopes[1]"),
        (
            "    rules:\n      - allow: {tools: [a]}\n        scopes: [offline_access]\n",
            "servers.mail.rules[0].scopes[0]",
        ),
        (
            "    rules:\n      - allow: {tools: [a]}\n        any_scopes: [x, offline_access]\n",
            "servers.mail.rules[0].any_scopes[1]",
        ),
    ],
)
def test_offline_access_is_refused_where_a_document_or_a_challenge_would_name_it(place, key):
    (problem,) = problems(HEAD + MAIL + place)

    assert key in problem
    assert "offline_access is between a client and its issuer" in problem
    assert "remove it" in problem


def test_a_scope_that_only_resembles_offline_access_is_a_scope():
    settings(HEAD + MAIL + "    scopes: [offline_access:read, offline]\n")


# Health and metrics


def test_liveness_needs_no_keys(asked):
    answer = asked(TWO, "/healthz")

    assert (200, "ok\n") == (answer.status_code, answer.text)


def test_without_keys_the_service_is_not_ready_and_names_the_issuers(asked):
    answer = asked(TWO, "/readyz")
    said = answer.json()

    assert (503, False, {ISSUER, OTHER}) == (
        answer.status_code,
        said["ready"],
        set(said["issuers_without_keys"]),
    )
    assert settings(TWO).digest == said["policy"]


LOCAL = "issuers:\n  one: {issuer: URL/, audiences: [api]}\nservers:\n" + MAIL
KEYS = page({"keys": [tokens.jwk(tokens.rsa_key(), use="sig", alg="RS256")]})


async def becomes_ready(client):
    while True:
        answer = await client.get("/readyz")
        if answer.status_code == 200:
            return answer.json()
        await asyncio.sleep(0.02)


def test_readiness_comes_by_itself_with_the_first_keys():
    async def go():
        async with IssuerSite() as site:
            metadata = {"issuer": f"{site.url}/", "jwks_uri": f"{site.url}/jwks"}
            site.pages = {
                "/.well-known/openid-configuration": page(metadata),
                "/jwks": page(b"", status=500),
            }
            async with served(LOCAL.replace("URL", site.url), fetching=True) as client:
                before = await client.get("/readyz")
                while not before.json()["key_problems"]:
                    before = await client.get("/readyz")
                site.pages["/jwks"] = KEYS
                after = await asyncio.wait_for(becomes_ready(client), DEADLINE)
                return site.url, before, after

    url, before, after = asyncio.run(go())

    assert (503, [f"{url}/"]) == (before.status_code, before.json()["issuers_without_keys"])
    [problem] = before.json()["key_problems"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", problem.pop("since"))
    assert {"issuer": f"{url}/", "url": f"{url}/jwks", "cause": "status 500"} == problem
    assert (True, [], []) == (after["ready"], after["issuers_without_keys"], after["key_problems"])


def test_metrics_are_prometheus_text_and_name_every_issuer(asked):
    answer = asked(TWO, "/metrics")

    assert "text/plain; version=0.0.4; charset=utf-8" == answer.headers["content-type"]
    for issuer in (ISSUER, OTHER):
        assert f'mcp_authz_jwks_keys{{issuer="{issuer}"}} 0.0' in answer.text.splitlines()
    assert f'mcp_authz_policy_info{{hash="{settings(TWO).digest}"}} 1.0' in answer.text.splitlines()


@pytest.mark.parametrize("path", ["/nothing", "/.well-known/", "/.well-known/openid-configuration"])
def test_there_is_nothing_else(asked, path):
    answer = asked(TWO, path)

    assert 404 == answer.status_code
    assert b"Traceback" not in answer.content


def test_a_document_is_json_of_text_and_lists_of_text(asked):
    document = json.loads(asked(HEAD + FILES, f"{WELL_KNOWN}/files/mcp").content)

    assert all(isinstance(value, str | list) for value in document.values())

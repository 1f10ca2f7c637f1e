import pytest

from authz.config.native.issuer_terms import issuer_terms
from authz.config.native.model import PolicyFile
from authz.config.settings import Cors
from authz.config.validation import validate
from authz.config.yaml_document import read_documents
from authz.core.identity.issuer import IssuerTerms
from tests.config.native.test_model import EVERYTHING, ISSUER, SECOND
from tests.support.policy_files import NATIVE, settings, warnings


def test_every_key_of_an_issuer_reaches_its_terms():
    (server,) = settings(EVERYTHING).directory.servers

    assert {
        "http://keys.internal/": IssuerTerms(
            issuer="http://keys.internal/",
            name="main",
            audiences=frozenset({"two"}),
            algorithms=frozenset({"RS256", "ES256"}),
            leeway=5.0,
            scopes_claim=("scp",),
            permissions_claim=("more",),
            scope_prefix="api://files/",
            refuse_id_tokens=True,
            roles_claim=("groups",),
            groups_claim=("a", "b"),
            client_claim=("cid",),
            required_claims={"tenant": "acme", "level": 3, "staff": True, "email": None},
            max_token_age=900.0,
            require_subject=False,
            allowed_clients=frozenset({"cli"}),
        )
    } == server.issuers


def test_an_issuer_s_defaults_are_the_safe_ones():
    (server,) = settings(NATIVE).directory.servers

    assert (
        IssuerTerms(
            issuer="https://issuer.example/", name="main", audiences=frozenset({"https://mcp.example/mcp"})
        )
        == server.issuers["https://issuer.example/"]
    )
    assert (False, False, frozenset()) == (
        server.forward_token,
        server.policy.open_without_allows,
        server.origins,
    )


def test_the_digest_follows_the_text():
    assert settings(NATIVE).digest == settings(NATIVE).digest
    assert settings(NATIVE).digest != settings(NATIVE.replace("echo", "other")).digest


def test_terms_that_nobody_could_meet_cannot_be_written():
    (document,) = read_documents(NATIVE, "FILE", {})
    file = validate(PolicyFile, document)

    with pytest.raises(ValueError, match="audience"):
        issuer_terms("main", file.issuers["main"], [])


@pytest.mark.parametrize(
    "text",
    [
        NATIVE.replace(ISSUER, "    issuer: http://127.0.0.1:8090/\n"),
        NATIVE.replace(ISSUER, "    issuer: http://localhost/\n    jwks_uri: http://[::1]:1/jwks\n"),
        NATIVE.replace(ISSUER, "    issuer: http://issuer.example/\n") + "insecure_hosts: [ISSUER.example]\n",
    ],
    ids=["loopback", "loopback twice", "listed"],
)
def test_plain_http_is_taken_from_this_machine_and_from_hosts_that_are_listed(text):
    assert ["http"] == [issuer.partition(":")[0] for issuer in settings(text).keys]


def test_two_servers_may_share_a_host_under_different_paths():
    given = settings(NATIVE + SECOND.replace("example/mcp", "example/other"))

    assert ["/mcp", "/other"] == [server.path for server in given.directory.servers]


def test_what_a_browser_may_send_and_read_is_added_to_what_mcp_needs():
    cors, needed = settings(EVERYTHING).cors["files"], Cors()

    assert (*needed.allow_headers, "x-tenant", "x-acme-*") == cors.allow_headers
    assert (*needed.expose_headers, "X-Quota") == cors.expose_headers
    assert (5, needed) == (cors.max_age, settings(NATIVE).cors["files"])


def test_cors_without_origins_is_a_warning():
    text = NATIVE.replace("    rules:", "    cors: {max_age: 5}\n    rules:")

    assert ["FILE:9: servers.files.cors: no browser may call (list its origin in origins)"] == warnings(text)


def test_an_issuer_that_no_server_uses_is_a_warning():
    text = NATIVE.replace(
        "servers:", "  spare:\n    issuer: https://spare.example/\n    audiences: [x]\nservers:"
    )

    assert ["FILE:5: issuers.spare: no server uses this issuer"] == warnings(text)

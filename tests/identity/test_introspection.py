"""Opaque tokens of authorization servers that others wrote: Authlib's endpoints, and `oidc-provider` with signed answers.

Each server issues, answers and revokes by its own rules; the service knows it by its policy file alone. Keycloak has a
module of its own.
"""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.support import authlib_server, oidc_provider, tokens
from tests.support.asking_service import AskingService
from tests.support.policy_files import NATIVE
from tests.support.waiting import DEADLINE, eventually

CLIENT, SECRET = "mcp gateway", "s3cret/with:signs+ and spaces"
BATCH, BATCH_SECRET = "batch", "batch-secret-of-32-characters-00"
LINE = "    issuer: https://issuer.example/\n"


@dataclass(kw_only=True)
class Site:
    """An authorization server as its clients see it.

    Attributes:
        issuer: its name.
        url: where its endpoints are.
        introspect, revoke: paths of two of them.
        terms: keys of the issuer in the policy file.
        how: keys of `introspection`.
        inside: Authlib's server, to be looked into.
    """

    issuer: str
    url: str
    introspect: str
    revoke: str
    terms: str = ""
    how: dict[str, object] = field(default_factory=dict)
    inside: authlib_server.AuthlibSite | None = None

    def issue(self) -> str:
        """Return an opaque token for the scope `files:read`."""
        return self._post("/token", grant_type="client_credentials", scope="files:read")["access_token"]

    def end(self, token: str) -> None:
        """Revoke a token."""
        self._post(self.revoke, token=token)

    def _post(self, path, **form):
        answer = httpx.post(
            f"{self.url}{path}",
            data=form,
            auth=(BATCH, BATCH_SECRET),
            trust_env=False,
            timeout=DEADLINE,
        )
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.content else None

    def policy(self, folder, **how):
        """Write the policy file of a server behind this issuer; gives its path."""
        (folder / "secret").write_text(SECRET)
        said = {"endpoint": f"{self.url}{self.introspect}", "client_id": CLIENT, **self.how, **how}
        if "private_key_jwt" not in said:
            said = {"client_secret_file": "secret", **said}
        text = NATIVE.replace(
            LINE, f"    issuer: {self.issuer}\n{self.terms}    introspection: {json.dumps(said)}\n"
        )
        text += "      - {allow: {tools: [list_files]}, scopes: [files:read]}\n"
        text += "      - {allow: {tools: [delete_file]}, scopes: [files:delete]}\n"
        (folder / "policy.yaml").write_text(text)
        return folder / "policy.yaml"


def site_of(inside):
    inside.add_client(BATCH, BATCH_SECRET)
    inside.add_client(CLIENT, SECRET, may_ask=True)
    return Site(
        issuer=tokens.ISSUER, url=inside.url, introspect="/introspect", revoke="/revoke", inside=inside
    )


@pytest.fixture
def authlib():
    with authlib_server.serving() as inside:
        yield site_of(inside)


@pytest.fixture(scope="module")
def provider():
    machine = {"redirect_uris": [], "response_types": []}
    batch = {
        "client_id": BATCH,
        "client_secret": BATCH_SECRET,
        "grant_types": ["client_credentials"],
        **machine,
    }
    gateway = {"client_id": CLIENT, "client_secret": SECRET, "grant_types": [], **machine}
    with oidc_provider.serving([batch, gateway]) as issuer:
        # A machine's token of this server has no subject.
        terms = "    subject: optional\n"
        yield Site(
            issuer=issuer,
            url=issuer,
            introspect="/token/introspection",
            revoke="/token/revocation",
            terms=terms,
        )


@pytest.fixture(params=["authlib", "provider"])
def site(request):
    return request.getfixturevalue(request.param)


def told(policy, story):
    """Run a story with a service that has this policy; gives what it returns, and the reasons in the records."""

    async def whole():
        asking = AskingService(policy)
        try:
            return await story(asking)
        finally:
            records.extend(await asking.close())

    records: list[dict[str, object]] = []
    found = asyncio.run(asyncio.wait_for(whole(), DEADLINE))
    return found, [record["reason"] for record in records], records


def test_a_token_may_what_its_scopes_are_for_and_its_client_is_the_caller(site, tmp_path):
    token = site.issue()

    async def story(asking):
        return [await asking.status(token, tool) for tool in ("echo", "list_files", "delete_file")]

    statuses, reasons, records = told(site.policy(tmp_path), story)

    assert ([200, 200], ["allowed", "allowed", "missing_scope"]) == (statuses[:2], reasons)
    assert {BATCH} == {record["client"] for record in records}
    assert token not in json.dumps(records)


@pytest.mark.requirement("reason.inactive_token")
def test_a_token_that_was_revoked_is_refused_once_the_answer_about_it_is_too_old(site, tmp_path):
    token, never_used = site.issue(), site.issue()

    async def story(asking):
        before = await asking.status(token)
        await asyncio.to_thread(site.end, token)
        await asyncio.to_thread(site.end, never_used)
        kept = await asking.status(token)
        await asking.forget()
        return before, kept, await asking.status(token), await asking.status(never_used)

    statuses, reasons, _ = told(site.policy(tmp_path, cache_seconds=60), story)

    assert (200, 200, 401, 401) == statuses
    assert ["allowed", "allowed", "inactive_token", "inactive_token"] == reasons


def test_a_token_of_nobody_is_refused_as_not_active(site, tmp_path):
    async def story(asking):
        return await asking.status("opaque-token-of-nobody")

    assert (401, ["inactive_token"]) == told(site.policy(tmp_path), story)[:2]


@pytest.mark.requirement("reason.keys_unavailable")
def test_a_service_that_the_server_does_not_know_gets_no_answer_and_its_callers_503(site, tmp_path):
    token = site.issue()

    async def story(asking):
        status = await asking.status(token)
        (problem,) = asking.service.key_problems()
        return status, problem.url, problem.cause

    (status, url, cause), reasons, _ = told(site.policy(tmp_path, client_id="nobody"), story)

    assert (503, ["keys_unavailable"]) == (status, reasons)
    assert f"{site.url}{site.introspect}" == url
    assert cause in {"introspection failed: status 400", "introspection failed: status 401"}


def test_answers_are_believed_as_they_are_signed_by_the_server_itself(provider, tmp_path):
    token = provider.issue()

    async def story(asking):
        without_keys = await asking.status(token)
        (problem,) = asking.service.key_problems()
        assert (
            "introspection failed: the answer is signed, and the issuer's keys are not at hand"
            == problem.cause
        )
        await asking.service.keys.refetch(provider.issuer, None)
        before = await asking.status(token, "list_files")
        await asyncio.to_thread(provider.end, token)
        await asking.forget()
        return without_keys, before, await asking.status(token, "list_files")

    statuses, reasons, _ = told(provider.policy(tmp_path, signed=True), story)

    assert ((503, 200, 401), ["keys_unavailable", "allowed", "inactive_token"]) == (statuses, reasons)


def test_a_server_that_does_not_sign_its_answers_is_not_believed_where_they_must_be(authlib, tmp_path):
    authlib.terms = "    jwks_file: keys.json\n"
    key = tokens.jwk(tokens.rsa_key(), use="sig", alg="RS256")
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [key]}))

    async def story(asking):
        await asking.service.keys.refetch(tokens.ISSUER, None)
        return await asking.status(authlib.issue())

    assert (503, ["keys_unavailable"]) == told(authlib.policy(tmp_path, signed=True), story)[:2]


def test_the_service_proves_itself_by_a_key_where_it_has_no_secret(authlib, tmp_path):
    key = tokens.rsa_key()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    authlib.inside.add_client(CLIENT, "", may_ask=True, key=public.decode())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    first, second = authlib.issue(), authlib.issue()

    async def story(asking):
        return [await asking.status(first), await asking.status(second)]

    assert [200, 200] == told(authlib.policy(tmp_path, private_key_jwt="key.pem"), story)[0]


def test_a_slow_server_is_asked_once_for_all_calls_of_a_token(authlib, tmp_path):
    token, inside = authlib.issue(), authlib.inside
    inside.gate.clear()

    async def story(asking):
        calls = [asyncio.create_task(asking.status(token)) for _ in range(50)]
        await asyncio.to_thread(eventually, lambda: inside.questions)
        inside.gate.set()
        return await asyncio.gather(*calls)

    assert [200] * 50 == told(authlib.policy(tmp_path), story)[0]
    assert 1 == inside.questions


FLOOD, CONCURRENT, WAITING = 10_000, 4, 8


def test_a_flood_of_distinct_tokens_has_the_configured_questions_under_way_and_good_tokens_go_on(
    authlib, tmp_path
):
    good, inside = authlib.issue(), authlib.inside

    async def story(asking):
        first = await asking.status(good)
        inside.gate.clear()
        ask = asking.service.introspector.ask
        flood = [asyncio.create_task(ask(tokens.ISSUER, f"opaque-{number}")) for number in range(FLOOD)]
        await asyncio.to_thread(eventually, lambda: inside.most == CONCURRENT)
        known, beyond = await asking.status(good), await asking.status("opaque-beyond")
        inside.gate.set()
        answered = Counter(await asyncio.gather(*flood))
        return (first, known, beyond, await asking.status("opaque-0")), answered

    statuses, answered = told(authlib.policy(tmp_path, concurrent=CONCURRENT, waiting=WAITING), story)[0]

    assert (200, 200, 503, 401) == statuses
    assert {True: CONCURRENT + WAITING, False: FLOOD - CONCURRENT - WAITING} == answered
    assert (CONCURRENT, 1 + CONCURRENT + WAITING) == (inside.most, inside.questions)


@pytest.mark.requirement("reason.keys_unavailable")
def test_while_the_server_is_down_what_it_said_counts_on_and_everything_else_is_503(tmp_path):
    async def whole():
        with authlib_server.serving() as inside:
            site = site_of(inside)
            known, other = site.issue(), site.issue()
            asking = AskingService(site.policy(tmp_path))
            before = await asking.status(known)
        after = await asking.status(known), await asking.status(other)
        (problem,) = asking.service.key_problems()
        await asking.close()
        return (before, *after), problem.url

    statuses, url = asyncio.run(asyncio.wait_for(whole(), DEADLINE))

    assert (200, 200, 503) == statuses
    assert url.endswith("/introspect")

"""docs/identity/keycloak.md against a real Keycloak: its realm is set up as the page says, and its tokens are Keycloak's.

Run by `make keycloak`; see `tests.support.keycloak`.
"""

import asyncio
import json
import re

import pytest

from authz.core.identity.jwks import unbase64url
from tests.identity.test_pages import block, claims, mistakes
from tests.support import keycloak
from tests.support.asking_service import AskingService
from tests.support.waiting import DEADLINE

SECRET = "s3cret/with:signs+ and spaces"
ISSUER = "https://keycloak.example/realms/acme"
TOOLS = ("echo", "list_files", "delete_file", "deploy")


@pytest.fixture(scope="module")
def realm():
    with keycloak.serving(keycloak.keycloak_or_skip(), SECRET) as found:
        yield found


def asked(realm, folder, story, *, introspection=False, edit=("", "")):
    """Run a story with a service that has the page's policy for this realm; gives what it returns, and the records."""

    async def whole():
        asking = AskingService(folder / "policy.yaml")
        try:
            await asking.service.keys.refetch(realm.issuer, None)
            return await story(asking)
        finally:
            records.extend(await asking.close())

    text = block("keycloak", "yaml").replace(*edit) if edit[0] else block("keycloak", "yaml")
    section = block("keycloak", "yaml", 1) if introspection else ""
    text = text.replace("    audiences:", f"{section}    audiences:").replace(ISSUER, realm.issuer)
    (folder / "policy.yaml").write_text(text)
    (folder / "introspection-secret").write_text(SECRET)
    records: list[dict[str, object]] = []
    return asyncio.run(asyncio.wait_for(whole(), DEADLINE)), records


def allowed(token):
    async def story(asking):
        for tool in TOOLS:
            await asking.status(token, tool)

    return story


def used(records):
    return [record["tool"] for record in records if record["reason"] == "allowed"]


def test_a_person_s_token_may_what_the_page_says_and_has_the_claims_that_it_shows(realm, tmp_path):
    token = realm.person("mcp-client", "openid files:read files:delete")["access_token"]
    _, records = asked(realm, tmp_path, allowed(token))
    shown, seen = claims("keycloak", "person"), _claims(token)

    assert [*TOOLS] == used(records)
    assert {(seen["sub"], "mcp-client")} == {(record["sub"], record["client"]) for record in records}
    assert ("Bearer", {"/platform/sre"}, True) == (
        seen["typ"],
        set(seen["groups"]),
        "admin" in seen["realm_access"]["roles"],
    )
    assert {name: type(value) for name, value in shown.items() if name not in _OF_A_BROWSER}.items() <= {
        name: type(value) for name, value in seen.items()
    }.items()


_OF_A_BROWSER = {"auth_time", "allowed-origins"}
"""What only a token from a browser's sign-in has."""


def test_a_machine_s_token_may_what_the_page_says_and_has_the_claims_that_it_shows(realm, tmp_path):
    token = realm.machine()
    _, records = asked(realm, tmp_path, allowed(token))

    assert ["echo", "list_files"] == used(records)
    assert claims("keycloak", "machine").keys() <= _claims(token).keys()


@pytest.mark.parametrize(
    ("words", "client", "edit"),
    [
        ("no audience mapper", "no-audience", ("", "")),
        ("`basic` was removed", "no-basic", ("", "")),
        ("final slash", "mcp-client", ("realms/acme\n", "realms/acme/\n")),
        ("realm_access.roles", "mcp-client", ("[realm_access, roles]", "realm_access.roles")),
    ],
)
def test_a_mistake_of_the_page_is_made_in_keycloak_and_answered_as_it_says(
    realm, tmp_path, words, client, edit
):
    token = realm.person(client)["access_token"]

    async def story(asking):
        return await asking.status(token, "delete_file")

    _, (record,) = asked(realm, tmp_path, story, edit=edit)
    (expected,) = (told for row, told in mistakes("keycloak").items() if words in row)

    assert expected[0] == record["reason"]
    assert record.get("detail", expected[1]) == expected[1]


def test_an_id_token_is_refused(realm, tmp_path):
    async def story(asking):
        return await asking.status(realm.person("mcp-client")["id_token"])

    status, (record,) = asked(realm, tmp_path, story)

    assert (401, "wrong_audience") == (status, record["reason"])


def test_a_lightweight_token_says_too_little_by_itself_and_is_asked_about(realm, tmp_path):
    token = realm.person("mcp-light", "openid files:read")["access_token"]
    _, alone = asked(realm, tmp_path, allowed(token))
    _, records = asked(realm, tmp_path, allowed(token), introspection=True)

    assert {"aud", "sub"}.isdisjoint(_claims(token))
    assert {"wrong_audience"} == {record["reason"] for record in alone}
    assert [*TOOLS] == used(records)


@pytest.mark.requirement("reason.inactive_token")
def test_a_session_that_was_ended_ends_its_tokens_where_keycloak_is_asked(realm, tmp_path):
    signed_in = realm.person("mcp-client")
    token = signed_in["access_token"]

    async def story(asking):
        before = await asking.status(token)
        ended = {"client_id": "mcp-client", "refresh_token": signed_in["refresh_token"]}
        await asyncio.to_thread(realm.post, "/logout", **ended)
        kept = await asking.status(token)
        await asking.forget()
        return before, kept, await asking.status(token)

    statuses, records = asked(realm, tmp_path, story, introspection=True)

    assert (200, 200, 401) == statuses
    assert "inactive_token" == records[-1]["reason"]


def test_keycloak_does_not_sign_its_answers_so_none_is_believed_where_they_must_be(realm, tmp_path):
    async def story(asking):
        status = await asking.status("an-opaque-token")
        return status, [each.cause for each in asking.service.key_problems()]

    signed = f"{block('keycloak', 'yaml', 1)}      signed: true\n    audiences:"
    (status, causes), _ = asked(realm, tmp_path, story, edit=("    audiences:", signed))

    assert (503, ["introspection failed: the answer is not signed by the issuer, for this client, now"]) == (
        status,
        causes,
    )


def _claims(token):
    return json.loads(unbase64url(re.split(r"\.", token)[1]))

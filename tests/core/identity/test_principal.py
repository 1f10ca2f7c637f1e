"""Who calls, and why not: what of it is shown, and what nobody is."""

import dataclasses

import pytest

from authz.core.identity.principal import ANONYMOUS, Caller, Principal, TokenRejected, Unverified, malformed
from authz.core.reasons import Reason
from tests.support.core import principal

REFUSED = TokenRejected(
    reason=Reason.UNKNOWN_KEY, detail="no such key", issuer="https://i.example/", kid="CANARY"
)


def test_a_malformed_token_has_its_detail_and_belongs_to_no_issuer():
    assert TokenRejected(reason=Reason.MALFORMED_TOKEN, detail="two dots") == malformed("two dots")
    assert ("", None) == (malformed("two dots").issuer, malformed("two dots").kid)


@pytest.mark.parametrize("shown", [REFUSED, principal(secret="CANARY")], ids=["refusal", "principal"])
def test_what_the_sender_chose_is_not_shown(shown):
    assert "CANARY" not in repr(shown)


def test_a_token_about_which_the_issuer_must_be_asked_is_not_shown_either():
    rejected = dataclasses.replace(REFUSED, question="CANARY")

    assert "" == REFUSED.question
    assert "CANARY" not in repr(rejected)


def test_a_caller_is_a_principal_at_one_server_with_its_grants_as_sets():
    given = dataclasses.replace(principal("a", roles=("r",)), groups=("g", "h"))
    caller = Caller.of(given, "files", 7.0, issuer="main")

    assert (given, "files", 7.0, "main") == (caller.principal, caller.server, caller.ends, caller.issuer)
    assert ({"a"}, {"r"}, {"g", "h"}) == (caller.scopes, caller.roles, caller.groups)
    assert (None, "") == (Caller.of(given, "files").ends, Caller.of(given, "files").issuer)
    assert "" == Caller(given, "files", frozenset(), frozenset()).issuer
    assert "cache" not in repr(caller)


def test_nobody_in_particular_has_no_grant_and_no_claim():
    granted = (ANONYMOUS.issuer, ANONYMOUS.subject, ANONYMOUS.client, *ANONYMOUS.scopes, *ANONYMOUS.roles)

    assert not any(granted)
    assert ("", (), 0.0) == (ANONYMOUS.holder, ANONYMOUS.groups, ANONYMOUS.expires)
    assert {} == ANONYMOUS.claims


@pytest.mark.parametrize("value", [REFUSED, ANONYMOUS], ids=["refusal", "principal"])
def test_neither_can_be_changed_afterwards(value):
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, getattr(value, field.name))


def test_two_callers_are_one_where_every_field_is_equal():
    assert principal("a") == principal("a")
    assert all(
        principal("a") != dataclasses.replace(principal("a"), **change)
        for change in (
            {"issuer": "x"},
            {"subject": "x"},
            {"client": "x"},
            {"scopes": ()},
            {"roles": ("x",)},
            {"groups": ("x",)},
            {"claims": {}},
        )
    )
    assert isinstance(principal("a"), Principal)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, ("", "", "")),
        ({"iss": "i", "aud": "a", "azp": "c", "client_id": "d"}, ("i", "a", "c")),
        ({"client_id": "d"}, ("", "", "d")),
        ({"aud": ["a", 7, "b"]}, ("", "a, b", "")),
        ({"aud": ["a", "b", "c", "d", "e"]}, ("", "a, b, c, d", "")),
        ({"iss": 7, "aud": {}, "azp": None}, ("", "", "")),
        ({"iss": "i" * 300, "aud": ["a" * 300]}, ("i" * 256, "a" * 256, "")),
        ({"azp": "\ud800"}, ("", "", "?")),
    ],
)
def test_what_a_refused_token_says_of_itself_is_short_and_text(claims, expected):
    said = Unverified.of(claims)

    assert expected == (said.iss, said.aud, said.azp)


def test_a_token_that_was_not_read_says_nothing_of_itself():
    assert Unverified.of({}) == Unverified()

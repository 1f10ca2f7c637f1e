"""Who calls, and why not: what of it is shown, and what nobody is."""

import dataclasses

import pytest

from authz.core.identity.principal import ANONYMOUS, Principal, TokenRejected, malformed
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


def test_nobody_in_particular_has_no_grant_and_no_claim():
    granted = (ANONYMOUS.issuer, ANONYMOUS.subject, ANONYMOUS.client, *ANONYMOUS.scopes, *ANONYMOUS.roles)

    assert not any(granted)
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

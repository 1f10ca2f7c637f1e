"""What a user may be granted at the demo issuer, and the status of each error."""

import pytest

from authz.demo.issuer.grants import (
    USERS,
    OAuthError,
    User,
    find_user,
    grantable_scopes,
    refuse,
    requested_audience,
)


@pytest.mark.parametrize(
    ("form", "user"),
    [
        ({}, USERS["demo"]),
        ({"login_hint": "admin"}, USERS["admin"]),
        (
            {"login_hint": "reader", "roles": "a b"},
            User(sub="auth0|reader", scopes=frozenset({"files:read"}), roles=("a", "b")),
        ),
        ({"login_hint": "admin", "roles": ""}, User(sub="auth0|admin", scopes=USERS["admin"].scopes)),
    ],
)
def test_the_hint_names_the_user_and_roles_replace_the_users_own(form, user):
    assert user == find_user(form)


def test_a_hint_that_names_no_user_is_denied():
    with pytest.raises(OAuthError) as refused:
        find_user({"login_hint": "stranger"})

    assert (403, "access_denied") == (refused.value.status, refused.value.error)


@pytest.mark.parametrize(
    ("form", "audience"),
    [
        ({}, ""),
        ({"resource": "r"}, "r"),
        ({"audience": "a"}, "a"),
        ({"audience": "a", "resource": "r"}, "a"),
        ({"audience": "", "resource": "r"}, "r"),
    ],
)
def test_audience_wins_over_resource(form, audience):
    assert audience == requested_audience(form)


@pytest.mark.parametrize(
    ("requested", "granted"),
    [("", ""), ("b a", "b a"), ("a c a", "a"), ("aa", ""), ("  a   b ", "a b")],
)
def test_only_allowed_scopes_are_granted_each_once_in_the_order_of_the_request(requested, granted):
    assert granted == grantable_scopes(requested, frozenset({"a", "b"}))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("authorization_pending", 403),
        ("slow_down", 429),
        ("invalid_client", 401),
        ("invalid_grant", 403),
        ("invalid_request", 400),
        ("invalid_target", 400),
    ],
)
def test_an_error_has_the_status_that_auth0_sends(error, status):
    with pytest.raises(OAuthError) as refused:
        refuse(error, "why")

    assert (status, {"error": error, "error_description": "why"}) == (
        refused.value.status,
        refused.value.body(),
    )

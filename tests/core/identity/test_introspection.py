"""Tokens that say nothing by themselves: whom to ask about them, and what an answer is worth."""

import base64
import json

import pytest

from authz.core.authentication import Authenticator
from authz.core.identity.issuer import Introspect
from authz.core.identity.principal import Caller, TokenRejected
from authz.core.identity.token import TokenAnswer, issuer_to_ask, judge_answer
from authz.core.reasons import Reason
from tests.support.core import good_token, server
from tests.support.tokens import AUDIENCE, ISSUER, NOW, claims, good_keys, token, trust

OPAQUE = trust(introspect=Introspect.OPAQUE)
ALL = trust(introspect=Introspect.ALL)
OTHER = trust(issuer="https://other.example/")
FOREIGN = token(claims(iss="https://other.example/"))
SAID = {"sub": "alice", "client_id": "cli", "scope": "a b", "aud": AUDIENCE}


def encrypted():
    header = (
        base64.urlsafe_b64encode(json.dumps({"alg": "dir", "enc": "A256GCM"}).encode()).rstrip(b"=").decode()
    )
    return f"{header}..AAAA.BBBB.CCCC"


@pytest.mark.parametrize(
    ("sent", "issuers", "asked"),
    [
        ("opaque", [OPAQUE], OPAQUE),
        ("ory_at_abc.def", [OPAQUE], OPAQUE),
        ("v4.public.abc", [OPAQUE], OPAQUE),
        (encrypted(), [OPAQUE], OPAQUE),
        ("opaque", [OTHER, OPAQUE], OPAQUE),
        ("opaque", [OTHER], None),
        ("opaque", [], None),
        (good_token(), [OPAQUE], None),
        (good_token(), [ALL], ALL),
        (FOREIGN, [ALL, OTHER], None),
        (FOREIGN, [ALL], None),
        (good_token().replace(".", ".!", 1), [ALL], None),
        (good_token(), [OTHER], None),
    ],
)
def test_an_issuer_is_asked_about_what_it_alone_can_tell(sent, issuers, asked):
    assert asked is issuer_to_ask(sent, issuers)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (SAID, None),
        ({**SAID, "iss": ISSUER}, None),
        ({**SAID, "exp": int(NOW) + 5}, None),
        (None, Reason.INACTIVE_TOKEN),
        ({**SAID, "iss": "https://other.example/"}, Reason.UNKNOWN_ISSUER),
        ({**SAID, "aud": "another"}, Reason.WRONG_AUDIENCE),
        ({name: value for name, value in SAID.items() if name != "aud"}, Reason.WRONG_AUDIENCE),
        ({**SAID, "exp": int(NOW) - 100}, Reason.EXPIRED_TOKEN),
        ({**SAID, "exp": "never"}, Reason.BAD_CLAIMS),
        ({**SAID, "token_use": "id"}, Reason.BAD_CLAIMS),
        ({"aud": AUDIENCE}, Reason.BAD_CLAIMS),
    ],
)
@pytest.mark.requirement("reason.inactive_token")
def test_an_answer_is_judged_as_the_claims_of_a_token_are(said, reason):
    found = judge_answer(TokenAnswer(claims=said, until=NOW + 60), OPAQUE, NOW)

    assert reason is (found.reason if isinstance(found, TokenRejected) else None)
    assert ISSUER == found.issuer


class Answers:
    """Answers as they are at hand, and how often they were looked for."""

    def __init__(self, **known):
        self.known, self.looked = known, 0

    def __call__(self, issuer, sent):
        assert issuer == ISSUER
        self.looked += 1
        return self.known.get(sent)


def authenticator(answers):
    counts = []
    return Authenticator(lambda _: good_keys(), counts.append, size=10, find_answer=answers), counts


TARGET = server(issuers={ISSUER: OPAQUE})


def test_a_token_that_nobody_was_asked_about_is_refused_for_want_of_an_answer_and_not_as_wrong():
    subject, counts = authenticator(Answers())
    refused = subject.authenticate(TARGET, "Bearer opaque", NOW)

    assert (Reason.KEYS_UNAVAILABLE, ISSUER, "opaque") == (refused.reason, refused.issuer, refused.question)
    assert "opaque" not in repr(refused)
    assert [] == counts


def test_an_answer_makes_a_caller_who_is_cached_until_it_is_too_old():
    answers = Answers(opaque=TokenAnswer(claims={**SAID, "exp": int(NOW) + 900}, until=NOW + 60))
    subject, counts = authenticator(answers)
    first, second = (subject.authenticate(TARGET, "Bearer opaque", NOW + at) for at in (0, 59))
    answers.known.clear()
    late = subject.authenticate(TARGET, "Bearer opaque", NOW + 60)

    assert isinstance(first, Caller)
    assert first is second
    assert ("alice", ("a", "b"), NOW + 960) == (first.principal.subject, first.principal.scopes, first.ends)
    assert "opaque" == late.question
    assert ["miss", "hit"] == counts


def test_a_token_that_its_issuer_no_longer_vouches_for_is_refused_each_time():
    subject, counts = authenticator(Answers(opaque=TokenAnswer(claims=None, until=NOW + 60)))
    found = [subject.authenticate(TARGET, "Bearer opaque", NOW) for _ in range(2)]

    assert [Reason.INACTIVE_TOKEN] * 2 == [each.reason for each in found]
    assert (["refused"] * 2, 0) == (counts, len(subject))


def test_a_caller_whose_token_names_no_end_has_none():
    subject, _ = authenticator(Answers(opaque=TokenAnswer(claims=SAID, until=NOW + 60)))

    assert subject.authenticate(TARGET, "Bearer opaque", NOW).ends is None


def test_a_signed_token_of_an_issuer_with_keys_is_verified_and_not_asked_about():
    answers = Answers()
    subject, _ = authenticator(answers)

    assert isinstance(subject.authenticate(TARGET, f"Bearer {good_token()}", NOW), Caller)
    assert 0 == answers.looked

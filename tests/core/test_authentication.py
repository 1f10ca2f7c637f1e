import tracemalloc
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.core.authentication import Authenticator, KnownCaller
from authz.core.identity.principal import ANONYMOUS, Caller, Principal, TokenRejected
from authz.core.policy.policy import Policy
from authz.core.reasons import Reason
from authz.core.servers import Server
from tests.support.tokens import AUDIENCE, ISSUER, KID, NOW, claims, jwk, key_set, rsa_key, token, trust

OTHER = "https://other.example/"


def server(name="files", **terms):
    return Server(
        name=name,
        hosts=frozenset({"mcp.example"}),
        path="/mcp",
        resource="https://mcp.example/mcp",
        issuers={issuer: trust(issuer=issuer, **terms) for issuer in (ISSUER, OTHER)},
        policy=Policy(rules=()),
    )


SECOND = rsa_key(serial=1)


def one_key(private=None, kid=KID):
    return key_set(jwk(private or rsa_key(), kid=kid))


@dataclass
class World:
    """Tokens, with time and keys in the test's hands."""

    size: int = 10
    now: float = NOW
    sets: dict = field(default_factory=lambda: {ISSUER: one_key(), OTHER: one_key()})
    outcomes: list = field(default_factory=list)

    def __post_init__(self):
        self.tokens = Authenticator(self.sets.get, self.outcomes.append, size=self.size)

    def authenticate(self, at, header):
        return self.tokens.authenticate(at, header, self.now)

    def ask(self, text, at=None):
        return said(self.authenticate(at or server(), f"Bearer {text}"))


def said(result):
    """What an answer says: the principal, or the reason."""
    return result.principal if isinstance(result, Caller) else result.reason


def test_a_token_is_verified_once_and_then_remembered():
    world = World()

    first = world.authenticate(server(), f"Bearer {token()}")
    assert first is world.authenticate(server(), f"Bearer {token()}")
    assert ["miss", "hit"] == world.outcomes
    assert "auth0|alice" == first.principal.subject


@pytest.mark.parametrize("header", [None, "", "Basic eA==", "Bearer ", "Bearer a b", "Bearer a,Bearer b"])
def test_a_header_without_a_token_is_refused_and_not_remembered(header):
    world = World()

    assert isinstance(world.authenticate(server(), header), TokenRejected)
    assert (["refused"], 0) == (world.outcomes, len(world.tokens))


LIVES = {
    "exp": ({"exp": int(NOW) + 100}, {"leeway": 0}, 100, Reason.EXPIRED_TOKEN),
    "exp and leeway": ({"exp": int(NOW) + 100}, {"leeway": 60}, 160, Reason.EXPIRED_TOKEN),
    "a fraction": ({"exp": NOW + 100.5}, {"leeway": 0}, 100.5, Reason.EXPIRED_TOKEN),
    "age": ({"iat": int(NOW)}, {"leeway": 0, "max_token_age": 50}, 50, Reason.EXPIRED_TOKEN),
    "age and leeway": ({"iat": int(NOW) - 10}, {"leeway": 5, "max_token_age": 50}, 45, Reason.EXPIRED_TOKEN),
    "exp before age": ({"exp": int(NOW) + 20}, {"leeway": 0, "max_token_age": 50}, 20, Reason.EXPIRED_TOKEN),
}


@pytest.mark.parametrize("name", LIVES)
def test_a_remembered_token_dies_at_the_moment_at_which_it_would_be_refused(name):
    changes, terms, seconds, reason = LIVES[name]
    world, at, text = World(), server(**terms), token(claims(**changes))

    assert isinstance(world.ask(text, at), Principal)
    world.now = NOW + seconds - 0.001
    assert isinstance(world.ask(text, at), Principal)
    world.now = NOW + seconds
    assert reason == world.ask(text, at)
    assert ["miss", "hit", "refused"] == world.outcomes
    assert 0 == len(world.tokens)


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_clock_that_was_set_back_makes_a_remembered_token_wait_like_any_other(claim):
    world, text = World(), token(claims(**{claim: int(NOW)}))

    assert isinstance(world.ask(text), Principal)
    world.now = NOW - 61
    assert Reason.NOT_YET_VALID == world.ask(text)


KEY_EVENTS = {
    "replaced": (one_key(SECOND, kid="key-2"), Reason.UNKNOWN_KEY),
    "replaced under the same name": (one_key(SECOND), Reason.BAD_SIGNATURE),
    "gone": (None, Reason.KEYS_UNAVAILABLE),
}


@pytest.mark.parametrize("name", KEY_EVENTS)
def test_a_remembered_token_dies_with_its_key_without_anybody_clearing_the_table(name):
    keys, reason = KEY_EVENTS[name]
    world = World()

    assert isinstance(world.ask(token()), Principal)
    world.sets[ISSUER] = keys
    assert reason == world.ask(token())
    assert 0 == len(world.tokens)


def test_the_keys_of_one_issuer_do_not_touch_the_tokens_of_another():
    world, other = World(), token(claims(iss=OTHER))
    world.ask(token())
    world.ask(other)

    world.sets[ISSUER] = None
    world.ask(other)
    assert ["miss", "miss", "hit"] == world.outcomes


def test_clearing_forgets_all():
    world = World()
    world.ask(token())

    world.tokens.clear()
    assert 0 == len(world.tokens)
    world.ask(token())
    assert ["miss", "miss"] == world.outcomes


def test_a_token_of_one_server_is_not_a_token_of_another():
    world, text = World(), token()
    here, there = server("files"), server("mail", audiences=frozenset({"https://mail.example/mcp"}))

    assert isinstance(world.ask(text, here), Principal)
    assert Reason.WRONG_AUDIENCE == world.ask(text, there)
    assert Reason.WRONG_AUDIENCE == world.ask(text, there)
    assert isinstance(world.ask(text, here), Principal)
    assert ["miss", "refused", "refused", "hit"] == world.outcomes


def test_one_token_at_two_servers_is_two_callers():
    world, text = World(), token()

    callers = [world.authenticate(server(name), f"Bearer {text}") for name in ("files", "mail", "files")]
    assert ["files", "mail", "files"] == [caller.server for caller in callers]
    assert callers[0].cache is not callers[1].cache


def test_the_oldest_token_is_forgotten_first_however_often_it_was_used():
    world = World(size=2)
    a, b, c = (token(claims(sub=name)) for name in "abc")

    for text in (a, b, a, c, b, a):
        world.ask(text)
    assert ["miss", "miss", "hit", "miss", "hit", "miss"] == world.outcomes
    assert 2 == len(world.tokens)


def bad_tokens(count):
    """Distinct tokens of every cheap kind of bad, and some that are well signed but for a letter."""
    header, payload, signature = token().split(".")
    for number in range(count):
        word = f"x{number}"
        yield (
            f"{header}.{payload}.{word}{signature[len(word) :]}",
            f"{header}.{payload}{word}.{signature}",
            word,
            f"{word}.{word}.{word}",
        )[number % 4]


def test_ten_thousand_bad_tokens_neither_push_a_good_one_out_nor_add_to_the_table():
    world = World(size=4)
    world.ask(token())
    list(map(world.ask, bad_tokens(100)))

    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for text in bad_tokens(10_000):
        assert not isinstance(world.ask(text), Principal)
    world.outcomes.clear()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert 1 == len(world.tokens)
    assert grown < 100_000
    world.ask(token())
    assert ["hit"] == world.outcomes


def test_the_table_is_keyed_by_a_digest_and_holds_no_token():
    world, text = World(), token()
    world.ask(text)

    ((digest, name),) = world.tokens._verified
    assert (32, "files") == (len(digest), name)
    held = repr(world.tokens._verified) + repr(vars(world.tokens))
    header, payload, signature = text.split(".")
    assert [False, False] == [secret in held for secret in (payload, signature)]
    assert header in held  # names an algorithm and a key, as all tokens of the issuer do


def test_a_claim_that_cannot_be_a_moment_is_refused_with_and_without_memory():
    world = World()

    for value in (True, "1", None, [1]):
        assert Reason.BAD_CLAIMS == world.ask(token(claims(nbf=value)))
    assert 0 == len(world.tokens)


SETS = [
    None,
    one_key(),
    one_key(SECOND),
    one_key(SECOND, kid="key-2"),
    key_set(jwk(rsa_key()), jwk(SECOND, kid="key-2")),
]
SERVERS = [
    server("files"),
    server("mail", leeway=0, max_token_age=40),
    server("else", audiences=frozenset({AUDIENCE, "https://else.example"}), types=frozenset({"at+jwt"})),
]
SHORT = {"exp": int(NOW) + 30, "iat": int(NOW)}
TEXTS = [
    token(),
    token(claims(**SHORT)),
    token(claims(nbf=int(NOW) + 50)),
    token(claims(**SHORT), typ="at+jwt"),
    token(claims(**SHORT), SECOND),
    token(claims(**SHORT), SECOND, kid="key-2"),
    token(claims(aud="https://else.example")),
    token(claims(iss=OTHER, **SHORT)),
    token(claims(iss="https://nobody.example/")),
    token(claims(exp=NOW + 12.5, iat=...)),
    "opaque",
]
EVENTS = st.one_of(
    st.tuples(st.just("pass"), st.integers(-90, 90) | st.sampled_from([0.5, 12.5, 59.75])),
    st.tuples(st.just("rotate"), st.sampled_from([ISSUER, OTHER]), st.sampled_from(SETS)),
    st.tuples(st.just("ask"), st.sampled_from(TEXTS), st.sampled_from(SERVERS)),
    st.tuples(st.just("ask"), st.sampled_from(TEXTS), st.sampled_from(SERVERS)),
)


@given(events=st.lists(EVENTS, max_size=40), size=st.integers(1, 6))
@settings(max_examples=150, deadline=None)
def test_remembering_changes_no_answer(events, size):
    with_memory, without = World(size=size), World(size=0)

    for what, *rest in events:
        for world in (with_memory, without):
            if what == "pass":
                world.now += rest[0]
            elif what == "rotate":
                world.sets[rest[0]] = rest[1]
        if what == "ask":
            assert without.ask(*rest) == with_memory.ask(*rest)
    assert len(with_memory.tokens) <= size
    assert "hit" not in without.outcomes


def test_a_remembered_token_is_a_hit_from_its_first_moment_on():
    world = World()
    text = token(claims(nbf=int(NOW) + 60, iat=...))  # the leeway is a minute

    assert [Principal, Principal] == [type(world.ask(text)) for _ in range(2)]
    assert ["miss", "hit"] == world.outcomes


@pytest.mark.parametrize(
    "answer",
    [Caller.of(ANONYMOUS, "files"), TokenRejected(reason=Reason.BAD_CLAIMS, detail="exp is missing")],
)
def test_a_question_about_a_policy_is_answered_with_the_caller_or_the_rejection_it_brings(answer):
    assert answer is KnownCaller(answer).authenticate(server(), None, NOW)

"""One service and the policies that take each other's place in it: what changes, what stays, what is only compared."""

import asyncio
import dataclasses
import hashlib
import io
import json
import time
from functools import cache

import pytest
import structlog
from envoy.service.auth.v3 import external_auth_pb2 as auth_pb
from google.protobuf.json_format import MessageToDict

from authz.config.load import load
from authz.config.settings import IssuerKeys
from authz.core.identity.jwks import KeySet
from authz.core.mcp.item import Item, Kind, ListName
from authz.core.reasons import Reason
from authz.edge.envoy.check_response import allow
from authz.edge.envoy.ext_authz import decide
from authz.edge.service import Service
from authz.edge.telemetry.audit_log import AuditLog
from authz.edge.telemetry.counters import no_mark
from tests.support import core, tokens
from tests.support.jwks_server import IssuerSite, https, page
from tests.support.policy_files import NATIVE
from tests.support.rpc import CallHere
from tests.support.waiting import DEADLINE

KEYS = json.dumps({"keys": [tokens.jwk(tokens.rsa_key(), use="sig", alg="RS256")]}).encode()
INLINE = {tokens.ISSUER: IssuerKeys(issuer=tokens.ISSUER, inline=KEYS)}
ECHO, LIST = NATIVE, NATIVE.replace("[echo]", "[list_files]")
WHEN = NATIVE + "        when: jwt.level == 'LEVEL'\n"


def settings(tmp_path, text=NATIVE, candidate=None, keys=INLINE):
    """Load a policy with its candidate; the keys are given, so nothing is fetched unless asked for."""
    if candidate is not None:
        (tmp_path / "other.yaml").write_text(candidate)
        text += "candidate: other.yaml\n"
    (tmp_path / "policy.yaml").write_text(text)
    loaded = load(str(tmp_path / "policy.yaml"), environment={})
    return dataclasses.replace(loaded, keys=keys, check_seconds=DEADLINE)


@pytest.fixture
def serve():
    """Make services, with the stream of their audit log."""
    audits = []

    def serve_(given):
        stream = io.BytesIO()
        audits.append(AuditLog(stream))
        return Service(given, audits[-1]), stream

    yield serve_
    for audit in audits:
        audit.close()


@cache
def the_token():
    """The one token of these tests; some are about what is remembered of it."""
    return tokens.token(tokens.current(level="x"))


def asked(tool="echo", token=None):
    return core.call(tool, headers={"authorization": f"Bearer {token or the_token()}"})


def check(service, request=None, snapshot=None):
    return decide(request or asked(), snapshot or service.snapshots.current, time.perf_counter(), no_mark)


def apply(service, given):
    asyncio.run(asyncio.wait_for(service.apply(given), DEADLINE))


def test_a_reload_decides_by_the_new_policy_and_is_counted(serve, tmp_path):
    service, _ = serve(settings(tmp_path))
    assert check(service).allowed

    new = settings(tmp_path, LIST)
    apply(service, new)

    assert Reason.NO_RULE is check(service).reason
    assert check(service, asked("list_files")).allowed
    figures = service.metrics.render().decode()
    assert 'mcp_authz_policy_reloads_total{outcome="ok"} 1.0' in figures
    assert f'mcp_authz_policy_info{{hash="{new.digest}"}} 1.0' in figures


def test_a_failed_reload_is_counted_and_told_until_the_next_good_one(serve, tmp_path):
    service, _ = serve(settings(tmp_path))
    service.reload_failed("line 5")
    assert "line 5" == service.problem
    assert 'mcp_authz_policy_reloads_total{outcome="failed"} 1.0' in service.metrics.render().decode()

    service.reload_failed("")
    assert "" == service.problem
    assert 'mcp_authz_policy_reloads_total{outcome="failed"} 1.0' in service.metrics.render().decode()


def test_a_check_that_began_under_the_old_policy_finishes_under_it(serve, tmp_path):
    service, _ = serve(settings(tmp_path))
    began_under = service.snapshots.current
    apply(service, settings(tmp_path, LIST))

    assert check(service, snapshot=began_under).allowed
    assert not check(service, asked("list_files"), began_under).allowed


def test_remembered_conditions_of_a_token_die_with_the_policy_they_belong_to(serve, tmp_path):
    service, _ = serve(settings(tmp_path, WHEN.replace("LEVEL", "x")))
    said = [check(service).allowed, check(service).allowed]
    for level in ("y", "x", "y"):
        apply(service, settings(tmp_path, WHEN.replace("LEVEL", level)))
        said += [check(service).allowed, check(service).allowed]

    assert [True, True, False, False, True, True, False, False] == said


def test_terms_of_trust_that_became_stricter_count_for_a_token_that_was_accepted_before(serve, tmp_path):
    service, _ = serve(settings(tmp_path))
    assert check(service).allowed

    stricter = NATIVE.replace("    audiences:", "    required_claims: {tenant: acme}\n    audiences:")
    apply(service, settings(tmp_path, stricter))

    assert Reason.BAD_CLAIMS is check(service).reason


def listing(service, snapshot):
    """Return the metadata that the Check of a list leaves to the rewriter."""
    request = core.post(core.message("tools/list"), headers={"authorization": f"Bearer {the_token()}"})
    decision = check(service, request, snapshot)
    server = snapshot.servers[decision.server]
    response = auth_pb.CheckResponse.FromString(allow(decision, request, server, snapshot.digest, "0" * 16))
    return MessageToDict(response.dynamic_metadata)


def visible(reader):
    return [name for name in ("echo", "list_files") if reader.visible(Item(Kind.TOOL, name))]


@pytest.mark.requirement("protocol.policy-of-the-stream")
def test_a_list_is_trimmed_by_the_policy_of_its_check(serve, tmp_path):
    service, _ = serve(settings(tmp_path))
    before = listing(service, service.snapshots.current)
    apply(service, settings(tmp_path, LIST))
    after = listing(service, service.snapshots.current)

    assert ["echo"] == visible(service.response_context(before))
    assert ["list_files"] == visible(service.response_context(after))


def test_a_list_whose_policy_is_long_gone_is_trimmed_by_the_one_in_force(serve, tmp_path):
    service, _ = serve(settings(tmp_path))
    before = listing(service, service.snapshots.current)
    for number in range(10):
        apply(service, settings(tmp_path, f"{LIST}# {number}\n"))

    assert ["list_files"] == visible(service.response_context(before))


def test_keys_survive_a_reload(serve, tmp_path):
    service, _ = serve(settings(tmp_path))
    store, keys = service.keys, service.keys.keys(tokens.ISSUER)
    apply(service, settings(tmp_path, LIST))

    assert store is service.keys
    assert keys is service.keys.keys(tokens.ISSUER)


async def _until_keys(service, issuer):
    async with asyncio.timeout(DEADLINE):
        while service.keys.keys(issuer) is None:
            await service.keys.refetch(issuer, tokens.KID)
    return service.keys.keys(issuer)


def test_changed_issuers_are_fetched_and_the_others_keep_their_keys_meanwhile(serve, tmp_path):
    async def run():
        async with IssuerSite(pages={"/a": page(KEYS), "/b": page(KEYS)}) as site:
            first = {"https://a/": IssuerKeys(issuer="https://a/", jwks_uri=f"{site.url}/a")}
            second = first | {"https://b/": IssuerKeys(issuer="https://b/", jwks_uri=f"{site.url}/b")}
            service, _ = serve(settings(tmp_path, keys=first))
            await service.keys.start()
            known = await _until_keys(service, "https://a/")
            old = service.keys
            await service.apply(settings(tmp_path, LIST, keys=second))
            at_once = service.keys.keys("https://a/")
            fetched = await _until_keys(service, "https://b/")
            await service.keys.close()
            return known, at_once, fetched, site.paths, old._closed

    known, at_once, fetched, paths, closed = asyncio.run(run())

    assert known is at_once
    assert isinstance(fetched, KeySet)
    assert {"/a", "/b"} == set(paths)
    assert closed


CHANGES = {
    "the wait for stale keys": NATIVE + "keys: {stale_for_seconds: 3600}\n",
    "the cool-down": NATIVE + "keys: {cooldown_seconds: 5}\n",
    "a host for plain http": NATIVE + "insecure_hosts: [keys.internal]\n",
    "the authorities": NATIVE + "ca_file: authority.pem\n",
}


@pytest.mark.parametrize("text", CHANGES.values(), ids=CHANGES)
def test_another_way_of_fetching_keys_takes_force_and_keys_given_in_the_file_stay_at_hand(
    serve, tmp_path, text
):
    https(tmp_path)
    service, _ = serve(settings(tmp_path))
    store = service.keys

    async def run():
        await service.apply(settings(tmp_path, text))
        await service.keys.close()

    asyncio.run(run())

    assert store is not service.keys
    assert check(service).allowed


def test_other_authorities_in_the_same_file_are_another_way_of_fetching_keys(serve, tmp_path):
    https(tmp_path)
    service, _ = serve(settings(tmp_path, CHANGES["the authorities"]))
    store = service.keys
    apply(service, settings(tmp_path, CHANGES["the authorities"]))
    assert store is service.keys

    https(tmp_path)
    apply(service, settings(tmp_path, CHANGES["the authorities"]))
    assert store is not service.keys


def test_authorities_are_those_that_were_read_whatever_becomes_of_their_file(serve, tmp_path):
    https(tmp_path)
    service, _ = serve(settings(tmp_path))
    store = service.keys
    new = settings(tmp_path, NATIVE + "ca_file: authority.pem\n")
    (tmp_path / "authority.pem").unlink()
    apply(service, new)

    assert store is not service.keys
    assert check(service).allowed


def test_authorities_that_cannot_be_used_leave_everything_as_it_was(serve, tmp_path):
    service, _ = serve(settings(tmp_path))
    state, store = service.snapshots.current, service.keys
    with pytest.raises(OSError):
        apply(service, dataclasses.replace(settings(tmp_path, LIST), authorities=""))

    assert (state, store) == (service.snapshots.current, service.keys)
    assert check(service).allowed


def test_the_bounds_of_the_file_are_those_of_the_key_store(serve, tmp_path):
    text = NATIVE + "keys: {stale_for_seconds: 3600, cooldown_seconds: 5, unknown_names: 7}\n"
    service, _ = serve(settings(tmp_path, text))
    schedule = service.keys._schedule

    assert (3600, 5, 7) == (schedule.stale_for, schedule.cooldown, schedule.max_unknown)


# policy in force, candidate, tool: whether it is allowed, and what is noted.
CANDIDATES = [
    (ECHO, ECHO, "echo", True, ()),
    (ECHO, LIST, "echo", True, ("candidate",)),
    (ECHO, LIST, "list_files", False, ("candidate",)),
    (ECHO, LIST, "other", False, ()),
    (
        ECHO,
        NATIVE.replace("mcp.example/mcp\n    issuers", "mcp.example/other\n    issuers"),
        "echo",
        True,
        ("candidate",),
    ),
    (ECHO, NATIVE.replace("    audiences: [", "    audiences: [https://x.example/, "), "echo", True, ()),
    (
        ECHO,
        NATIVE.replace("audiences: [https://mcp.example/mcp]", "audiences: [https://x]"),
        "echo",
        True,
        ("candidate",),
    ),
    (
        NATIVE + "      - {name: guard, deny: {tools: [echo]}, shadow: true}\n",
        LIST,
        "echo",
        True,
        ("guard", "candidate"),
    ),
]


@pytest.mark.parametrize(("text", "candidate", "tool", "allowed", "shadows"), CANDIDATES)
def test_a_candidate_is_compared_and_changes_no_answer(
    serve, tmp_path, text, candidate, tool, allowed, shadows
):
    alone, _ = serve(settings(tmp_path, text))
    beside, _ = serve(settings(tmp_path, text, candidate))
    requests = [asked(tool), asked(tool)]  # the second time the token is remembered

    for request in requests:
        expected, made = (check(service, request) for service in (alone, beside))
        assert (allowed, shadows) == (made.allowed, made.shadows)
        assert {**core.told(expected), "shadows": shadows} == core.told(made)


def test_a_token_that_only_the_candidate_accepts_is_still_refused(serve, tmp_path):
    strict = NATIVE.replace("    audiences:", "    required_claims: {tenant: acme}\n    audiences:")
    service, _ = serve(settings(tmp_path, strict, NATIVE))

    said = [check(service) for _ in range(3)]
    assert [(Reason.BAD_CLAIMS, ("candidate",))] * 3 == [(made.reason, made.shadows) for made in said]


class Broken:
    """A directory that fails."""

    servers = ()

    def select(self, host, path):
        raise ZeroDivisionError(host)


@pytest.mark.parametrize(("tool", "shadows"), [("echo", ("candidate",)), ("list_files", ())])
def test_a_candidate_that_fails_counts_as_one_that_denies_and_changes_nothing(serve, tmp_path, tool, shadows):
    given = settings(tmp_path, ECHO, ECHO)
    broken = dataclasses.replace(given, candidate=dataclasses.replace(given.candidate, directory=Broken()))
    service, _ = serve(broken)
    made = check(service, asked(tool))

    assert (tool == "echo", shadows) == (made.allowed, made.shadows)


@pytest.mark.parametrize(("ago", "shadows"), [(0, ("candidate",)), (DEADLINE, ())])
def test_a_candidate_is_not_asked_when_time_is_up(serve, tmp_path, ago, shadows):
    service, _ = serve(settings(tmp_path, ECHO, LIST))
    made = decide(asked("list_files"), service.snapshots.current, time.perf_counter() - ago, no_mark)

    assert (Reason.NO_RULE, shadows) == (made.reason, made.shadows)


def test_how_long_a_decision_takes_is_no_disagreement(serve, tmp_path):
    service, _ = serve(settings(tmp_path, ECHO, ECHO + "limits: {check_ms: 10}\n"))
    made = decide(asked(), service.snapshots.current, time.perf_counter() - 1, no_mark)

    assert (True, ()) == (made.allowed, made.shadows)


def test_a_disagreement_is_in_the_record_and_the_metric_and_not_in_the_answer(serve, tmp_path):
    service, stream = serve(settings(tmp_path, ECHO, LIST))
    message = auth_pb.CheckRequest()
    http, request = message.attributes.request.http, asked()
    http.method, http.host, http.path, http.raw_body = "POST", request.host, request.path, request.body
    http.headers.update(request.headers)
    answer = asyncio.run(
        asyncio.wait_for(service.checker().check(message.SerializeToString(), CallHere()), DEADLINE)
    )
    service.audit.close()
    (record,) = map(json.loads, stream.getvalue().splitlines())

    assert 0 == auth_pb.CheckResponse.FromString(answer).status.code
    assert b"candidate" not in answer
    assert ("allow", ["candidate"]) == (record["decision"], record["shadows"])
    sample = 'mcp_authz_shadow_disagreements_total{rule="candidate",server="files"} 1.0'
    assert sample in service.metrics.render().decode()


def test_the_candidates_tokens_are_nobodys_traffic(serve, tmp_path):
    alone, _ = serve(settings(tmp_path, ECHO))
    beside, _ = serve(settings(tmp_path, ECHO, ECHO))
    figures = []
    for service in (alone, beside):
        check(service)
        check(service)
        rendered = service.metrics.render().decode().splitlines()
        figures.append([line for line in rendered if line.startswith("mcp_authz_token_cache_total")])

    assert figures[0] == figures[1]
    assert figures[0]


def test_a_candidates_lock_knows_of_the_changes_that_lists_showed(tmp_path, serve):
    locked = "lock: 1\ntools: [{name: echo, description: approved}]\n"
    (tmp_path / "tools.lock").write_text(locked)
    policy = NATIVE.replace("    rules:", "    lock: {file: tools.lock}\n    rules:")
    service, _ = serve(settings(tmp_path, policy, candidate=policy))
    lock = service.snapshots.current.servers["files"].lock
    before = check(service).shadows
    service.locks.sightings.note("files", lock, (ListName.TOOLS, "echo"), "sha256:changed")
    after = check(service)

    assert ((), (), Reason.ITEM_CHANGED) == (before, after.shadows, after.reason)


def test_the_log_says_which_lock_the_policys_digest_in_records_stands_for(tmp_path, serve):
    lock = tmp_path / "tools.lock"
    policy = NATIVE.replace("    rules:", "    lock: {file: tools.lock}\n    rules:")

    def load(description):
        lock.write_text(f"lock: 1\ntools: [{{name: echo, description: {description}}}]\n")
        return settings(tmp_path, policy)

    with structlog.testing.capture_logs() as logs:
        first, second = load("approved"), load("renewed")
        service, _ = serve(first)
        for renewed in (second, second):
            asyncio.run(service.apply(renewed))
    said = [(entry["server"], entry["policy"]) for entry in logs if entry["event"] == "lock in force"]
    digests = [entry["lock"] for entry in logs if entry["event"] == "lock in force"]

    assert [("files", first.digest), ("files", second.digest)] == said
    assert hashlib.sha256(lock.read_bytes()).hexdigest()[:16] == digests[1] != digests[0]

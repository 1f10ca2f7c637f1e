"""New policy files under a running service and a real Envoy: whole or not at all, and no answer lost on the way."""

import json
import signal

import httpx
import pytest

from tests.support.load import LIST, Load
from tests.support.running import another_gateway, metrics
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import ask, call

pytestmark = pytest.mark.envoy

OPEN = "tools: [echo, get_user_info]"
BAD = "        scoops: [a]\n"
RELOADS = "mcp_authz_policy_reloads_total"
FILES = 40


class Reloaded:
    """A gateway whose policy file is rewritten."""

    def __init__(self, stack, name, prepare=lambda _: None):
        self.stack = stack
        self.gateway = another_gateway(stack, name, edit=lambda text: text)
        self.text = self.gateway.policy.read_text()
        prepare(self)
        self.gateway.start()
        self.port = self.gateway.ports.envoy
        self.token = stack.token()

    def put(self, text):
        """Replace the file in one step."""
        beside = self.gateway.policy.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self.gateway.policy)

    def only(self, tool):
        """Give the policy that opens one of the two tools that need no scope."""
        assert self.text.count(OPEN) == 1
        return self.text.replace(OPEN, f"tools: [{tool}]")

    def hup(self):
        self.stack.supervisor.send(self.gateway.service_name, signal.SIGHUP)

    def count(self, outcome):
        return metrics(self.gateway).get(f'{RELOADS}{{outcome="{outcome}"}}', 0.0)

    def ready(self):
        answer = httpx.get(f"{self.gateway.http}/readyz", trust_env=False, timeout=DEADLINE)
        return answer.status_code, answer.json()

    def allows(self, tool):
        return not ask(self.port, self.token, call(tool)).reason

    def log(self):
        lines = self.stack.supervisor.log(self.gateway.service_name).read_text().splitlines()
        records = [json.loads(line) for line in lines if line.startswith("{")]
        return [record for record in records if "event" in record]


@pytest.fixture(scope="module")
def reloaded(stack):
    return Reloaded(stack, "reloaded")


@pytest.fixture(autouse=True)
def _restored(reloaded):
    yield
    reloaded.put(reloaded.text)
    reloaded.hup()
    assert eventually(lambda: reloaded.allows("echo") and reloaded.allows("get_user_info"))


def test_a_changed_file_takes_force_by_itself(reloaded):
    reloaded.put(reloaded.only("echo"))

    assert eventually(lambda: not reloaded.allows("get_user_info"))
    assert reloaded.allows("echo")


def test_a_swapped_config_map_takes_force(stack, tmp_path):
    def version(number, text):
        folder = tmp_path / f"..{number}"
        folder.mkdir()
        (folder / "policy.yaml").write_text(text)
        link = tmp_path / "..data_tmp"
        link.symlink_to(folder.name)
        link.replace(tmp_path / "..data")

    def mount(mounted):
        version(1, mounted.text)
        mounted.gateway.policy.unlink()
        mounted.gateway.policy.symlink_to(tmp_path / "..data" / "policy.yaml")

    mounted = Reloaded(stack, "mounted", mount)
    assert mounted.allows("get_user_info")

    version(2, mounted.only("echo"))
    assert eventually(lambda: not mounted.allows("get_user_info"))
    assert mounted.allows("echo")


def test_sighup_loads_at_once_even_what_did_not_change(reloaded):
    before, policy = reloaded.count("ok"), reloaded.ready()[1]["policy"]
    reloaded.hup()

    assert eventually(lambda: reloaded.count("ok") == before + 1)
    assert policy == reloaded.ready()[1]["policy"]


def test_a_bad_file_keeps_the_last_good_one_and_shows_on_readyz_in_the_metrics_and_in_the_log(reloaded):
    before, policy = reloaded.count("failed"), reloaded.ready()[1]["policy"]
    reloaded.put(reloaded.only("echo") + BAD)
    reloaded.hup()

    assert eventually(lambda: reloaded.ready()[1]["reload_problem"])
    status, said = reloaded.ready()
    assert (200, policy) == (status, said["policy"])
    assert f"{reloaded.gateway.policy}:" in said["reload_problem"]
    assert "scoops: unknown key (did you mean scopes?)" in said["reload_problem"]
    assert before < reloaded.count("failed")
    assert (
        said["reload_problem"]
        == [line["problem"] for line in reloaded.log() if line["event"].startswith("policy not reloaded")][-1]
    )
    assert reloaded.allows("echo")
    assert reloaded.allows("get_user_info")

    reloaded.put(reloaded.text)
    reloaded.hup()
    assert eventually(lambda: not reloaded.ready()[1]["reload_problem"])


ASKED = [call("echo"), LIST, call("get_user_info"), LIST, call("system_status")]


def tried(reloaded, _):
    """Count the files that were tried."""
    return reloaded.count("ok") + reloaded.count("failed")


def answered(_, loads):
    """Count the answers that were given."""
    return sum(len(load.answers) for load in loads)


def storm(reloaded, texts, loads, count):
    """Put the files in force one after the other, each as soon as the count has grown since the last."""
    for text in texts:
        before = count(reloaded, loads)
        reloaded.put(text)
        reloaded.hup()
        assert eventually(lambda before=before: count(reloaded, loads) > before)


@pytest.mark.parametrize(
    ("count", "least"), [(tried, FILES / 2), (answered, 0)], ids=["each tried", "faster"]
)
def test_a_storm_of_reloads_half_of_them_bad_loses_and_mistakes_no_answer(stack, reloaded, count, least):
    goods = {tool: reloaded.only(tool) for tool in ("echo", "get_user_info")}
    policies = {}
    for tool, other in (("echo", "get_user_info"), ("get_user_info", "echo")):
        reloaded.put(goods[tool])
        reloaded.hup()
        assert eventually(lambda other=other: not reloaded.allows(other))
        policies[tool] = reloaded.ready()[1]["policy"]
    begun = {outcome: reloaded.count(outcome) for outcome in ("ok", "failed")}

    subject = f"storm-{count.__name__}"
    loads = [Load(reloaded.port, stack.token(sub=subject), ASKED) for _ in range(2)]
    for load in loads:
        load.start()
    order = [goods["get_user_info"] + BAD, goods["get_user_info"], goods["echo"] + BAD, goods["echo"]]
    try:
        storm(reloaded, [order[number % 4] for number in range(FILES)], loads, count)
        # The last file is good, so it is in force in the end however many were passed over.
        assert eventually(lambda: reloaded.allows("echo") and not reloaded.allows("get_user_info"))
        before = answered(reloaded, loads)
        assert eventually(lambda: answered(reloaded, loads) > before + 2 * len(ASKED))
    finally:
        for load in loads:
            load.stop.set()
            load.join(DEADLINE)
    answers = [answer for load in loads for answer in load.answers]

    assert least <= reloaded.count("ok") - begun["ok"]
    assert least <= reloaded.count("failed") - begun["failed"]
    assert len(answers) > 20
    assert {200} == {status for status, *_ in answers}
    assert all(whole for _, whole, *_ in answers)
    assert {"", "no_rule"} == {reason for *_, reason, _ in answers}
    assert {("echo",), ("get_user_info",)} == {tools for *_, tools in answers if tools}

    records = eventually(lambda: of_subject(reloaded, subject, len(answers)))
    assert len(answers) == len(records)
    opened = {policy: tool for tool, policy in policies.items()}
    assert set(opened) == {record["policy"] for record in records}
    assert [] == [
        record for record in records if record["decision"] != expected(opened[record["policy"]], record)
    ]


def of_subject(reloaded, subject, count):
    """Give the records about a subject once they are all there."""
    records = [record for record in reloaded.gateway.records() if record.get("sub") == subject]
    return records if len(records) >= count else []


def expected(opened, record):
    """Give what a policy that opens one tool says."""
    return "allow" if record.get("tool") in {None, opened} else "deny"

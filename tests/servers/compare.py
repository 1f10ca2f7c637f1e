"""Compares what was heard of a server directly and through Envoy; every difference that may be is listed with its reason.

Two answers are the same when they are the same JSON after what no two calls have in common is replaced: ids of
requests, sealed state, times and random names.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.servers.asked import Heard, Message, Offer, Question, expanded

_REPLACED: Mapping[str, str] = {
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}": "UUID",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(Z|[+-]\d\d:\d\d)": "TIME",
    r"\d{1,2}:\d\d:\d\d( [AP]M)?": "TIME",
    r"(localhost|127\.0\.0\.1):\d+": "HOST",
}
_LISTS: Mapping[str, tuple[str, str]] = {
    "tools/list": ("tools", "name"),
    "prompts/list": ("prompts", "name"),
    "resources/list": ("resources", "uri"),
    "resources/templates/list": ("resourceTemplates", "uriTemplate"),
}
KNOWN = ("a list's cacheScope is private, whatever the server says, because it was cut for one caller",)
"""Differences that must be, and why."""


@dataclass(frozen=True)
class Difference:
    """One question that was answered otherwise."""

    label: str
    direct: str
    guarded: str


@dataclass(frozen=True)
class Rules:
    """What a restrictive policy allows of an offer: every second item of each list."""

    tools: frozenset[str]
    prompts: frozenset[str]
    resources: frozenset[str]
    templates: frozenset[str]

    @classmethod
    def halved(cls, offer: Offer) -> "Rules":
        """Allow the first, third, fifth and so on of each list."""
        return cls(
            frozenset(item["name"] for item in offer.tools[::2]),
            frozenset(item["name"] for item in offer.prompts[::2]),
            frozenset(item["uri"] for item in offer.resources[::2]),
            frozenset(item["uriTemplate"] for item in offer.templates[::2]),
        )

    def written(self) -> list[dict[str, Any]]:
        """Write them for the policy file."""
        patterns = sorted({*self.resources, *map(_pattern, self.templates)})
        kinds = {"tools": sorted(self.tools), "prompts": sorted(self.prompts), "resources": patterns}
        return [{"allow": {kind: names for kind, names in kinds.items() if names}}]

    def allows(self, question: Question) -> bool:
        """Whether a question's thing is allowed."""
        if question.kind == "resource":
            made = any(question.name == expanded(template) for template in self.templates)
            return question.name in self.resources or made
        kinds = {"tool": self.tools, "prompt": self.prompts, "template": self.templates}
        return question.kind not in kinds or question.name in kinds[question.kind]

    def listed(self, message: Message, method: str) -> Message:
        """Give a list as it must come."""
        member, key = _LISTS[method]
        allowed = {"tools": self.tools, "prompts": self.prompts, "resources": self.resources}.get(
            member, self.templates
        )
        result = message.get("result")
        if not result or member not in result:
            return message
        items = [item for item in result[member] if item[key] in allowed]
        return {**message, "result": {**result, member: items}}


def _pattern(template: str) -> str:
    return re.sub(r"\{[^}]*\}", "*", template)


class Comparison:
    """Compares runs of one server.

    Args:
        differs: patterns in what the server says that differ from call to call.
        unsteady: methods of what it sends in its own time.
    """

    def __init__(self, differs: Iterable[str] = (), unsteady: Iterable[str] = ()) -> None:
        self._patterns = {**dict.fromkeys(differs, "VARIES"), **_REPLACED}
        self._unsteady = frozenset(unsteady)

    def transparent(self, direct: Heard, guarded: Heard) -> list[Difference]:
        """Compare under a policy that allows everything."""
        return [
            *self._answers(direct, guarded, lambda question, messages: messages),
            *self._besides(direct, guarded),
        ]

    def restricted(self, direct: Heard, guarded: Heard, rules: Rules) -> list[Difference]:
        """Compare under a policy: what it allows is the same, lists are cut, everything else is refused."""

        def wanted(question: Question, messages: Sequence[Message]) -> Sequence[Message] | None:
            if question.kind == "list":
                return [rules.listed(message, question.name) for message in messages]
            return messages if rules.allows(question) else None

        return list(self._answers(direct, guarded, wanted))

    def _answers(
        self,
        direct: Heard,
        guarded: Heard,
        wanted: Callable[[Question, Sequence[Message]], Sequence[Message] | None],
    ) -> Iterator[Difference]:
        for question in {**direct.answers, **guarded.answers}:
            want = wanted(question, [_known(question, row) for row in direct.answers.get(question, [])])
            got = guarded.answers.get(question, [])
            if want is None:
                if not all(map(refusal, got)) or not got:
                    yield Difference(question.label, "a refusal with its reason", self.text(got))
            elif self.text(want) != self.text(got):
                yield Difference(question.label, self.text(want), self.text(got))

    def _besides(self, direct: Heard, guarded: Heard) -> Iterator[Difference]:
        left, right = (Counter(self.text([row]) for row in heard.besides) for heard in (direct, guarded))
        if left != right:
            yield Difference(
                "notifications", "\n".join((left - right).elements()), "\n".join((right - left).elements())
            )

    def text(self, messages: Sequence[Message]) -> str:
        """Write messages without what no two calls have in common."""
        steady = [_plain(message) for message in messages if message.get("method") not in self._unsteady]
        text = json.dumps(steady, sort_keys=True, indent=1)
        for pattern, word in self._patterns.items():
            text = re.sub(pattern, word, text)
        return text


def _known(question: Question, message: Message) -> Message:
    """Give what must come of a server's own message."""
    result = message.get("result")
    if question.kind == "list" and result and "cacheScope" in result:
        return {**message, "result": {**result, "cacheScope": "private"}}
    return message


def refusal(message: Message) -> bool:
    """Whether a message is the gateway's refusal, or only how the SDK gave it on."""
    if "raised" in message:
        return True
    said = message.get("error", {}).get("data") or message.get("result", {}).get("_meta") or {}
    return bool(said.get("reason")) and bool(said.get("decision_id"))


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    # The ids of requests are those of messages only; elsewhere an `id` is the server's own.
    dropped = {"id"} if "jsonrpc" in value else set()
    varies = {"progressToken", "requestState"}
    return {
        name: "VARIES" if name in varies else _plain(item)
        for name, item in value.items()
        if name not in dropped
    }


def results(heard: Heard) -> int:
    """Count the questions that were answered with a result that is no error."""
    return sum(
        any("result" in row and not row["result"].get("isError") for row in messages)
        for messages in heard.answers.values()
    )


def forbidden(arrived: Sequence[Mapping[str, str]], heard: Heard, rules: Rules) -> list[str]:
    """Give what arrived at the server although the rules forbid it."""
    names = {question.name for question in heard.answers if not rules.allows(question)}
    allowed = {question.name for question in heard.answers if rules.allows(question)}
    return sorted({f"{row['method']} {row['name']}" for row in arrived if row["name"] in names - allowed})

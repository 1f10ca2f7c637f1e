"""Why a recorded denial came, by the policy in force: what `mcp-authz explain` says, from what is still known of it.

Of the request neither arguments nor headers were kept, so parts of a rule that read them are not judged and say so.
"""

from authz.config.settings import Settings
from authz.core.identity.principal import Caller
from authz.core.mcp.item import Item
from authz.core.policy.context import EvaluationContext
from authz.core.policy.explain import Explanation, explain
from authz.core.policy.policy import Verdict
from authz.core.reasons import TABLE, Group, Reason
from authz.core.servers import Changed, Server, nothing_changed
from authz.edge.http.memory import Denial, Row, Why
from authz.edge.telemetry.denial_ring import KeptDenial
from authz.tools.explanation import list_entries
from authz.tools.explanation_text import rule_rows, sentence
from authz.tools.requests import post

NOT_KEPT = (
    "Arguments and headers of the request were not kept: what a rule asks of them is not judged here. "
    "`mcp-authz explain` takes them."
)
_UNKEPT = frozenset({"args", "request"})


def explain_denial(kept: KeptDenial, settings: Settings, changed: Changed = nothing_changed) -> Why:
    """Explain a denial by these settings; `changed` tells which locked items were last seen changed."""
    denial = kept.denial
    row = TABLE[Reason(denial.reason)]
    server = next((each for each in settings.directory.servers if each.name == denial.server), None)
    if kept.caller is None or server is None:
        return Why(denial=denial, text=row.text, now=_unjudged(server, denial))
    caller = _again(kept.caller, server)
    lists, grants = entries(server, caller), _grants(caller)
    if row.group is not Group.POLICY or kept.item is None:
        return Why(denial=denial, text=row.text, lists=lists, grants=grants, now=_unjudged(server, denial))

    def judge(context: EvaluationContext, item: Item) -> Verdict:
        return server.judge(context, item, changed)

    context = EvaluationContext(caller, post(server, b"", source=denial.source), denial.method, None)
    found = explain(server.policy, context, kept.item, server.lists_item, judge)
    return Why(
        denial=denial,
        text=row.text,
        now=_now(found, denial, settings.digest),
        rules=[each for seen in found.rules for each in rule_rows(seen)],
        changes=[sentence(change) for change in found.changes],
        lists=lists,
        grants=grants,
        notes=[NOT_KEPT] if _reads_unkept(found) else [],
    )


def entries(server: Server, caller: Caller) -> list[Row]:
    """Return each item that a rule names in full, and whether a caller sees it in lists."""
    return [
        (
            item.kind.value,
            item.name,
            "yes" if listed else "no",
            verdict.reason.value,
            verdict.rule.name if verdict.rule else "-",
        )
        for item, verdict, listed in list_entries(server, caller, {})
    ]


def _again(caller: Caller, server: Server) -> Caller:
    """Return the caller as the policy in force knows it, with nothing computed by an earlier one."""
    return Caller.of(caller.principal, server.name, issuer=caller.issuer)


def _grants(caller: Caller) -> list[Row]:
    held = (("scopes", caller.scopes), ("roles", caller.roles), ("groups", caller.groups))
    return [(name, " ".join(sorted(words)) or "-") for name, words in held]


def _unjudged(server: Server | None, denial: Denial) -> str:
    if server is None and denial.server:
        return f"The policy in force has no server {denial.server}."
    return "The request did not come to the rules."


def _now(found: Explanation, denial: Denial, digest: str) -> str:
    same = (
        "the policy that decided" if denial.policy == digest else "another policy than the one that decided"
    )
    verdict = found.verdict
    by = f" by {verdict.rule.name}" if verdict.rule else ""
    if verdict.reason is Reason.ALLOWED and denial.policy == digest:
        return "Without its arguments and headers this would be allowed: one of them was refused."
    return f"In force is {same}. It says {verdict.reason.value}{by}."


def _reads_unkept(found: Explanation) -> bool:
    rules = [seen.rule for seen in found.rules]
    read = [each.reads for rule in rules for each in (rule.when, rule.args) if each is not None]
    return any(rule.arguments or rule.locked for rule in rules) or any(reads & _UNKEPT for reads in read)

"""What an operator should worry about now: each in words, with its cure, the gravest first."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from authz.config.settings import Settings
from authz.core.reasons import TABLE, Reason
from authz.edge.http.console.activity import Activity
from authz.edge.http.console.summary import MetricsSummary
from authz.edge.http.console.tables import age
from authz.edge.http.memory import WorkerMemory
from authz.edge.http.status import WorkerStatus
from authz.edge.jwks.problem import INTROSPECTION_FAILED, KeyProblem
from authz.edge.telemetry.envoy_signs import EnvoyProblem


class Worry(NamedTuple):
    """What is wrong, and what cures it."""

    what: str
    cure: str


_OWN_FAULTS = {
    Reason.INTERNAL: "read the service's log, which holds the error; report it if it is ours",
    Reason.DEADLINE: "give the service more CPU, or raise limits.check_seconds; see the stages below",
    Reason.RULE_ERROR: "ask why at one of the denials below; mend the rule's expression, and add a case for `mcp-authz test`",
    Reason.KEYS_UNAVAILABLE: "restore the route to the issuer, for its keys or its introspection endpoint; it is asked again by itself",
}
"""Reasons that speak of the service or its policy and not of a caller."""


def worries(
    settings: Settings,
    status: WorkerStatus,
    summary: MetricsSummary,
    memory: WorkerMemory,
    activity: Activity,
    problems: Iterable[EnvoyProblem],
) -> list[Worry]:
    """Return everything that is wrong, nothing if all is well."""
    return [
        *_state(status, settings),
        *_keys(status, summary),
        *(Worry(f"{each.seen}{_at(each.where)}", each.cure) for each in problems),
        *_workers(summary),
        *(
            Worry(
                f"in the last 15 minutes requests were denied as {reason.value}: {TABLE[reason].text}", cure
            )
            for reason, cure in _OWN_FAULTS.items()
            if activity.lately(reason.value)
        ),
        *_changed(memory),
        *_audit(summary),
    ]


def _state(status: WorkerStatus, settings: Settings) -> Iterator[Worry]:
    if status.draining:
        yield Worry("the service is ending", "none is needed if somebody stopped it; it takes no new work")
    if status.socket_problem:
        yield Worry(
            status.socket_problem, f"see what else uses {settings.grpc}; give each service a path of its own"
        )
    if status.reload_problem:
        yield Worry(
            "the policy file cannot be used now, so the last good one is in force",
            "run `mcp-authz check` on it, which names file, line and cure; it is loaded by itself once it is good",
        )
    if not (status.ready or status.draining or status.socket_problem or status.issuers_without_keys):
        yield Worry("no worker answers", "read the service's log; its supervisor replaces workers that end")


def _keys(status: WorkerStatus, summary: MetricsSummary) -> Iterator[Worry]:
    ages = {row.issuer: row.age for row in summary.issuers}
    known = {problem.issuer for problem in status.key_problems}
    for problem in status.key_problems:
        since = f"since {problem.since}" if problem.since else ""
        confirmed = f"keys last confirmed {age(ages[problem.issuer])}" if problem.issuer in ages else ""
        told = "; ".join(filter(None, (problem.cause, problem.url, since, confirmed)))
        yield Worry(
            f"issuer {problem.issuer}: {told}",
            _cure(problem),
        )
    for issuer in status.issuers_without_keys:
        if issuer not in known:
            yield Worry(
                f"no usable key of {issuer}: its tokens are refused with 503",
                "see that its jwks_uri can be reached from here and publishes a signing key",
            )


def _cure(problem: KeyProblem) -> str:
    route = "restore the route to the issuer, its name or certificate (egress rules, ca_file)"
    if problem.cause.startswith(INTROSPECTION_FAILED):
        return f"see that endpoint, client_id and secret of introspection are right, or {route}; the next token is asked about again"
    return f"{route}; the service tries again by itself"


def _workers(summary: MetricsSummary) -> Iterator[Worry]:
    if summary.workers is not None and summary.workers.up < summary.workers.configured:
        down = summary.workers.configured - summary.workers.up
        yield Worry(
            f"{down:.0f} of {summary.workers.configured:.0f} workers are down",
            "read the service's log for why; they are replaced by themselves after a pause",
        )
    if len(summary.policies) > 1:
        yield Worry(
            "the workers decide by different policies",
            "wait some seconds if a reload is under way; else reload again with SIGHUP",
        )


def _changed(memory: WorkerMemory) -> Iterator[Worry]:
    if memory.changed:
        yield Worry(
            f"a server has changed {len(memory.changed)} locked item(s), whose calls are denied: {_names(memory.changed)}",
            "read `mcp-authz lock --diff`, then renew the lock or have the server mended",
        )


def _audit(summary: MetricsSummary) -> Iterator[Worry]:
    if summary.audit_dropped:
        yield Worry(
            f"{summary.audit_dropped:.0f} audit records were lost since the start",
            "see that whatever reads the audit log keeps up and that its disk is not full",
        )


def _names(rows: Sequence[tuple[str, ...]]) -> str:
    most = 5
    named = ", ".join("/".join(row) for row in rows[:most])
    return f"{named}, …" if len(rows) > most else named


def _at(where: Sequence[str]) -> str:
    return f" (at {', '.join(where)})" if where else ""

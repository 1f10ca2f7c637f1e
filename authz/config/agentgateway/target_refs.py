"""What AgentgatewayPolicy documents are attached to, which decides the servers that their rules open.

Rules of this module:

* A policy attached to a backend applies to that backend, one attached to a route to what the route leads to, and any
  other policy to every server of the stream.
* A stream in which a policy would reach a server that it is not meant for is refused. So policies attach to backends and
  routes that are in the stream, or to the one Gateway; without backends, to one object.
"""

from collections.abc import Iterator, Sequence

from authz.config.agentgateway.gathered import Target
from authz.config.agentgateway.policy import BACKEND, targets
from authz.config.agentgateway.reader import ReadResult
from authz.config.yaml_document import Document

_ROUTE = "HTTPRoute"


def applies(policy: Document, target: Target) -> bool:
    """Return whether a policy applies to a server; one that is attached to nothing applies to all."""
    refs = targets(policy)
    return not refs or any(_reaches(kind, name, target) for kind, name in refs)


def _reaches(kind: str, name: str, target: Target) -> bool:
    known = {BACKEND: target.backend, _ROUTE: target.route}.get(kind)
    return not known or known == name


def check_bindings(policies: Sequence[Document], servers: Sequence[Target], result: ReadResult) -> None:
    """Refuse attachments that cannot be followed: a policy applied to the wrong server would open it.

    Args:
        policies: the policy documents.
        servers: the servers of the stream.
        result: receives the problems.
    """
    known = frozenset(each.backend for each in servers) - {""}
    routed = frozenset(each.route for each in servers) - {""}
    first: dict[str, str] = {}
    for policy in policies:
        for index, (kind, name) in enumerate(targets(policy)):
            if kind == _ROUTE and routed:
                if name not in routed:
                    message = f"no HTTPRoute {name} in this stream leads to an MCP backend"
                    place = ("spec", "targetRefs", index)
                    result.problems.append(policy.problem(place, message, "add its document"))
                continue
            for message, cure in _flaws(policy, kind, name, known, first.setdefault(kind, name)):
                result.problems.append(policy.problem(("spec", "targetRefs", index), message, cure))


def _flaws(
    policy: Document, kind: str, name: str, known: frozenset[str], first: str
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with one attachment; `first` is the name that the first attachment of its kind has."""
    if kind == BACKEND and known:
        if name not in known:
            yield f"no {BACKEND} {name} is in this stream", "add its document"
        if len(known) > 1 and ("spec", "traffic") in policy.places:
            yield "traffic would count for every backend", "target the Gateway, or split the file"
        return
    if name != first:
        yield f"{kind} {first} is targeted too, and what is behind each is not known", "split the file"
    if kind != "Gateway" and len(known) > 1:
        yield (
            f"which of the backends are behind {kind} {name} is not known",
            "target a backend or the Gateway",
        )

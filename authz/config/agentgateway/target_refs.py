"""What AgentgatewayPolicy documents are attached to, where that decides which server their rules open.

Rules of this file:

* A policy that is attached to a backend counts for that backend, any other for every server of the stream.
* Where that would let a policy reach a server it is not about, the stream is refused: routes are not followed, so a
  stream with several backends attaches to those or to the one Gateway, and a stream without backends is about one thing.
"""

from collections.abc import Iterator, Sequence

from authz.config.agentgateway.policy import BACKEND, targets
from authz.config.agentgateway.reader import ReadResult
from authz.config.yaml_document import Document


def check_bindings(policies: Sequence[Document], backends: Sequence[str], reading: ReadResult) -> None:
    """Refuse attachments that cannot be followed: a policy that lands on a server it is not about opens that server.

    Args:
        policies: the policy documents.
        backends: names of the backends there are documents of; one empty name when there are none.
        reading: receives the problems.
    """
    known = frozenset(backends) - {""}
    first: dict[str, str] = {}
    for policy in policies:
        for index, (kind, name) in enumerate(targets(policy)):
            for message, cure in _flaws(policy, kind, name, known, first.setdefault(kind, name)):
                reading.problems.append(policy.problem(("spec", "targetRefs", index), message, cure))


def _flaws(
    policy: Document, kind: str, name: str, known: frozenset[str], first: str
) -> Iterator[tuple[str, str]]:
    """Say what is wrong with one attachment; `first` is what the first policy of this kind is about."""
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

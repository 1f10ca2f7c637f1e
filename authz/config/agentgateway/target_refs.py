"""What AgentgatewayPolicy documents are attached to, which decides the servers that their rules open.

Rules of this module:

* A policy attached to a backend applies to that backend, any other policy to every server of the stream.
* A stream in which a policy would reach a server that it is not meant for is refused. Routes are not followed, so in a
  stream with several backends policies attach to backends or to the one Gateway; without backends, to one object.
"""

from collections.abc import Iterator, Sequence

from authz.config.agentgateway.policy import BACKEND, targets
from authz.config.agentgateway.reader import ReadResult
from authz.config.yaml_document import Document


def check_bindings(policies: Sequence[Document], backends: Sequence[str], result: ReadResult) -> None:
    """Refuse attachments that cannot be followed: a policy applied to the wrong server would open it.

    Args:
        policies: the policy documents.
        backends: names of the backends in the stream; one empty name if there are none.
        result: receives the problems.
    """
    known = frozenset(backends) - {""}
    first: dict[str, str] = {}
    for policy in policies:
        for index, (kind, name) in enumerate(targets(policy)):
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

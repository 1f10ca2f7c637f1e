"""A few requests before each sample: they fill caches, and show that the variant is answered as it should be."""

from bench.client import Client, body_of, status_of

CALLS = 60
"""More than there are callers, so that every token that can be remembered is."""


def warm(port: int, requests: list[bytes], start: int, *, denied: bool) -> int:
    """Send `CALLS` requests one after the other, beginning with number `start`.

    Args:
        port: of a listener on loopback.
        requests: a population.
        start: number of the first request.
        denied: whether every answer must be an error, else every answer must be a result.

    Returns:
        How many were sent.

    Raises:
        RuntimeError: an answer was of the other kind.
    """
    with Client(port) as client:
        for number in range(start, start + CALLS):
            answer = client.ask(requests[number % len(requests)])
            if is_denied(answer) != denied:
                wanted = "a denial" if denied else "a result"
                msg = f"expected {wanted} as the answer: {answer.decode(errors='replace')[:500]}"
                raise RuntimeError(msg)
    return CALLS


def is_denied(answer: bytes) -> bool:
    """Tell a denial from a result.

    Raises:
        RuntimeError: it is neither.
    """
    status, body = status_of(answer), body_of(answer)
    if status == 200 and b'"result"' in body:
        return False
    if status in {401, 403} or (status == 200 and b'"error"' in body):
        return True
    msg = f"expected a result or a denial as the answer: {answer.decode(errors='replace')[:500]}"
    raise RuntimeError(msg)

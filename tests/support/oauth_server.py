"""An authorization server that gives prepared answers, for the tests of `authz.oauth`."""

import json

import httpx

ISSUER = "https://tenant.example/"
PENDING = (403, {"error": "authorization_pending"})


def answering(*answers):
    """Return a client whose server gives these answers in turn, and the requests it saw."""
    left, seen = list(answers), []

    def handle(request):
        seen.append(request)
        answer = left.pop(0) if left else PENDING
        if isinstance(answer, Exception):
            raise answer
        status, body = answer
        return httpx.Response(status, content=body if isinstance(body, bytes) else json.dumps(body))

    return httpx.Client(transport=httpx.MockTransport(handle)), seen

"""A service in this process whose policy has an issuer that is asked about tokens, and calls to it."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from envoy.service.auth.v3 import external_auth_pb2 as auth_pb

from authz.config.load import load
from authz.edge.service import Service
from authz.edge.telemetry.audit_log import AuditLog
from tests.support import core
from tests.support.rpc import CallHere
from tests.support.waiting import DEADLINE


def check_request(token: str, tool: str) -> bytes:
    """Give a Check about a call of a tool."""
    message = auth_pb.CheckRequest()
    http = message.attributes.request.http
    http.method, http.scheme, http.host, http.path = "POST", "https", "mcp.example", "/mcp"
    http.raw_body = json.dumps(core.message("tools/call", {"name": tool, "arguments": {}})).encode()
    http.headers.update({"authorization": f"Bearer {token}", "content-type": "application/json"})
    return message.SerializeToString()


class AskingService:
    """The service, and what it wrote."""

    def __init__(self, policy: Path, seconds: float = DEADLINE) -> None:
        """Load a policy file; a Check may take `seconds`."""
        self._stream = io.BytesIO()
        self._audit = AuditLog(self._stream)
        settings = load(str(policy), environment={})
        self.service = Service(replace(settings, check_seconds=seconds), self._audit)
        self._checker = self.service.checker()

    async def status(self, token: str, tool: str = "echo") -> int:
        """Return the HTTP status of a denied call, 200 for one that is let through."""
        answer = auth_pb.CheckResponse.FromString(
            await self._checker.check(check_request(token, tool), CallHere())
        )
        return answer.denied_response.status.code if answer.status.code else 200

    async def forget(self) -> None:
        """Ask again about every token, as when the answers are too old: a reload changes how long they are kept."""
        settings = self.service.settings
        asked = {
            name: replace(how, cache_seconds=how.cache_seconds + 1)
            for name, how in settings.introspections.items()
        }
        await self.service.apply(replace(settings, introspections=asked))

    def metrics(self) -> str:
        """Return its metrics."""
        return self.service.metrics.render().decode()

    async def close(self) -> list[dict[str, Any]]:
        """End it, and return its records."""
        await self.service.close()
        self._audit.close()
        return [json.loads(line) for line in self._stream.getvalue().decode().splitlines()]

"""The demo's story on the MCP route of the shop's Envoy, with its real service, issuer and MCP server behind it."""

import asyncio
import dataclasses

import pytest

from authz.config.load import load
from authz.demo.binary import envoy_binary
from authz.demo.gateway import Gateway
from authz.demo.probes import port_ready
from authz.demo.processes import Child
from authz.demo.scenarios.login import login
from authz.demo.scenarios.requests import alone, bad_tokens, bodies, calls, lists, near_misses, without_token
from authz.merge.merge import merge
from authz.render.plan import plan
from tests.support.running import another_gateway, shared_stack
from tests.support.shop import shop

pytestmark = pytest.mark.envoy

CHAPTERS = (alone, without_token, login, bad_tokens, lists, calls, bodies)
FORMS = {"merged": (False, '"*"', CHAPTERS), "isolated": (True, "shop.example.com", (*CHAPTERS, near_misses))}
"""Whether MCP is isolated, the shop's hosts, and the chapters: where any host is the shop's, so are the near misses."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShopGateway(Gateway):
    """A gateway whose Envoy is the shop's."""

    isolate: bool
    domains: str

    def envoy(self) -> Child:
        """Say how Envoy is started."""
        settings = load(str(self.policy), environment=self.environment)
        grpc, http = f"unix:{self._socket}", f"127.0.0.1:{self.ports.http}"
        chain = plan(settings, listen=":1", service=grpc, http=http)
        text = shop(self.ports.envoy, domains=self.domains)
        file = self.supervisor.logs / f"{self.name}.yaml"
        file.write_text(
            merge(text, "shop.yaml", chain, settings, isolate=self.isolate).text, encoding="utf-8"
        )
        argv = [envoy_binary(), "-c", file, "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"]
        return Child(name=self.envoy_name, argv=argv, ready=port_ready("127.0.0.1", self.ports.envoy))


@pytest.mark.parametrize("form", FORMS)
def test_the_story_holds_on_the_mcp_route(pytestconfig, form):
    isolate, domains, chapters = FORMS[form]
    stack = shared_stack(pytestconfig)
    described = another_gateway(stack, f"shop-{form}")
    fields = {field.name: getattr(described, field.name) for field in dataclasses.fields(Gateway)}
    gateway = ShopGateway(**fields, isolate=isolate, domains=domains)
    gateway.start()
    try:
        told = dataclasses.replace(stack, gateways={"native": gateway})
        rows = asyncio.run(_told(chapter(told) for chapter in chapters))
    finally:
        stack.supervisor.stop(gateway.envoy_name)
        stack.supervisor.stop(gateway.service_name)

    assert (True, []) == (30 < len(rows), [row for row in rows if not row.held])


async def _told(chapters):
    return [row for chapter in chapters async for row in chapter]

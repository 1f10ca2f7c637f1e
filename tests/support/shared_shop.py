"""The policy of an MCP server in the shop, and what is rendered for it."""

import dataclasses
import tempfile
from functools import cache
from pathlib import Path

from authz.config.load import load
from authz.config.settings import Settings
from authz.render.address import Address
from authz.render.model import Chain
from authz.render.options import RenderOptions
from authz.render.plan import plan

POLICY = """\
issuers:
  demo:
    issuer: https://issuer.example/
    audiences: [https://mcp.example/mcp]
servers:
  tools:
    resource: http://{host}/mcp
    upstream: http://127.0.0.1:8090/mcp
    issuers: [demo]
    origins: [http://localhost:6274]
    rules:
      - allow: {{tools: [echo]}}
"""


@cache
def chain_for(
    host: str, options: RenderOptions | None = None, service: Address | None = None
) -> tuple[Chain, Settings]:
    """Give what is rendered for a server at a host, and the settings of its policy."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "policy.yaml"
        file.write_text(POLICY.format(host=host), encoding="utf-8")
        settings = load(str(file), environment={})
    chain = plan(settings, listen=":1", options=options)
    return dataclasses.replace(chain, service=service) if service else chain, settings

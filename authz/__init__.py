"""mcp-authz: per-tool authorization for MCP servers behind Envoy."""

__version__ = "0.1.0"

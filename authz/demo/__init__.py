"""The demo: a real issuer, MCP server, service and Envoy on loopback, and the scenarios that run on them."""

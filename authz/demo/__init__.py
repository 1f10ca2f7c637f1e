"""The demo: a real issuer, MCP server, service and Envoy on loopback, and the story that runs on them."""

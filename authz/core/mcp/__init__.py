"""Step 4: JSON becomes one MCP message and the items it names."""

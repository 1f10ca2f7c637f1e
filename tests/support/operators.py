"""A policy file, records and cases for the commands that operators run."""

import json

POLICY = """\
issuers:
  main: {issuer: "https://issuer.example/", audiences: [https://mcp.example/mcp]}
servers:
  demo:
    resource: https://mcp.example/mcp
    issuers: [main]
    rules:
      - name: everyone
        allow: {tools: [echo], resources: ["file:///a"]}
      - name: readers
        allow: {tools: [list_files]}
        scopes: [files:read]
      - name: deleters
        allow: {tools: [delete_file]}
        scopes: [files:delete]
        roles: [admin]
        args: args.filename.startsWith("/inbox/")
      - name: in-production
        deny: {tools: [deploy]}
        when: request.headers["x-environment"] == "prod"
      - name: deployers
        allow: {tools: [deploy]}
        roles: [admin]
"""

CALL = {"decision": "allow", "reason": "allowed", "server": "demo", "method": "tools/call"}
CALL |= {"time": "2026-01-01T00:00:00.000Z", "decision_id": "0", "issuer": "https://issuer.example/"}


def write(folder, name, content):
    """Write a file of text, of a JSON value, or of records; gives its name."""
    file = folder / name
    if isinstance(content, list):
        content = "".join(json.dumps({**CALL, **each}) + "\n" for each in content)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(file)

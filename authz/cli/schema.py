"""`mcp-authz schema`: the policy file's JSON Schema."""

import json
import sys

from authz.config.native.model import schema as native_schema


def schema() -> None:
    """Write the JSON Schema of the native policy file to stdout; editors complete and check keys by it.

    To use it, begin a policy file with: # yaml-language-server: $schema=policy.schema.json

    Example: mcp-authz schema > policy.schema.json
    """
    sys.stdout.write(json.dumps(native_schema(), indent=2) + "\n")

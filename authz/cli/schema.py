"""`mcp-authz schema`: the policy file's JSON Schema."""

import json
import sys

from authz.config.native.model import schema as native_schema


def schema() -> None:
    """Print the JSON Schema of the native policy file, with which editors complete and check its keys.

    To use it, begin a policy file with: # yaml-language-server: $schema=policy.schema.json

    Example: mcp-authz schema > policy.schema.json
    """
    sys.stdout.write(json.dumps(native_schema(), indent=2) + "\n")

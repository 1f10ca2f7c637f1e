"""Which modules are mutated, and the tests that answer for each."""

from pathlib import Path

SECURITY = (
    "authz/core/identity/claims.py",
    "authz/core/identity/issuer.py",
    "authz/core/identity/jwks.py",
    "authz/core/identity/jws.py",
    "authz/core/identity/principal.py",
    "authz/core/identity/session.py",
    "authz/core/identity/token.py",
    "authz/core/policy/condition.py",
    "authz/core/policy/context.py",
    "authz/core/policy/expansions.py",
    "authz/core/policy/expression.py",
    "authz/core/policy/failure.py",
    "authz/core/policy/index.py",
    "authz/core/policy/lock.py",
    "authz/core/policy/policy.py",
    "authz/core/policy/rule.py",
    "authz/core/policy/sightings.py",
    "authz/core/policy/templates.py",
    "authz/core/policy/value_schema.py",
    "authz/core/wire/bounded_cache.py",
    "authz/core/wire/confusables.py",
    "authz/core/wire/content_coding.py",
    "authz/core/wire/raw_json.py",
    "authz/core/wire/sse.py",
    "authz/core/wire/strict_json.py",
    "authz/core/wire/width.py",
    "authz/core/mcp/definition.py",
    "authz/core/mcp/envelope.py",
    "authz/core/mcp/item.py",
    "authz/core/mcp/message.py",
    "authz/core/mcp/methods.py",
    "authz/core/mcp/routing_headers.py",
    "authz/core/mcp/uri.py",
    "authz/core/mcp/uri_template.py",
    "authz/core/response/caller_metadata.py",
    "authz/core/response/context.py",
    "authz/core/response/decoded_body.py",
    "authz/core/response/event_stream.py",
    "authz/core/response/held.py",
    "authz/core/response/item_reader.py",
    "authz/core/response/judgement.py",
    "authz/core/response/list_filter.py",
    "authz/core/response/list_items.py",
    "authz/core/response/message_opener.py",
    "authz/core/response/notifications.py",
    "authz/core/response/plain_result.py",
    "authz/core/response/recognition.py",
    "authz/core/response/rewriter.py",
    "authz/core/response/streams.py",
    "authz/core/response/whole_body.py",
    "authz/core/authentication.py",
    "authz/core/decision.py",
    "authz/core/denial.py",
    "authz/core/engine.py",
    "authz/core/servers.py",
    "authz/core/transport.py",
    "authz/edge/envoy/check_response.py",
    "authz/edge/envoy/denied_response.py",
)

ALSO = {
    "authz/core/authentication.py": (
        "tests/core/test_anonymous.py",
        "tests/core/identity/test_introspection.py",
    ),
    "authz/core/denial.py": (
        "tests/core/test_challenges.py",
        "tests/core/test_hiding.py",
        "tests/core/mcp/test_form.py",
        "tests/core/policy/test_failure.py",
        "tests/core/response/test_streams.py",
    ),
    "authz/core/servers.py": (
        "tests/config/native/test_locks.py",
        "tests/core/response/test_context.py",
        "tests/advisories/test_adversary_core.py",
    ),
    "authz/core/transport.py": ("tests/core/test_header_names.py",),
    "authz/core/identity/issuer.py": ("tests/core/identity/test_introspection.py",),
    "authz/core/identity/jwks.py": ("tests/core/identity/test_ed25519.py",),
    "authz/core/identity/jws.py": ("tests/core/identity/test_introspection.py",),
    "authz/core/identity/principal.py": ("tests/core/identity/test_token.py",),
    "authz/core/identity/token.py": ("tests/core/identity/test_introspection.py",),
    "authz/core/mcp/envelope.py": ("tests/core/mcp/test_message.py",),
    "authz/core/mcp/item.py": ("tests/core/mcp/test_message.py", "tests/core/response/test_list_filter.py"),
    "authz/core/mcp/methods.py": ("tests/core/mcp/test_message.py",),
    "authz/core/mcp/uri.py": ("tests/core/policy/test_readings.py", "tests/property/test_uris.py"),
    "authz/core/mcp/uri_template.py": (
        "tests/core/policy/test_templates.py",
        "tests/core/response/test_recognition.py",
    ),
    "authz/core/policy/context.py": ("tests/config/native/test_argument_schemas.py",),
    "authz/core/policy/expansions.py": (
        "tests/core/policy/test_templates.py",
        "tests/core/policy/test_readings.py",
    ),
    "authz/core/policy/expression.py": (
        "tests/core/policy/test_condition.py",
        "tests/core/policy/test_context.py",
    ),
    "authz/core/policy/index.py": (
        "tests/core/policy/test_readings.py",
        "tests/core/policy/test_policy.py",
        "tests/core/response/test_context.py",
    ),
    "authz/core/policy/policy.py": (
        "tests/core/policy/test_readings.py",
        "tests/core/policy/test_templates.py",
        "tests/core/policy/test_explain.py",
    ),
    "authz/core/policy/rule.py": (
        "tests/core/policy/test_condition.py",
        "tests/core/policy/test_arguments.py",
        "tests/config/native/test_argument_schemas.py",
    ),
    "authz/core/policy/sightings.py": ("tests/core/policy/test_lock.py",),
    "authz/core/policy/value_schema.py": ("tests/config/native/test_argument_schemas.py",),
    "authz/core/response/caller_metadata.py": ("tests/core/response/test_context.py",),
    "authz/core/response/decoded_body.py": ("tests/core/response/test_rewriter.py",),
    "authz/core/response/event_stream.py": ("tests/core/response/test_rewriter.py",),
    "authz/core/response/item_reader.py": (
        "tests/core/response/test_list_filter.py",
        "tests/property/test_lists.py",
        "tests/property/test_responses.py",
    ),
    "authz/core/response/judgement.py": ("tests/core/response/test_rewriter.py",),
    "authz/core/response/list_filter.py": (
        "tests/core/response/test_notifications.py",
        "tests/core/response/test_recognition.py",
        "tests/core/response/test_rewriter.py",
    ),
    "authz/core/response/list_items.py": (
        "tests/core/response/test_list_filter.py",
        "tests/core/response/test_recognition.py",
        "tests/property/test_lists.py",
    ),
    "authz/core/response/message_opener.py": (
        "tests/core/response/test_list_filter.py",
        "tests/property/test_lists.py",
    ),
    "authz/core/response/whole_body.py": ("tests/core/response/test_rewriter.py",),
    "authz/core/wire/raw_json.py": ("tests/core/response/test_list_filter.py",),
    "authz/edge/envoy/check_response.py": ("tests/edge/envoy/test_ext_authz.py",),
    "authz/edge/envoy/denied_response.py": ("tests/edge/envoy/test_check_response.py",),
}
"""Tests beside the mirroring file that are about the module as well."""


def answering(module: str, root: Path) -> tuple[str, ...]:
    """Return the test files for a module of the package: the one that mirrors it, and those named in `ALSO`."""
    path = Path(module)
    mirror = Path("tests", *path.parent.parts[1:], f"test_{path.name}")
    files = ((str(mirror),) if (root / mirror).exists() else ()) + ALSO.get(module, ())
    if not files:
        msg = f"no test mirrors {module}; name some in {__name__}.ALSO"
        raise LookupError(msg)
    return files

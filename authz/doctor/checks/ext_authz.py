"""Checks of the ext_authz filter itself: does every request reach the service whole, and is its denial enforced?"""

from collections.abc import Iterator, Mapping
from typing import Any

from authz.core.transport import SINGLE_HEADERS
from authz.doctor import expected
from authz.doctor.field_checks import present
from authz.doctor.model import CheckCase, Drop, Find, Hit
from authz.doctor.node import Node
from authz.doctor.parts import authz, authz_overrides, bodies
from authz.doctor.string_matcher import any_matches, full_match, matches

_MAX_BODY = 67_108_864
"""The largest `limits.body_bytes` that a policy may set."""
_WRITTEN = (*expected.IDENTITY_HEADERS, "authorization", "accept-encoding", "mcp-session-id", "last-event-id")
_READ = tuple(name for name in SINGLE_HEADERS if not name.startswith(":"))


def _no_body(case: CheckCase) -> Iterator[Hit]:
    limit = {"max_request_bytes": case.settings.max_body} if case.settings else {}
    for config in authz(case):
        node = config.at("with_request_body")
        if not present(node):
            yield Hit.put(node, {**expected.AUTHZ["with_request_body"], **limit}, "absent")
    for scope, message in authz_overrides(case):
        node = message.at("check_settings", "disable_request_body_buffering")
        if node.flag:
            yield Hit.drop(node, f"on {scope.name}")


def _body_limit(case: CheckCase) -> Iterator[Hit]:
    for body in bodies(case):
        node = body.at("max_request_bytes")
        if case.settings is None:
            if not 0 < (node.number or 0) <= _MAX_BODY:
                yield Hit.put(node, expected.right("body.max_request_bytes"))
        elif node.number != case.settings.max_body:
            limit = case.settings.max_body
            yield Hit.put(node, limit, f"{node.shown()}; the policy's limits.body_bytes is {limit}")


def _conditional(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        if chain.authz and chain.authz.wrapper.present:
            typed = chain.authz.node.at("typed_config")
            yield Hit.put(typed, chain.authz.typed.value, f"filter {chain.authz.name}")


def _rules(case: CheckCase) -> Iterator[Hit]:
    for config in authz(case):
        rules = config.at("decoder_header_mutation_rules")
        allowed = rules.at("allow_expression", "regex").text
        narrow = rules.at("disallow_all").flag and not all(full_match(allowed, name) for name in _WRITTEN)
        if not present(rules) or (narrow and not config.at("shadow_mode").flag):
            detail = "disallow_all with too few exceptions" if present(rules) else "absent"
            yield Hit.put(rules, expected.AUTHZ["decoder_header_mutation_rules"], detail)


def _hidden(case: CheckCase) -> Iterator[Hit]:
    for config in authz(case):
        allowed = config.at("allowed_headers")
        missing = [name for name in _READ if allowed.present and not any_matches(allowed, name)]
        if missing:
            yield Hit.drop(allowed, f"does not include {', '.join(missing)}")
        yield from _hidden_by_patterns(config.at("disallowed_headers"))


def _hidden_by_patterns(disallowed: Node) -> Iterator[Hit]:
    patterns = list(disallowed.at("patterns").items())
    hidden = [[name for name in _READ if matches(pattern, name)] for pattern in patterns]
    for pattern, names in zip(patterns, hidden, strict=True):
        if names:  # Envoy rejects an empty list of patterns, so the last one takes the list with it
            edit = Drop(disallowed.path if all(hidden) else pattern.path)
            yield Hit(pattern, f"hides {', '.join(names)}", (edit,))


def _timeout(case: CheckCase) -> Iterator[Hit]:
    needed = case.settings.check_seconds if case.settings else 0.0
    for config in authz(case):
        node = config.at("grpc_service", "timeout")
        if config.at("grpc_service").present and not needed < (node.seconds or 0.0):
            policy = f"; the policy's limits.check_ms is {needed:g} s" if needed else ""
            default = expected.right("authz.grpc_service.timeout")
            yield Hit.put(node, f"{needed + 0.15:g}s" if needed else default, node.shown() + policy)


def _retry(case: CheckCase) -> Iterator[Hit]:
    needed = case.settings.check_seconds if case.settings else 0.05
    for config in authz(case):
        retry = config.at("grpc_service", "retry_policy")
        whole = config.at("grpc_service", "timeout").seconds or 0.2
        back_off = retry.at("retry_back_off")
        tried = _longest_try(back_off)
        if retry.present and not needed <= tried < whole:
            hit = Hit.put(back_off, _back_off(whole), f"each try may take {tried:g} s of {whole:g} s")
            yield hit if needed <= _try_of(whole) else Hit(hit.node, hit.detail)


def _longest_try(back_off: Node) -> float:
    """Return the timeout of each try, for which Envoy 1.40 takes the longest interval between tries."""
    seconds = back_off.at("max_interval").seconds
    return (back_off.at("base_interval").seconds or 1) * 10 if seconds is None else seconds


def _try_of(whole: float) -> float:
    return max(whole - 0.1, whole / 2)


def _back_off(whole: float) -> dict[str, Any]:
    rendered = expected.AUTHZ["grpc_service"]["retry_policy"]["retry_back_off"]
    return {**rendered, "max_interval": f"{_try_of(whole):g}s"}


CHECKS: Mapping[str, Find] = {
    "authz-conditional": _conditional,
    "authz-no-body": _no_body,
    "authz-body-limit": _body_limit,
    "authz-mutation-rules": _rules,
    "authz-timeout": _timeout,
    "authz-retry": _retry,
    "authz-headers-hidden": _hidden,
}

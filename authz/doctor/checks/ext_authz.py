"""Checks of the ext_authz filter itself: does every request come to the service whole, and is its no a no?"""

from collections.abc import Iterator

from authz.core.transport import SINGLE_HEADERS
from authz.doctor import expected as pieces
from authz.doctor.field_checks import authz, field, lines, off, on, overrides, present, said
from authz.doctor.model import Check, CheckCase, Drop, Hit, Put, Severity
from authz.doctor.node import Node
from authz.doctor.routes import scopes
from authz.doctor.string_matcher import any_matches, full_match, matches

ERROR, WARNING, HINT = Severity

_MAX_BODY = 67_108_864
"""The largest `limits.body_bytes` that a policy may set."""
_STATUS = {
    "OK",
    "CONTINUE",
    "CREATED",
    "ACCEPTED",
    "NONAUTHORITATIVEINFORMATION",
    "NOCONTENT",
    "RESETCONTENT",
}
_STATUS |= {
    "PARTIALCONTENT",
    "MULTISTATUS",
    "ALREADYREPORTED",
    "IMUSED",
    "MULTIPLECHOICES",
    "MOVEDPERMANENTLY",
}
_STATUS |= {"FOUND", "SEEOTHER", "NOTMODIFIED", "USEPROXY", "TEMPORARYREDIRECT", "PERMANENTREDIRECT"}


def bodies(case: CheckCase) -> Iterator[Node]:
    """Give the body settings that are in force: the filter's, and those that routes put in their place."""
    yield from (node.at("with_request_body") for node in authz(case) if node.at("with_request_body").present)
    for _, scope in scopes(case.survey.guarded):
        for _, _, message in overrides(scope, "ExtAuthzPerRoute"):
            if message.at("check_settings", "with_request_body").present:
                yield message.at("check_settings", "with_request_body")


def is_failure(status: Node) -> bool:
    """Tell whether a HttpStatus is one that a client takes for a failure; absent, it is 403."""
    code = status.at("code")
    number = code.number
    return number >= 400 if number is not None else code.text.upper() not in _STATUS


def _no_body(case: CheckCase) -> Iterator[Hit]:
    for node in authz(case):
        if not present(node.at("with_request_body")):
            right = _limited(case)
            yield Hit(
                node.at("with_request_body"), "absent", (Put(node.at("with_request_body").path, right),)
            )
    for _, scope in scopes(case.survey.guarded):
        for _, _, message in overrides(scope, "ExtAuthzPerRoute"):
            node = message.at("check_settings", "disable_request_body_buffering")
            if node.flag:
                yield Hit(node, f"on {scope.at('name').text or 'a route'}", (Drop(node.path),))


def _limited(case: CheckCase) -> dict[str, object]:
    return {**pieces.BODY, **({"max_request_bytes": case.settings.max_body} if case.settings else {})}


def _body_limit(case: CheckCase) -> Iterator[Hit]:
    for body in bodies(case):
        node = body.at("max_request_bytes")
        if case.settings is None:
            if not 0 < (node.number or 0) <= _MAX_BODY:
                yield Hit(node, said(node), (Put(node.path, pieces.BODY["max_request_bytes"]),))
        elif node.number != case.settings.max_body:
            detail = f"{said(node)}; the policy's limits.body_bytes is {case.settings.max_body}"
            yield Hit(node, detail, (Put(node.path, case.settings.max_body),))


def _fraction(case: CheckCase) -> Iterator[Hit]:
    for node in authz(case):
        for name in ("filter_enabled", "filter_enabled_metadata"):
            if node.at(name).present and not _always(node.at(name)):
                yield Hit(node.at(name), f"{name} is set", (Drop(node.at(name).path),))


def _always(enabled: Node) -> bool:
    value = enabled.at("default_value")
    full = {"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}
    whole = full.get(value.at("denominator").enum(*full))
    return not enabled.at("runtime_key").text and value.at("numerator").number == whole


def _disabled(case: CheckCase) -> Iterator[Hit]:
    for chain in case.survey.guarded:
        if chain.authz and chain.authz.node.at("disabled").flag:
            node = chain.authz.node.at("disabled")
            yield Hit(node, f"filter {chain.authz.name}", (Drop(node.path),))


def _conditional(case: CheckCase) -> Iterator[Hit]:
    for chain in case.survey.guarded:
        if chain.authz and chain.authz.wrapper.present:
            typed = chain.authz.node.at("typed_config")
            yield Hit(typed, f"filter {chain.authz.name}", (Put(typed.path, chain.authz.typed.value),))


def _http_service(case: CheckCase) -> Iterator[Hit]:
    for node in authz(case):
        if node.at("http_service").present:
            yield Hit(node.at("http_service"))


_WRITTEN = (*pieces.IDENTITY_HEADERS, "authorization", "accept-encoding", "mcp-session-id")


def _rules(case: CheckCase) -> Iterator[Hit]:
    for node in authz(case):
        rules = node.at("decoder_header_mutation_rules")
        allowed = rules.at("allow_expression", "regex").text
        narrow = rules.at("disallow_all").flag and not all(full_match(allowed, name) for name in _WRITTEN)
        if not present(rules) or (narrow and not node.at("shadow_mode").flag):
            detail = "absent" if not present(rules) else "disallow_all with too few exceptions"
            yield Hit(rules, detail, (Put(rules.path, pieces.REQUEST_RULES),))


_READ = tuple(name for name in SINGLE_HEADERS if not name.startswith(":"))


def _hidden_by_list(case: CheckCase) -> Iterator[Hit]:
    for node in authz(case):
        allowed = node.at("allowed_headers")
        missing = [name for name in _READ if allowed.present and not any_matches(allowed, name)]
        if missing:
            yield Hit(allowed, f"lets {', '.join(missing)} not through", (Drop(allowed.path),))
        yield from _hidden_by_patterns(node.at("disallowed_headers"))


def _hidden_by_patterns(disallowed: Node) -> Iterator[Hit]:
    hiding = [
        (pattern, [name for name in _READ if matches(pattern, name)])
        for pattern in disallowed.at("patterns").items()
    ]
    only = all(hidden for _, hidden in hiding)  # what stays must not be empty, says Envoy
    for pattern, hidden in hiding:
        if hidden:
            yield Hit(
                pattern, f"hides {', '.join(hidden)}", (Drop(disallowed.path if only else pattern.path),)
            )


def _timeout(case: CheckCase) -> Iterator[Hit]:
    needed = case.settings.check_seconds if case.settings else 0.0
    for node in authz(case):
        if node.at("grpc_service").present:
            timeout = node.at("grpc_service", "timeout")
            seconds = timeout.seconds or 0.0
            if not needed < seconds:
                detail = (
                    f"{said(timeout)}; the policy's limits.check_ms is {needed:g} s"
                    if needed
                    else said(timeout)
                )
                yield Hit(timeout, detail, (Put(timeout.path, f"{needed + 0.15 if needed else 0.6:g}s"),))


def _retry(case: CheckCase) -> Iterator[Hit]:
    """Envoy 1.40 takes retry_back_off.max_interval for the timeout of each try, too."""
    needed = case.settings.check_seconds if case.settings else 0.05
    for node in authz(case):
        retry, whole = (
            node.at("grpc_service", "retry_policy"),
            node.at("grpc_service", "timeout").seconds or 0.2,
        )
        back_off = retry.at("retry_back_off")
        each = back_off.at("max_interval").seconds
        each = (back_off.at("base_interval").seconds or 1) * 10 if each is None else each
        if retry.present and not needed <= each < whole:
            right = {"base_interval": pieces.RETRY_BASE, "max_interval": f"{max(whole - 0.1, whole / 2):g}s"}
            fits = needed <= max(whole - 0.1, whole / 2)
            detail = f"each try may take {each:g} s of {whole:g} s"
            yield Hit(back_off, detail, (Put(back_off.path, right),) if fits else ())


CHECKS: tuple[Check, ...] = (
    field("authz-fail-open", ERROR, authz, "failure_mode_allow", off, False)(
        "ext_authz lets requests pass when it gets no answer",
        "Whoever makes the service slow or unreachable calls every tool without a token.",
    ),
    Check(
        id="authz-disabled",
        severity=ERROR,
        what="the ext_authz filter is disabled in the chain",
        risk="Every request passes unjudged, but on routes that enable the filter again.",
        cure="# remove `disabled: true` from the filter\n",
        find=_disabled,
    ),
    Check(
        id="authz-conditional",
        severity=ERROR,
        what="a matcher decides whether ext_authz runs",
        risk="A request that the matcher skips is not judged, and what it looks at may be the client's own word.",
        cure="# put the ExtAuthz itself in the place of the ExtensionWithMatcher around it\n",
        find=_conditional,
    ),
    Check(
        id="authz-fraction",
        severity=ERROR,
        what="ext_authz judges only some of the requests",
        risk="What the fraction or the metadata leaves out passes unjudged.",
        cure="# remove filter_enabled and filter_enabled_metadata\n",
        find=_fraction,
    ),
    field("authz-shadow", ERROR, authz, "shadow_mode", off, False)(
        "ext_authz is in shadow mode: it asks and does not enforce",
        "Every denial is only counted; the request goes to the MCP server all the same.",
    ),
    Check(
        id="authz-no-body",
        severity=ERROR,
        what="ext_authz does not hand over the request body",
        risk="The service cannot see which tool is called, and refuses every call.",
        cure=lines("with_request_body", pieces.BODY),
        find=_no_body,
    ),
    field("authz-partial-body", ERROR, bodies, "allow_partial_message", off, False)(
        "ext_authz hands over the beginning of a long body",
        "A judgement of a part says nothing of the rest that goes upstream; the service refuses all long bodies.",
    ),
    field("authz-body-text", ERROR, bodies, "pack_as_bytes", on, True)(
        "the body is not handed over as bytes",
        "Envoy replaces invalid UTF-8 before the service sees it, so other bytes are judged than go upstream; "
        "the service refuses such bodies.",
    ),
    Check(
        id="authz-body-limit",
        severity=WARNING,
        what="max_request_bytes is not the policy's limit",
        risk="Below it, requests that the policy admits get 413; above it, Envoy holds bodies in memory that the "
        "service will refuse.",
        cure=lines("with_request_body", {"max_request_bytes": pieces.BODY["max_request_bytes"]})
        + "# or what limits.body_bytes says in the policy file\n",
        find=_body_limit,
    ),
    field("authz-clears-route", ERROR, authz, "clear_route_cache", off, False)(
        "ext_authz lets the route be chosen again after the decision",
        "A header that the decision adds can select another route, and with it another server than was judged.",
    ),
    field("authz-mutations-unchecked", WARNING, authz, "validate_mutations", on, True)(
        "headers that the service sets are not validated",
        "An invalid header value would reach the MCP server as it is.",
    ),
    Check(
        id="authz-mutation-rules",
        severity=WARNING,
        what="the rules for request headers that the service may change are missing, or forbid what it needs",
        risk="Without rules, a service that is taken over could change :path, host and x-envoy-*; with too narrow ones, "
        "allowed requests are refused, lists arrive compressed, or tokens reach the server.",
        cure=lines("decoder_header_mutation_rules", pieces.REQUEST_RULES),
        find=_rules,
    ),
    field("authz-error-status", ERROR, authz, "status_on_error", is_failure, pieces.UNAVAILABLE)(
        "a failed Check is answered with a status that is no error",
        "Clients take the failure for a success and go on with an empty answer.",
    ),
    Check(
        id="authz-timeout",
        severity=WARNING,
        what="the time for a Check is not set, or shorter than the service's own deadline",
        risk="Envoy gives up (after 0.2 s when nothing is set) while the service still works on an answer; "
        "the client gets 503.",
        cure="grpc_service:\n  timeout: 0.6s   # limits.check_ms of the policy and 0.15 s\n",
        find=_timeout,
    ),
    Check(
        id="authz-retry",
        severity=WARNING,
        what="the retry of a Check cannot help",
        risk="Envoy takes retry_back_off.max_interval for the timeout of each try, too: too short, it cuts good "
        "answers; too long or absent, no time is left for a second try.",
        cure="retry_policy:\n  retry_back_off: {base_interval: 0.01s, max_interval: 0.5s}   # timeout less 0.1 s\n",
        find=_retry,
    ),
    Check(
        id="authz-headers-hidden",
        severity=ERROR,
        what="headers that the service judges by are kept from it",
        risk="Without Origin, pages of any site may call (DNS rebinding); without the MCP headers, a header may say "
        "another tool than the body; without Authorization, all is refused.",
        cure="disallowed_headers: {patterns: [{exact: cookie}]}   # and no allowed_headers\n",
        find=_hidden_by_list,
    ),
    Check(
        id="authz-http-service",
        severity=ERROR,
        what="ext_authz asks over HTTP",
        risk="The service answers Checks over gRPC only, so every request is refused.",
        cure="grpc_service:\n  envoy_grpc: {cluster_name: authz}\n",
        find=_http_service,
    ),
    field("authz-raw-headers", HINT, authz, "encode_raw_headers", off, False)(
        "headers are handed over as a list",
        "Reading the list costs the service more time a request, and shows nothing that it needs.",
    ),
)

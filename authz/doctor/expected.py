"""The right configuration: what `mcp-authz envoy` renders, by part, to compare with and to paste.

The parts are data in `expected.yaml`, because importing the renderer costs most of a second.
"""

import copy
from functools import cache
from typing import Any

from authz.core import transport
from authz.doctor.data import load_data
from authz.render.yaml_writer import emit

DECISIONS = "envoy.filters.http.ext_authz"
"""The namespace of ext_authz's dynamic metadata, and the filter's usual name."""
IDENTITY_HEADERS = transport.IDENTITY_HEADERS
MINIMUM = (1, 38, 4)
"""The oldest Envoy without published vulnerabilities in ext_authz."""
HTTP2_KEY = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

Part = dict[str, Any]

_SECTIONS = load_data("expected.yaml")
_HOST, ANY_HOST = _SECTIONS["virtual_hosts"]
_METADATA, _, _ENDPOINT, LAST_ROUTE = _HOST["routes"]

MANAGER: Part = _SECTIONS["http_connection_manager"]
CLUSTER: Part = next(each for each in _SECTIONS["clusters"] if each["name"] == "authz")
CORS_FILTER: Part
REWRITER_FILTER: Part
HEADERS_FILTER: Part
UNJUDGED_FILTER: Part
CORS_FILTER, _AUTHZ_FILTER, UNJUDGED_FILTER, _POOLED, HEADERS_FILTER = _SECTIONS["http_filters"]
AUTHZ: Part = _AUTHZ_FILTER["typed_config"]
(STRIP,) = MANAGER["early_header_mutation_extensions"]
UNGUARDED: Part = _METADATA["typed_per_filter_config"][DECISIONS]
"""What exempts a route from ext_authz."""
GUARDED: Part = {"@type": UNGUARDED["@type"], "check_settings": {}}
"""What has a route authorized although a level above exempts it."""
OFF: Part = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}
"""What switches any filter off on a route."""
METADATA_ROUTE: Part = {**_METADATA, "typed_per_filter_config": {DECISIONS: UNGUARDED}}


def _rules(filter_: Part) -> list[Part]:
    matchers: list[Part] = filter_["typed_config"]["xds_matcher"]["matcher_list"]["matchers"]
    return matchers


def _inner(rule: Part) -> Part:
    """Return what holds the ext_proc configuration inside a rule of the rewriter's matcher."""
    inner: Part = rule["on_match"]["action"]["typed_config"]["typed_config"]
    return inner


def _with_one_pool(filter_: Part) -> Part:
    """Return the filter with the last two rules, which need one cluster: what to paste into a chain that has one."""
    copied = copy.deepcopy(filter_)
    del _rules(copied)[:-2]
    return copied


REWRITER_FILTER = _with_one_pool(_POOLED)
REWRITER: Part = _inner(_rules(REWRITER_FILTER)[-1])["typed_config"]


def wrapped(config: Part) -> Part:
    """Return the filter that runs an ext_proc configuration only where ext_authz asked for it."""
    filter_ = copy.deepcopy(REWRITER_FILTER)
    for rule in _rules(filter_):
        _inner(rule)["typed_config"] = config
    return filter_


def about_answers(config: Part) -> Part:
    """Return the rule that runs an ext_proc configuration on redirects and challenges."""
    return _rules(wrapped(config))[-1]


_PARTS: dict[str, Part] = {
    "manager": MANAGER,
    "authz_filter": _AUTHZ_FILTER,
    "authz": AUTHZ,
    "body": AUTHZ["with_request_body"],
    "rewriter": REWRITER,
    "cluster": CLUSTER,
    "mcp_route": _ENDPOINT,
    "bootstrap": {"admin": {"address": {"socket_address": {"address": "127.0.0.1"}}}},
    "cors_policy": _ENDPOINT["typed_per_filter_config"]["envoy.filters.http.cors"],
    "cors_filter": {"http_filters": [CORS_FILTER]},
    "headers_filter": {"http_filters": [HEADERS_FILTER]},
    "unjudged_filter": {"http_filters": [UNJUDGED_FILTER]},
    "rewriter_filter": {"http_filters": [REWRITER_FILTER]},
    "metadata_route": {**METADATA_ROUTE, "routes": [METADATA_ROUTE]},
    "last_route": {"routes": [LAST_ROUTE]},
    "last_host": {"virtual_hosts": [ANY_HOST]},
}
"""The parts by the names that the catalog uses."""


def right(field: str) -> Any:
    """Return the value of `part.name.name...`; False where the renderer leaves the field at its default."""
    part, *names = field.split(".")
    value: Any = _PARTS[part]
    for name in names:
        value = value.get(name, False)
    return value


@cache
def paste(field: str) -> str:
    """Return `part.name.name...` with its value as the YAML to paste into the part."""
    value = right(field)
    for name in reversed(field.split(".")[1:]):
        value = {name: value}
    return emit(value)

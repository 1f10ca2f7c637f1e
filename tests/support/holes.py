"""Broken Envoy configurations: ours, each with one hole planted, and what the doctor must find.

Rules of this module:

* A hole is a function that changes a tree in place; its name says what somebody did.
* `finds` are the ids of exactly the findings that follow, hints included. `by_hand` are those among them that no
  machine can close.
"""

import contextlib
import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from authz.render.bootstrap import bootstrap
from tests.support.chains import STANDALONE
from tests.support.yaml_text import read_yaml

EXT = "type.googleapis.com/envoy.extensions"
AUTHZ_PER_ROUTE = f"{EXT}.filters.http.ext_authz.v3.ExtAuthzPerRoute"
PROC_PER_ROUTE = f"{EXT}.filters.http.ext_proc.v3.ExtProcPerRoute"
FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig"
AUTHZ, CORS, PROC = (f"envoy.filters.http.{name}" for name in ("ext_authz", "cors", "ext_proc"))
LUA = {
    "name": "envoy.filters.http.lua",
    "typed_config": {
        "@type": f"{EXT}.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": "function envoy_on_request(h)\nend\n"},
    },
}


class Tree:
    """A bootstrap with ways to the parts that are broken."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root
        with contextlib.suppress(KeyError, StopIteration):
            # One pool: a hole in the rule that decides is then a hole for every response.
            del self.wrapper["typed_config"]["xds_matcher"]["matcher_list"]["matchers"][:-2]

    @property
    def resources(self):
        return self.root["static_resources"]

    @property
    def manager(self):
        return self.resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]

    @property
    def filters(self):
        return self.manager["http_filters"]

    @property
    def authz(self):
        return next(each for each in self.filters if each["name"] == AUTHZ)["typed_config"]

    @property
    def wrapper(self):
        return next(each for each in self.filters if each["name"] == "mcp-rewrite")

    @property
    def rule(self):
        return self.wrapper["typed_config"]["xds_matcher"]["matcher_list"]["matchers"][0]

    @property
    def proc(self):
        return self.rule["on_match"]["action"]["typed_config"]["typed_config"]["typed_config"]

    @property
    def headers_rule(self):
        filter_ = self.filters[self.place("mcp-server-headers")]
        return filter_["typed_config"]["xds_matcher"]["matcher_list"]["matchers"][0]

    @property
    def headers(self):
        return self.headers_rule["on_match"]["action"]["typed_config"]["typed_config"]["typed_config"]

    @property
    def hosts(self):
        return self.manager["route_config"]["virtual_hosts"]

    def route(self, name):
        return next(each for host in self.hosts for each in host["routes"] if each["name"] == name)

    def cluster(self, name):
        return next(each for each in self.resources["clusters"] if each["name"] == name)

    def place(self, name):
        return next(at for at, each in enumerate(self.filters) if each["name"] == name)

    @property
    def unwrapped(self):
        """Put the bare ext_proc in the place of the matcher around it, and give its element."""
        at = self.place("mcp-rewrite")
        self.filters[at] = {"name": PROC, "typed_config": self.proc}
        return self.filters[at]


@dataclass(frozen=True)
class Hole:
    """One broken configuration."""

    plant: Callable[[Tree], Any]
    finds: tuple[str, ...]
    by_hand: frozenset[str] = field(default_factory=frozenset)

    @property
    def name(self) -> str:
        """What was done."""
        return self.plant.__name__.strip("_").replace("_", " ")

    def tree(self, base: dict[str, Any]) -> dict[str, Any]:
        """Give a broken copy of a bootstrap."""
        broken = copy.deepcopy(base)
        self.plant(Tree(broken))
        return broken


def ours() -> dict[str, Any]:
    """Give a bootstrap of ours on which nothing is found, not even a hint."""
    return read_yaml(_ours())


@cache
def _ours() -> str:
    return bootstrap(STANDALONE)


HOLES: list[Hole] = []


def hole(*finds: str, by_hand: tuple[str, ...] = ()):
    """Enter a function into the table."""

    def enter(plant):
        HOLES.append(Hole(plant, finds, frozenset(by_hand)))
        return plant

    return enter


def fields(id_: str, part: str, **values: Any) -> None:
    """Enter holes that set fields of one part to a value; None takes the field away."""
    for name, value in values.items():

        def plant(tree, name=name, value=value):
            target = getattr(tree, part)
            if value is None:
                target.pop(name)
            else:
                target[name] = value

        word = (
            "missing"
            if value is None
            else str(value).lower()
            if not isinstance(value, dict | list)
            else "other"
        )
        plant.__name__ = f"{part}_{name}_{word}"
        HOLES.append(Hole(plant, (id_,)))


fields("authz-fail-open", "authz", failure_mode_allow=True)
fields("authz-fail-open", "authz", failure_mode_allow="yes")
fields("authz-shadow", "authz", shadow_mode=True)
fields("authz-no-body", "authz", with_request_body=None)
fields("authz-clears-route", "authz", clear_route_cache=True)
fields("authz-mutations-unchecked", "authz", validate_mutations=None)
fields("authz-mutation-rules", "authz", decoder_header_mutation_rules=None)
fields("authz-mutation-rules", "authz", decoder_header_mutation_rules={"disallow_all": True})
fields("authz-error-status", "authz", status_on_error={"code": "OK"})
fields("authz-error-status", "authz", status_on_error={"code": 204})
fields("authz-headers-hidden", "authz", allowed_headers={"patterns": [{"exact": "authorization"}]})
fields(
    "authz-headers-hidden",
    "authz",
    disallowed_headers={"patterns": [{"exact": "cookie"}, {"prefix": "mcp-"}]},
)
fields("authz-raw-headers", "authz", encode_raw_headers=True)
fields(
    "authz-fraction", "authz", filter_enabled={"default_value": {"numerator": 50, "denominator": "HUNDRED"}}
)
fields(
    "authz-fraction",
    "authz",
    filter_enabled_metadata={"filter": "x", "path": [{"key": "k"}], "value": {"bool_match": True}},
)
fields("rewriter-fail-open", "proc", failure_mode_allow=True)
fields("rewriter-observes", "proc", observability_mode=True)
fields(
    "rewriter-mode",
    "proc",
    processing_mode={"response_header_mode": "SEND", "response_body_mode": "BUFFERED"},
)
fields("rewriter-mode", "proc", processing_mode={"response_body_mode": 3})
fields("rewriter-mode", "proc", processing_mode={"response_body_mode": "streamed"})
fields("rewriter-mode", "proc", processing_mode=None)
fields("rewriter-content-length", "proc", allow_content_length_header=None)
fields("rewriter-mode-override", "proc", allow_mode_override=True)
fields("rewriter-clears-route", "proc", disable_clear_route_cache=None)
fields("rewriter-mutation-rules", "proc", mutation_rules=None)
fields("rewriter-error-status", "proc", status_on_error={"code": "Found"})
fields("identity-headers", "manager", early_header_mutation_extensions=None)
fields("path-normalisation", "manager", normalize_path=None)
fields("path-slashes", "manager", merge_slashes=False)
fields("path-escaped-slashes", "manager", path_with_escaped_slashes_action="KEEP_UNCHANGED")
fields(
    "header-underscores",
    "manager",
    common_http_protocol_options={"headers_with_underscores_action": "REJECT_REQUEST"},
)
fields(
    "header-underscores",
    "manager",
    common_http_protocol_options={"headers_with_underscores_action": "DROP_HEADER"},
)
fields("client-address", "manager", use_remote_address=None)
fields("internal-clients", "manager", internal_address_config=None)
fields("slow-requests", "manager", request_timeout=None)
fields("stream-idle", "manager", stream_idle_timeout="5s")
fields("stream-idle", "manager", stream_idle_timeout="0s")
fields("upgrades", "manager", upgrade_configs=[{"upgrade_type": "websocket"}])


@hole("authz-partial-body")
def long_bodies_are_judged_in_part(tree):
    tree.authz["with_request_body"]["allow_partial_message"] = True


@hole("authz-body-text")
def bodies_come_as_text(tree):
    del tree.authz["with_request_body"]["pack_as_bytes"]


@hole("authz-body-limit")
def bodies_of_any_size_are_held(tree):
    tree.authz["with_request_body"]["max_request_bytes"] = 1 << 30


@hole("authz-partial-body", "authz-body-text")
def camel_case_and_a_text_for_a_boolean_are_read_as_envoy_reads_them(tree):
    tree.authz["withRequestBody"] = {"maxRequestBytes": "1048576", "allowPartialMessage": "Yes"}
    del tree.authz["with_request_body"]


@hole("authz-disabled")
def the_authz_filter_is_disabled(tree):
    tree.filters[tree.place(AUTHZ)]["disabled"] = True


@hole("authz-conditional")
def a_header_decides_whether_requests_are_judged(tree):
    at = tree.place(AUTHZ)
    header = {
        "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
        "header_name": "x-skip",
    }
    rule = {
        "predicate": {
            "single_predicate": {
                "input": {"name": "h", "typed_config": header},
                "value_match": {"exact": "1"},
            }
        },
        "on_match": {
            "action": {
                "name": "skip",
                "typed_config": {"@type": f"{EXT}.filters.common.matcher.action.v3.SkipFilter"},
            }
        },
    }
    tree.filters[at] = {
        "name": AUTHZ,
        "typed_config": {
            "@type": f"{EXT}.common.matching.v3.ExtensionWithMatcher",
            "xds_matcher": {"matcher_list": {"matchers": [rule]}},
            "extension_config": {"name": AUTHZ, "typed_config": tree.authz},
        },
    }


@hole("authz-timeout")
def nothing_is_said_about_the_time_for_a_check(tree):
    service = tree.authz["grpc_service"]
    del service["timeout"], service["retry_policy"]


@hole("authz-retry")
def the_retry_has_no_back_off(tree):
    del tree.authz["grpc_service"]["retry_policy"]["retry_back_off"]


@hole("authz-retry")
def each_try_is_cut_after_two_milliseconds(tree):
    tree.authz["grpc_service"]["retry_policy"]["retry_back_off"]["max_interval"] = "0.01s"


@hole("authz-http-service", by_hand=("authz-http-service",))
def the_service_is_asked_over_http(tree):
    del tree.authz["grpc_service"]
    uri = {"uri": "http://127.0.0.1:9001", "cluster": "authz", "timeout": "1s"}
    tree.authz["http_service"] = {"server_uri": uri}


@hole("authz-no-body")
def a_route_keeps_its_body_to_itself(tree):
    per_route = tree.route("mcp-demo").setdefault("typed_per_filter_config", {})
    per_route[AUTHZ] = {"@type": AUTHZ_PER_ROUTE, "check_settings": {"disable_request_body_buffering": True}}


@hole("authz-partial-body", "authz-body-text")
def a_route_has_weaker_settings_for_bodies(tree):
    per_route = tree.route("mcp-demo").setdefault("typed_per_filter_config", {})
    body = {"max_request_bytes": 1048576, "allow_partial_message": True}
    per_route[AUTHZ] = {"@type": AUTHZ_PER_ROUTE, "check_settings": {"with_request_body": body}}


@hole("rewriter-missing")
def nothing_trims_lists(tree):
    tree.filters.remove(tree.wrapper)


@hole("rewriter-spoofable")
def a_header_decides_whether_lists_are_trimmed(tree):
    tree.rule["predicate"]["single_predicate"] = {
        "input": {
            "name": "h",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
                "header_name": "x-mcp-rewrite",
            },
        },
        "value_match": {"exact": "1"},
    }


@hole("rewriter-fail-open", "rewriter-mode")
def the_rewriter_fails_open_and_takes_bodies_in_another_mode(tree):
    tree.proc["failure_mode_allow"] = True
    tree.proc["processing_mode"] |= {"response_body_mode": "BUFFERED", "response_trailer_mode": "SKIP"}


@hole("rewriter-disabled")
def a_route_chosen_by_header_enables_the_rewriter(tree):
    tree.unwrapped["disabled"] = True
    route = copy.deepcopy(tree.route("mcp-demo"))
    route["name"] = "mcp-list"
    route["match"]["headers"] = [{"name": "x-mcp-rewrite", "string_match": {"exact": "1"}}]
    route.setdefault("typed_per_filter_config", {})[PROC] = {"@type": FILTER_CONFIG, "config": {}}
    tree.hosts[0]["routes"].insert(1, route)


@hole("rewriter-matcher")
def the_rewriter_asks_for_another_key(tree):
    tree.rule["predicate"]["single_predicate"]["input"]["typed_config"]["path"] = [{"key": "list"}]


@hole("rewriter-matcher")
def the_rewriter_runs_where_the_flag_is_false(tree):
    tree.rule["predicate"]["single_predicate"]["custom_match"]["typed_config"]["value"] = {
        "bool_match": False
    }


@hole("rewriter-always")
def the_rewriter_runs_on_everything(tree):
    assert tree.unwrapped


@hole("rewriter-requests")
def the_rewriter_gets_requests_too(tree):
    tree.proc["processing_mode"]["request_header_mode"] = "SEND"


@hole("rewriter-always", "rewriter-on-route")
def a_route_takes_the_rewriter_away(tree):
    assert tree.unwrapped
    per_route = tree.route("mcp-demo").setdefault("typed_per_filter_config", {})
    per_route[PROC] = {"@type": PROC_PER_ROUTE, "disabled": True}


@hole("rewriter-on-route")
def a_route_switches_the_rewriter_off(tree):
    per_route = tree.route("mcp-demo").setdefault("typed_per_filter_config", {})
    per_route["mcp-rewrite"] = {"@type": FILTER_CONFIG, "disabled": True}


@hole("rewriter-http-service", by_hand=("rewriter-http-service",))
def the_rewriter_is_asked_over_http(tree):
    del tree.proc["grpc_service"]
    uri = {"uri": "http://127.0.0.1:9001", "cluster": "authz", "timeout": "1s"}
    tree.proc["http_service"] = {"http_service": {"http_uri": uri}}


@hole("order-rewriter-first")
def the_rewriter_stands_before_ext_authz(tree):
    tree.filters.insert(0, tree.filters.pop(tree.place("mcp-rewrite")))


@hole("unjudged-passes")
def nothing_waits_for_the_rewriters_judgement(tree):
    del tree.filters[tree.place("mcp-unjudged")]


@hole("unjudged-passes")
def what_waits_for_the_rewriters_judgement_is_switched_off(tree):
    tree.filters[tree.place("mcp-unjudged")]["disabled"] = True


@hole("unjudged-passes")
def a_route_does_not_wait_for_the_rewriters_judgement(tree):
    per_route = tree.route("mcp-demo").setdefault("typed_per_filter_config", {})
    per_route["mcp-unjudged"] = {"@type": FILTER_CONFIG, "disabled": True}


@hole("rewriter-unheard")
def what_waits_for_the_rewriter_stands_behind_it(tree):
    tree.filters.insert(tree.place("mcp-rewrite"), tree.filters.pop(tree.place("mcp-unjudged")))


@hole("rewriter-metadata", "rewriter-unheard")
def the_rewriter_neither_hears_what_was_decided_nor_says_what_it_judged(tree):
    del tree.proc["metadata_options"]


@hole("rewriter-unheard")
def the_rewriter_may_not_say_that_it_judged(tree):
    del tree.proc["metadata_options"]["receiving_namespaces"]


@hole("order-cors-late")
def cors_stands_after_ext_authz(tree):
    tree.filters.insert(2, tree.filters.pop(tree.place(CORS)))


@hole("server-headers")
def nothing_removes_the_servers_headers(tree):
    del tree.filters[tree.place("mcp-server-headers")]


@hole("server-headers")
def the_servers_headers_are_removed_only_in_one_spelling(tree):
    matcher = tree.headers["mutations"]["response_mutations"][0]["remove_on_match"]["key_matcher"]
    matcher["safe_regex"]["regex"] = "set-cookie|access-control-.*|x-mcp-.*|alt-svc"


@hole("server-headers")
def the_servers_headers_are_removed_where_a_request_was_denied(tree):
    predicate = tree.headers_rule["predicate"]["single_predicate"]
    predicate["custom_match"]["typed_config"]["value"]["string_match"]["exact"] = "deny"


@hole("rewriter-answers")
def the_rewriter_does_not_see_redirects_and_challenges(tree):
    del tree.wrapper["typed_config"]["xds_matcher"]["matcher_list"]["matchers"][-1]


@hole("rewriter-answers")
def the_rewriter_does_not_see_redirects(tree):
    rule = tree.wrapper["typed_config"]["xds_matcher"]["matcher_list"]["matchers"][-1]
    del rule["predicate"]["and_matcher"]["predicate"][1]["or_matcher"]["predicate"][0]


@hole("order-cors-missing")
def cors_policies_stand_without_a_cors_filter(tree):
    del tree.filters[tree.place(CORS)]


@hole("order-changed-after")
def a_lua_filter_comes_after_ext_authz(tree):
    tree.filters.insert(-1, copy.deepcopy(LUA))


@hole("order-changed-after")
def a_filter_writes_into_the_metadata_of_ext_authz(tree):
    rule = {
        "header": "x-list",
        "on_header_present": {"metadata_namespace": AUTHZ, "key": "rewrite", "type": "STRING"},
    }
    config = {"@type": f"{EXT}.filters.http.header_to_metadata.v3.Config", "request_rules": [rule]}
    tree.filters.insert(2, {"name": "envoy.filters.http.header_to_metadata", "typed_config": config})


@hole("order-unknown-after", by_hand=("order-unknown-after",))
def a_filter_that_nobody_knows_comes_after_ext_authz(tree):
    config = {"@type": f"{EXT}.filters.http.original_src.v3.OriginalSrc"}
    tree.filters.insert(-1, {"name": "envoy.filters.http.original_src", "typed_config": config})


@hole("no-ext-authz", by_hand=("no-ext-authz",))
def nothing_judges_requests(tree):
    tree.filters[:] = [each for each in tree.filters if each["name"] not in {AUTHZ, "mcp-rewrite"}]


@hole("chain-unguarded")
def a_second_listener_leads_to_the_same_server(tree):
    second = copy.deepcopy(tree.resources["listeners"][0])
    second["name"], second["address"]["socket_address"]["port_value"] = "bare", 10009
    manager = second["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"] = [
        each for each in manager["http_filters"] if each["name"].endswith(("cors", "router"))
    ]
    for host in manager["route_config"]["virtual_hosts"]:
        for route in host["routes"]:
            route.pop("typed_per_filter_config", None)
    metadata = {"@type": AUTHZ_PER_ROUTE, "disabled": True}
    for host in manager["route_config"]["virtual_hosts"]:
        for route in host["routes"]:
            if route["name"] == "metadata":
                route["typed_per_filter_config"] = {AUTHZ: metadata}
    tree.resources["listeners"].append(second)


@hole("chain-unguarded", by_hand=("chain-unguarded",))
def a_tcp_proxy_leads_to_the_same_server(tree):
    config = {"@type": f"{EXT}.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "around"}
    config["weighted_clusters"] = {"clusters": [{"name": "mcp-demo", "weight": 1}]}
    tree.resources["listeners"].append(
        {
            "name": "around",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 10009}},
            "filter_chains": [{"filters": [{"name": "tcp", "typed_config": config}]}],
        }
    )


def _early(tree, **mutation):
    config = {"@type": f"{EXT}.http.early_header_mutation.header_mutation.v3.HeaderMutation"}
    config["mutations"] = [mutation]
    tree.manager.setdefault("early_header_mutation_extensions", []).append(
        {"name": "own", "typed_config": config}
    )


@hole("front-token-taken", by_hand=("front-token-taken",))
def the_token_is_removed_before_all_filters(tree):
    _early(tree, remove="Authorization")


@hole("front-token-given", by_hand=("front-token-given",))
def a_token_is_set_before_all_filters(tree):
    _early(tree, append={"header": {"key": "authorization", "value": "Bearer x"}})


@hole("front-headers", by_hand=("front-headers",))
def the_origin_is_removed_before_all_filters(tree):
    _early(tree, remove="origin")


@hole("order-changed-after", by_hand=("order-changed-after",))
def a_filter_of_the_servers_cluster_changes_the_request(tree):
    (cluster,) = (each for each in tree.resources["clusters"] if each["name"] == "mcp-demo")
    key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options = cluster.setdefault("typed_extension_protocol_options", {}).setdefault(
        key, {"@type": f"type.googleapis.com/{key}", "explicit_http_config": {"http_protocol_options": {}}}
    )
    codec = {"@type": f"{EXT}.filters.http.upstream_codec.v3.UpstreamCodec"}
    options["http_filters"] = [LUA, {"name": "envoy.filters.http.upstream_codec", "typed_config": codec}]


@hole("route-unguarded")
def the_servers_route_is_not_judged(tree):
    per_route = tree.route("mcp-demo").setdefault("typed_per_filter_config", {})
    per_route[AUTHZ] = {"@type": AUTHZ_PER_ROUTE, "disabled": True}


@hole("route-unguarded")
def another_path_to_the_server_is_not_judged(tree):
    route = copy.deepcopy(tree.route("mcp-demo"))
    route |= {"name": "debug", "match": {"path": "/debug/mcp"}}
    route["typed_per_filter_config"] = {AUTHZ: {"@type": FILTER_CONFIG, "disabled": True}}
    tree.hosts[0]["routes"].insert(0, route)


@hole("route-unguarded")
def a_whole_virtual_host_is_not_judged(tree):
    tree.hosts[0]["typed_per_filter_config"] = {AUTHZ: {"@type": AUTHZ_PER_ROUTE, "disabled": True}}


@hole("route-no-end")
def nothing_catches_other_paths(tree):
    host = tree.hosts[0]
    host["routes"] = [each for each in host["routes"] if each["name"] != "none"]


@hole("route-no-host")
def nothing_catches_other_hosts(tree):
    for host in tree.hosts:
        host["domains"] = ["mcp.example.com" if each == "*" else each for each in host["domains"]]


@hole("route-timeout")
def the_route_has_the_default_timeout(tree):
    del tree.route("mcp-demo")["route"]["timeout"]


@hole("route-timeout")
def the_route_has_a_timeout(tree):
    tree.route("mcp-demo")["route"]["timeout"] = "60s"


@hole("stream-idle")
def the_route_cuts_silent_streams(tree):
    tree.route("mcp-demo")["route"]["idle_timeout"] = "10s"


@hole("stream-duration")
def streams_last_a_minute_at_most(tree):
    tree.manager["common_http_protocol_options"]["max_stream_duration"] = "60s"


@hole("metadata-missing")
def nothing_serves_the_metadata(tree):
    for host in tree.hosts:
        host["routes"] = [each for each in host["routes"] if each["name"] != "metadata"]


@hole("metadata-judged")
def a_token_is_asked_for_the_metadata(tree):
    del tree.route("metadata")["typed_per_filter_config"][AUTHZ]


@hole("cors-exposed")
def pages_cannot_see_the_session(tree):
    policy = tree.route("mcp-demo")["typed_per_filter_config"][CORS]
    policy["expose_headers"] = "WWW-Authenticate"


@hole("upgrades")
def a_route_admits_websockets(tree):
    tree.route("mcp-demo")["route"]["upgrade_configs"] = [{"upgrade_type": "websocket"}]


@hole("log-claims", by_hand=("log-claims",))
def the_access_log_holds_all_metadata(tree):
    line = tree.manager["access_log"][0]["typed_config"]["log_format"]["json_format"]
    line["all"] = f"%DYNAMIC_METADATA({AUTHZ})%"


@hole("plain-http", by_hand=("plain-http",))
def the_listener_is_open_to_the_network(tree):
    tree.resources["listeners"][0]["address"]["socket_address"]["address"] = "0.0.0.0"


@hole("cluster-unknown", by_hand=("cluster-unknown",))
def ext_authz_asks_a_cluster_that_is_not_there(tree):
    tree.authz["grpc_service"]["envoy_grpc"]["cluster_name"] = "nobody"


@hole("cluster-unknown", by_hand=("cluster-unknown",))
def ext_proc_asks_a_cluster_that_is_not_there(tree):
    tree.proc["grpc_service"]["envoy_grpc"]["cluster_name"] = "nobody"


@hole("cluster-shared")
def both_filters_share_a_cluster(tree):
    tree.proc["grpc_service"]["envoy_grpc"]["cluster_name"] = "authz"


@hole("cluster-shared")
def both_filters_share_the_only_cluster(tree):
    tree.proc["grpc_service"]["envoy_grpc"]["cluster_name"] = "authz"
    tree.resources["clusters"].remove(tree.cluster("rewriter"))


@hole("cluster-http2")
def the_services_cluster_speaks_http_1(tree):
    del tree.cluster("authz")["typed_extension_protocol_options"]


@hole("cluster-health")
def nobody_checks_the_services_health(tree):
    del tree.cluster("authz")["health_checks"]


@hole("cluster-panic")
def an_unhealthy_service_is_asked_too(tree):
    del tree.cluster("authz")["common_lb_config"]


@hole("cluster-plain", "cluster-plain", by_hand=("cluster-plain",))
def the_service_is_asked_over_the_network(tree):
    for name in ("authz", "rewriter"):
        (locality,) = tree.cluster(name)["load_assignment"]["endpoints"]
        (endpoint,) = locality["lb_endpoints"]
        endpoint["endpoint"]["address"]["socket_address"]["address"] = "192.0.2.5"


@hole("admin-public")
def the_admin_interface_is_open_to_the_network(tree):
    tree.root["admin"]["address"]["socket_address"]["address"] = "0.0.0.0"


@hole("envoy-old", by_hand=("envoy-old",))
def an_old_envoy_runs_it(tree):
    version = {"major_number": 1, "minor_number": 38, "patch": 3}
    tree.root["node"] = {"id": "a", "cluster": "b", "user_agent_build_version": {"version": version}}


@hole("not-seen", by_hand=("not-seen",))
def routes_come_by_rds(tree):
    del tree.manager["route_config"]
    tree.manager["rds"] = {
        "route_config_name": "mcp",
        "config_source": {"path_config_source": {"path": "/r.yaml"}},
    }


@hole("not-seen", by_hand=("not-seen",))
def clusters_come_by_cds(tree):
    tree.root["dynamic_resources"] = {"cds_config": {"path_config_source": {"path": "/c.yaml"}}}


@hole("not-seen", by_hand=("not-seen",))
def the_rewriter_comes_by_ecds(tree):
    at = tree.place("mcp-rewrite")
    source = {"path_config_source": {"path": "/e.yaml"}}
    types = ["type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor"]
    tree.filters[at] = {"name": PROC, "config_discovery": {"config_source": source, "type_urls": types}}


@hole("log-token", by_hand=("log-token",))
def the_access_log_holds_tokens(tree):
    line = tree.manager["access_log"][0]["typed_config"]["log_format"]["json_format"]
    line["who"] = "%REQ(X-User?Authorization):40%"


@hole("log-token", by_hand=("log-token",))
def a_collector_of_logs_gets_tokens(tree):
    tree.manager["access_log"].append(
        {
            "name": "envoy.access_loggers.http_grpc",
            "typed_config": {
                "@type": f"{EXT}.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
                "common_config": {
                    "log_name": "all",
                    "transport_api_version": "V3",
                    "grpc_service": {"envoy_grpc": {"cluster_name": "authz"}},
                },
                "additional_request_headers_to_log": ["user-agent", "Authorization"],
            },
        }
    )


@hole("denial-status", by_hand=("denial-status",))
def a_mapper_makes_denials_look_well(tree):
    tree.manager["local_reply_config"]["mappers"].append(
        {
            "filter": {
                "status_code_filter": {
                    "comparison": {"op": "GE", "value": {"default_value": 400, "runtime_key": "errors"}}
                }
            },
            "status_code": 200,
        }
    )


@hole("denial-status", by_hand=("denial-status",))
def a_mapper_hides_what_was_denied(tree):
    tree.manager["local_reply_config"]["mappers"].append(
        {"filter": {"response_flag_filter": {"flags": ["UAEX", "UF"]}}, "status_code": 404}
    )


@hole("denial-replaced", by_hand=("denial-replaced",))
def pages_take_the_place_of_denials(tree):
    policy = {
        "@type": f"{EXT}.http.custom_response.local_response_policy.v3.LocalResponsePolicy",
        "status_code": 200,
        "body": {"inline_string": "sorry"},
    }
    matcher = {
        "matcher_list": {
            "matchers": [
                {
                    "predicate": {
                        "single_predicate": {
                            "input": {
                                "name": "status",
                                "typed_config": {
                                    "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpResponseStatusCodeClassMatchInput"
                                },
                            },
                            "value_match": {"exact": "4xx"},
                        }
                    },
                    "on_match": {"action": {"name": "sorry", "typed_config": policy}},
                }
            ]
        }
    }
    config = {
        "@type": f"{EXT}.filters.http.custom_response.v3.CustomResponse",
        "custom_response_matcher": matcher,
    }
    tree.filters.insert(0, {"name": "envoy.filters.http.custom_response", "typed_config": config})


@hole("route-retries", by_hand=("route-retries",))
def failed_calls_are_sent_again(tree):
    tree.route("mcp-demo")["route"]["retry_policy"] = {"retry_on": "connect-failure,5xx", "num_retries": 2}


@hole("route-rewrites-path", by_hand=("route-rewrites-path",))
def a_pattern_writes_the_path(tree):
    tree.route("mcp-demo")["route"]["regex_rewrite"] = {
        "pattern": {"regex": "^/(.*)$"},
        "substitution": "/v2/\\1",
    }


NAMED = {each.name: each for each in HOLES}
"""Holes by what was done; of several with one name the last."""

"""An Envoy that serves an MCP server beside other work, each time with one thing wrong, and what the doctor must find.

`finds` are the ids of exactly the findings that follow; `left` those among them that `--fix` leaves to a person.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tests.support.holes import AUTHZ, AUTHZ_PER_ROUTE, EXT, FILTER_CONFIG, LUA, Tree, ours

JWT = "envoy.filters.http.jwt_authn"
EXEMPT = {"@type": AUTHZ_PER_ROUTE, "disabled": True}
JUDGED = {"@type": AUTHZ_PER_ROUTE, "check_settings": {}}
OFF = {"@type": FILTER_CONFIG, "disabled": True}
HINT = "route-exempt"
"""Stands beside every finding: the routes of the other work are exempt, and the doctor says so."""


@cache
def _ours() -> dict[str, Any]:
    """Render once."""
    return ours()


def beside() -> dict[str, Any]:
    """Give a bootstrap of ours that also serves an API behind jwt_authn; with its policy, only a hint is found."""
    root = copy.deepcopy(_ours())
    tree = Tree(root)
    host = next(each for each in tree.hosts if each["domains"] != ["*"])
    tree.manager["upgrade_configs"] = [{"upgrade_type": "websocket"}]
    tree.manager["route_config"]["typed_per_filter_config"] = {AUTHZ: EXEMPT}
    for mcp in (tree.route("mcp-demo"), tree.route("mcp-demo-preflight")):
        mcp["route"]["upgrade_configs"] = [{"upgrade_type": "websocket", "enabled": False}]
        mcp["typed_per_filter_config"] |= {AUTHZ: JUDGED, JWT: OFF}
    api = {"name": "api", "match": {"prefix": "/api"}, "route": {"cluster": "api"}}
    host["routes"].insert(3, api)
    tree.hosts.insert(
        0, {"name": "shop", "domains": ["shop.example.com"], "routes": [{**api, "name": "shop"}]}
    )
    provider = {"issuer": "https://theirs.example", "remote_jwks": {}}
    rules = [{"match": {"prefix": "/"}, "requires": {"provider_name": "theirs"}}]
    add(tree, JWT, "jwt_authn.v3.JwtAuthentication", providers={"theirs": provider}, rules=rules)
    cluster = copy.deepcopy(tree.cluster("authz_http"))
    cluster["name"] = "api"
    tree.resources["clusters"].append(cluster)
    return root


def add(tree: Tree, name: str, kind: str, **config: Any) -> None:
    """Put a filter before all others."""
    typed = {"@type": f"{EXT}.filters.http.{kind}", **config}
    tree.filters.insert(0, {"name": name, "typed_config": typed})


@dataclass(frozen=True)
class SharedHole:
    """One thing that is wrong."""

    plant: Callable[[Tree], Any]
    finds: tuple[str, ...]
    left: frozenset[str] = field(default_factory=frozenset)

    @property
    def name(self) -> str:
        """What was done."""
        return self.plant.__name__.replace("_", " ")

    def tree(self) -> dict[str, Any]:
        """Give the bootstrap with it."""
        root = beside()
        self.plant(Tree(root))
        return root


SHARED_HOLES: list[SharedHole] = []


def wrong(*finds: str, left: tuple[str, ...] = ()):
    """Enter a function into the table."""

    def enter(plant):
        SHARED_HOLES.append(SharedHole(plant, finds, frozenset(left)))
        return plant

    return enter


def settings(tree, route="mcp-demo"):
    return tree.route(route)["typed_per_filter_config"]


def mutated(tree, *mutations):
    add(tree, "mutate", "header_mutation.v3.HeaderMutation", mutations={"request_mutations": list(mutations)})


def appended(name):
    return {"append": {"header": {"key": name, "value": "x"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}


@wrong()
def nothing_at_all(tree):
    assert tree


@wrong("front-token-taken", "front-may-change")
def jwt_authn_runs_on_the_mcp_route(tree):
    del settings(tree)[JWT]


@wrong("front-may-change", left=("front-may-change",))
def jwt_authn_runs_there_and_forwards_the_token(tree):
    del settings(tree)[JWT]
    tree.filters[0]["typed_config"]["providers"]["theirs"]["forward"] = True


@wrong("front-token-taken")
def a_header_mutation_takes_the_token(tree):
    mutated(tree, {"remove": "Authorization"})


@wrong("front-token-taken", "front-may-change")
def code_in_lua_takes_the_token(tree):
    tree.filters.insert(0, copy.deepcopy(LUA))
    code = "function envoy_on_request(h)\n  h:headers():remove('authorization')\nend\n"
    tree.filters[0]["typed_config"]["default_source_code"]["inline_string"] = code


@wrong("front-token-given")
def a_header_mutation_gives_everyone_a_token(tree):
    mutated(tree, appended("authorization"))


@wrong("front-token-given")
def a_credential_is_injected(tree):
    add(tree, "inject", "credential_injector.v3.CredentialInjector")


@wrong("front-headers")
def a_header_mutation_takes_the_origin(tree):
    mutated(tree, {"remove": "origin"}, {"remove": "x-other"})


@wrong("front-headers")
def a_header_mutation_names_another_tool(tree):
    mutated(tree, appended("mcp-name"))


@wrong("front-answers-from-cache")
def a_cache_stands_in_front(tree):
    add(tree, "store", "cache.v3.CacheConfig")


@wrong("front-login-page")
def oauth2_stands_in_front(tree):
    add(tree, "login", "oauth2.v3.OAuth2", config={})


@wrong("front-body-limit")
def a_buffer_is_smaller_than_the_policy_allows(tree):
    add(tree, "hold", "buffer.v3.Buffer", max_request_bytes=1000)


@wrong("front-may-change", left=("front-may-change",))
def another_ext_authz_stands_in_front(tree):
    add(tree, "waf", "ext_authz.v3.ExtAuthz", http_service={}, failure_mode_allow=True)


@wrong("front-may-change", left=("front-may-change",))
def bodies_are_decompressed_in_front(tree):
    add(tree, "unpack", "decompressor.v3.Decompressor")


@wrong("front-may-change", left=("front-may-change",))
def another_ext_proc_stands_in_front(tree):
    add(tree, "own", "ext_proc.v3.ExternalProcessor", grpc_service={})


@wrong("route-unguarded")
def the_mcp_route_is_no_longer_judged(tree):
    del settings(tree)[AUTHZ]


@wrong("route-unguarded")
def another_path_leads_to_the_mcp_server(tree):
    route = {"name": "debug", "match": {"prefix": "/debug"}, "route": {"cluster": "mcp-demo"}}
    tree.hosts[1]["routes"].insert(0, route)


@wrong("route-unguarded")
def a_cluster_of_another_name_leads_to_the_mcp_server(tree):
    cluster = copy.deepcopy(tree.cluster("mcp-demo"))
    cluster["name"] = "old"
    tree.resources["clusters"].append(cluster)
    tree.hosts[0]["routes"][0]["route"]["cluster"] = "old"


@wrong("route-unguarded", left=("route-unguarded",))
def the_api_gets_what_is_for_the_mcp_server(tree):
    host = tree.hosts[1]
    host["routes"] = [each for each in host["routes"] if each["name"] == "api"]
    host["routes"][0]["match"] = {"prefix": "/"}


@wrong("route-unanswered", left=("route-unanswered",))
def the_api_is_judged_too(tree):
    tree.route("api")["typed_per_filter_config"] = {AUTHZ: JUDGED}


@wrong("upgrades")
def the_mcp_route_admits_websockets(tree):
    del tree.route("mcp-demo")["route"]["upgrade_configs"]


@wrong("stream-duration")
def streams_of_all_routes_end_after_a_minute(tree):
    tree.manager["common_http_protocol_options"]["max_stream_duration"] = "60s"


@wrong()
def silence_of_other_routes_is_short(tree):
    tree.manager["stream_idle_timeout"] = "5s"


@wrong("host-port-cut", left=("host-port-cut",))
def the_port_is_cut_from_host(tree):
    tree.manager["strip_any_host_port"] = True


@wrong("route-sets-identity", left=("route-sets-identity",))
def a_route_says_who_calls(tree):
    added = {"header": {"key": "X-Mcp-Subject", "value": "root"}}
    tree.route("mcp-demo")["request_headers_to_add"] = [added]


@wrong("route-retries")
def the_host_repeats_what_failed(tree):
    host = next(each for each in tree.hosts if any(route["name"] == "api" for route in each["routes"]))
    host["retry_policy"] = {"retry_on": "5xx,reset"}


@wrong("denial-replaced")
def pages_stand_for_errors_of_all_routes(tree):
    matcher = {"matcher_tree": {"input": {}, "exact_match_map": {"map": {}}}}
    add(
        tree,
        "envoy.filters.http.custom_response",
        "custom_response.v3.CustomResponse",
        custom_response_matcher=matcher,
    )

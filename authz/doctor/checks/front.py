"""Checks of the filters in front of ext_authz: does the request that the service judges still say what the client sent?

In front of ext_authz are the filters before it in its own chain, and all filters of a chain whose routes lead to it
through an internal listener. Only filters that run on a route to an MCP server count. What closes a finding switches the
filter off on that route, and leaves it on for all others; without a policy nobody knows which route that is.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from authz.core.transport import SINGLE_HEADERS
from authz.doctor import expected
from authz.doctor.data import load_data
from authz.doctor.filters import Filter
from authz.doctor.in_force import content, levels, runs, setting
from authz.doctor.inventory import FilterChain
from authz.doctor.model import CheckCase, Edit, Find, Hit, Put, once
from authz.doctor.node import Node
from authz.doctor.parts import mcp_routes
from authz.doctor.routes import ChainRoute, routes

_KINDS = load_data("filter_kinds.yaml")
_TOKEN = "authorization"
_READ = frozenset(name for name in SINGLE_HEADERS if not name.startswith(":")) - {_TOKEN}
_LUA_TAKES = re.compile(r""":\s*(remove|replace)\s*\(\s*["']authorization["']""", re.IGNORECASE)
_MODES = ("APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS")


_ANY_ROUTE = Node({"name": "of these documents"})


@dataclass(frozen=True, slots=True)
class InFront:
    """A filter that a request to an MCP server passes before ext_authz, with the route on which it runs."""

    filter: Filter
    route: ChainRoute

    def hit(self, case: CheckCase, detail: str, *, closed: bool = True) -> Hit:
        """Return a hit that switching the filter off on the route closes."""
        edits: tuple[Edit, ...] = ()
        if closed and case.settings is not None:
            entry = (*self.route.node.at("typed_per_filter_config").path, self.filter.name)
            edits = (Put(entry, expected.OFF),)
        named = f"filter {self.filter.name} ({self.filter.kind}) on route {self.route.name}"
        return Hit(self.filter.node, f"{named}: {detail}", edits)


def in_front(case: CheckCase, *kinds: str) -> Iterator[InFront]:
    """Yield the filters in front, or those of some kinds."""
    return (each for each in _all_in_front(case) if not kinds or each.filter.kind in kinds)


@once
def _all_in_front(case: CheckCase) -> list[InFront]:
    parts = (ChainRoute(_ANY_ROUTE, Node(None), chain) for chain in case.inventory.guarded if chain.partial)
    return [
        InFront(each, route)
        for route in (*mcp_routes(case), *_leading_in(case), *parts)
        for each in route.chain.filters
        if _is_before(each, route.chain) and runs(each, route)
    ]


def _is_before(each: Filter, chain: FilterChain) -> bool:
    return (chain.authz is None or each.index < chain.authz.index) and each is not chain.rewriter


@once
def _leading_in(case: CheckCase) -> list[ChainRoute]:
    """Return the routes of other chains that lead to a guarded one through an internal listener."""
    inner = {chain.listener.at("name").text for chain in case.inventory.guarded if chain.authz} - {""}
    doors = {name for name, cluster in case.inventory.clusters.items() if _internal(cluster) & inner}
    others = routes(chain for chain in case.inventory.chains if chain.whole and not chain.authz)
    return [route for route in others if route.clusters & doors and not route.serves_metadata]


def _internal(cluster: Node) -> set[str]:
    """Return the internal listeners that a cluster leads to."""
    found = (
        node.at("server_listener_name").text
        for node in cluster.walk()
        if node.key == "envoy_internal_address"
    )
    return set(found)


def _taken(case: CheckCase) -> Iterator[Hit]:
    for each in in_front(case, "jwt_authn"):
        for name in _taking_providers(each, _paths(case, each.route)):
            yield each.hit(case, f"provider {name} has no forward: true")
    for each in in_front(case, "header_mutation"):
        if any(name == _TOKEN and gone for name, gone, _ in _mutations(each)):
            yield each.hit(case, "removes authorization")
    yield from _early_hits(case, lambda name, gone, _: name == _TOKEN and gone)
    for each in in_front(case, "lua"):
        if any(_LUA_TAKES.search(node.text) for node in each.filter.config.walk()):
            yield each.hit(case, "its code changes authorization")


def _paths(case: CheckCase, route: ChainRoute) -> list[str]:
    """Return the paths of servers that a route takes; what it matches, without a policy."""
    servers = case.settings.directory.servers if case.settings else ()
    found = [server.path for server in servers if route.takes(server.path)]
    return found or [
        route.node.at("match", kind).text for kind in ("path", "prefix") if route.node.at("match", kind).text
    ]


def _taking_providers(each: InFront, paths: list[str]) -> Iterator[str]:
    """Yield the providers of jwt_authn that verify a request to one of some paths and do not pass its token on."""
    config = each.filter.config
    providers = dict(config.at("providers").members())
    names: set[str] = set()
    for requirement in _requirements(each, paths):
        asked = {node.text for node in requirement.walk() if node.key == "provider_name"}
        lenient = any(node.key.startswith("allow_missing") for node in requirement.walk())
        names |= asked or (set(providers) if lenient else set())
    for name in sorted(names):
        provider = providers.get(name, Node(None))
        if provider.present and not provider.at("forward").flag and _reads_authorization(provider):
            yield name


def _reads_authorization(provider: Node) -> bool:
    named = [each.at("name").text.lower() for each in provider.at("from_headers").items()]
    elsewhere = provider.at("from_params").present or provider.at("from_cookies").present
    return _TOKEN in named or not (named or elsewhere)


def _requirements(each: InFront, paths: list[str]) -> Iterator[Node]:
    """Yield what jwt_authn requires: by the route's own setting, or by the first rule that takes a path."""
    config = each.filter.config
    named = dict(config.at("requirement_map").members())
    own = content(setting(each.route, each.filter.name)).at("requirement_name")
    if own.present:
        yield named.get(own.text, Node(None))
        return
    for path in paths:
        rules = (ChainRoute(rule, Node(None), each.route.chain) for rule in config.at("rules").items())
        for rule in rules:
            if rule.may_take(path):
                by_name = named.get(rule.node.at("requirement_name").text, Node(None))
                yield rule.node.at("requires") if rule.node.at("requires").present else by_name
                break


def _mutations(each: InFront) -> Iterator[tuple[str, bool, bool]]:
    """Yield the request headers that a header_mutation changes: name, whether it goes, whether it is overwritten."""
    own = content(setting(each.route, each.filter.name))
    for config in (each.filter.config, own):
        for node in config.at("mutations", "request_mutations").items():
            yield from _mutation(node)


def _mutation(node: Node) -> Iterator[tuple[str, bool, bool]]:
    if node.at("remove").text:
        yield node.at("remove").text.lower(), True, False
    added = node.at("append")
    if added.present:
        mode = added.at("append_action").enum(*_MODES)
        yield added.at("header", "key").text.lower(), False, mode != _MODES[1]


def _early_hits(case: CheckCase, meant: Callable[[str, bool, bool], bool]) -> Iterator[Hit]:
    """Find mutations that connection managers make before all filters; they are for every route, so nothing fixes them."""
    on_the_way = (*mcp_routes(case), *_leading_in(case))
    managers = {route.chain.manager.path: route.chain.manager for route in on_the_way}
    for manager in managers.values():
        for extension in manager.at("early_header_mutation_extensions").items():
            for node in extension.at("typed_config").unpacked().at("mutations").items():
                for name, gone, over in _mutation(node):
                    if meant(name, gone, over):
                        done = "removes" if gone else "sets"
                        yield Hit(node, f"early_header_mutation_extensions {done} {name}")


def _given(case: CheckCase) -> Iterator[Hit]:
    for each in in_front(case, "credential_injector"):
        yield each.hit(case, "injects a credential")
    for each in in_front(case, "oauth2"):
        if each.filter.config.at("config", "forward_bearer_token").flag:
            yield each.hit(case, "forward_bearer_token turns a cookie into a token")
    for each in in_front(case, "header_mutation"):
        if any(name == _TOKEN and not gone for name, gone, _ in _mutations(each)):
            yield each.hit(case, "sets authorization")
    yield from _early_hits(case, lambda name, gone, _: name == _TOKEN and not gone)


def _headers(case: CheckCase) -> Iterator[Hit]:
    for each in in_front(case, "header_mutation"):
        changed = sorted({name for name, gone, over in _mutations(each) if name in _READ and (gone or over)})
        if changed:
            yield each.hit(case, f"changes {', '.join(changed)}")
    yield from _early_hits(case, lambda name, gone, over: name in _READ and (gone or over))


def _cached(case: CheckCase) -> Iterator[Hit]:
    yield from (each.hit(case, "answers what it has stored") for each in in_front(case, *_KINDS["stored"]))


def _login(case: CheckCase) -> Iterator[Hit]:
    for each in in_front(case, "oauth2"):
        yield each.hit(case, "asks for a cookie")


def _limit(case: CheckCase) -> Iterator[Hit]:
    allowed = case.settings.max_body if case.settings else expected.right("body.max_request_bytes")
    for each in in_front(case, "buffer"):
        own = content(setting(each.route, each.filter.name)).at("buffer", "max_request_bytes")
        limit = (own if own.present else each.filter.config.at("max_request_bytes")).number
        if limit is not None and limit < allowed:
            yield each.hit(case, f"max_request_bytes is {limit:g}, the policy's limit {allowed}")


def _may_change(case: CheckCase) -> Iterator[Hit]:
    before: Mapping[str, str] = _KINDS["before"]
    for each in in_front(case, *before):
        asked = (node.present for node in _requirements(each, _paths(case, each.route)))
        if each.filter.kind != "jwt_authn" or any(asked):
            yield each.hit(case, before[each.filter.kind], closed=False)


def _identity_set(case: CheckCase) -> Iterator[Hit]:
    for route in mcp_routes(case):
        for level in levels(route):
            for node in level.at("request_headers_to_add").items():
                name = node.at("header", "key").text.lower()
                if name in expected.IDENTITY_HEADERS:
                    yield Hit(node, f"{name} on route {route.name}")


CHECKS: Mapping[str, Find] = {
    "front-token-taken": _taken,
    "front-token-given": _given,
    "front-headers": _headers,
    "front-answers-from-cache": _cached,
    "front-login-page": _login,
    "front-body-limit": _limit,
    "front-may-change": _may_change,
    "route-sets-identity": _identity_set,
}

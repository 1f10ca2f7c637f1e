"""Twenty faults in the merged file of the shop: each is named, and the file that --fix writes is driven again.

What is driven is short: the shop's own requests are answered as before, and one to the MCP route is judged.
"""

import copy
import json
import tempfile
from pathlib import Path

import pytest
import yaml

from authz.demo.ports import free_port
from authz.doctor.diagnosis import diagnose
from authz.doctor.fix import fix
from authz.doctor.model import Severity
from authz.doctor.source import read_text
from authz.merge.merge import merge
from authz.render.address import Address
from tests.support.real_envoy import check_service, running_envoy
from tests.support.shared_shop import chain_for
from tests.support.shop import HOSTS, ISSUER, Asked, answered, backend, shop
from tests.support.tokens import current, token
from tests.support.yaml_text import read_yaml

pytestmark = pytest.mark.envoy

OFF = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}
AUTHZ, JWT, LUA = (f"envoy.filters.http.{name}" for name in ("ext_authz", "jwt_authn", "lua"))
MCP = Asked("POST", "/mcp", HOSTS[0], (("content-type", "application/json"),), b"{}")
SHOPS = (
    Asked("GET", "/api/items/1", HOSTS[0], (("x-request-id", "1"),)),
    Asked("GET", "/api/items/1", HOSTS[0], (("x-anonymous", "1"),)),
    Asked("PUT", "/public/a", HOSTS[1], (("x-request-id", "2"),), b"body"),
    Asked("GET", "/nowhere", HOSTS[0], ()),
    Asked("GET", "/limited", HOSTS[0], (("x-request-id", "3"),)),
)


class Shop:
    """The merged tree, with ways to the parts that are broken."""

    def __init__(self, tree):
        self.tree = tree
        self.resources = tree["static_resources"]
        self.outer = self.resources["listeners"][0]
        self.manager = self.outer["filter_chains"][0]["filters"][0]["typed_config"]
        self.filters = self.manager["http_filters"]
        self.table = self.manager["route_config"]
        self.routes = self.table["virtual_hosts"][0]["routes"]

    def mcp(self, *names):
        found = [each for each in self.routes if each.get("name") in {"mcp-tools", "mcp-tools-preflight"}]
        for name in names:
            for each in found:
                each["typed_per_filter_config"].pop(name, None)
        return found

    def filter(self, name):
        return next(each for each in self.filters if each["name"] == name)

    def front(self, name, kind, **config):
        type_ = f"type.googleapis.com/envoy.extensions.filters.http.{kind}"
        at = next(at for at, each in enumerate(self.filters) if each["name"].endswith("cors"))
        self.filters.insert(at, {"name": name, "typed_config": {"@type": type_, **config}})


def mutation(**one):
    return {"mutations": {"request_mutations": [one]}}


def removed(shop, key):
    return shop.manager.pop(key)


def inner(shop):
    return Shop(
        {**shop.tree, "static_resources": {**shop.resources, "listeners": shop.resources["listeners"][1:]}}
    )


def without(shop, name):
    shop.filters.remove(shop.filter(name))


TUNNEL = {
    "name": "around",
    "address": {"socket_address": {"address": "127.0.0.1", "port_value": 10009}},
    "filter_chains": [
        {
            "filters": [
                {
                    "name": "tcp",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                        "stat_prefix": "around",
                        "cluster": "mcp-tools",
                    },
                }
            ]
        }
    ],
}
EARLY = {
    "name": "own",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        "mutations": [{"remove": "authorization"}],
    },
}


def authz_off(shop):
    shop.filter(AUTHZ)["disabled"] = True
    del shop.table["typed_per_filter_config"]


FAULTS = {
    "jwt_authn runs on the MCP route": ("front-token-taken", lambda shop: shop.mcp(JWT)),
    "a mutation removes the token": (
        "front-token-taken",
        lambda shop: shop.front(
            "own", "header_mutation.v3.HeaderMutation", **mutation(remove="authorization")
        ),
    ),
    "a mutation sets a token": (
        "front-token-given",
        lambda shop: shop.front(
            "own",
            "header_mutation.v3.HeaderMutation",
            **mutation(append={"header": {"key": "Authorization", "value": "Bearer x"}, "append_action": 2}),
        ),
    ),
    "a mutation removes the origin": (
        "front-headers",
        lambda shop: shop.front("own", "header_mutation.v3.HeaderMutation", **mutation(remove="Origin")),
    ),
    "a small buffer": (
        "front-body-limit",
        lambda shop: shop.front("own", "buffer.v3.Buffer", max_request_bytes=9),
    ),
    "lua runs on the MCP route": ("front-may-change", lambda shop: shop.mcp(LUA)),
    "the MCP route is exempt": ("route-unguarded", lambda shop: shop.mcp(AUTHZ)),
    "websockets on the MCP route": (
        "upgrades",
        lambda shop: [each["route"].pop("upgrade_configs") for each in shop.mcp()],
    ),
    "streams end after a minute": (
        "stream-duration",
        lambda shop: shop.manager.update(common_http_protocol_options={"max_stream_duration": "60s"}),
    ),
    "the route has the default timeout": (
        "route-timeout",
        lambda shop: [each["route"].pop("timeout") for each in shop.mcp()],
    ),
    "the API is judged": (
        "route-unanswered",
        lambda shop: next(each for each in shop.routes if each["match"].get("prefix") == "/api").update(
            typed_per_filter_config={AUTHZ: shop.mcp()[0]["typed_per_filter_config"][AUTHZ]}
        ),
    ),
    "a TCP proxy leads past the guard": (
        "chain-unguarded",
        lambda shop: shop.tree["static_resources"]["listeners"].append(TUNNEL),
    ),
    "the token is removed before all filters": (
        "front-token-taken",
        lambda shop: shop.manager["early_header_mutation_extensions"].append(EARLY),
    ),
    "paths are not normalized": ("path-normalisation", lambda shop: removed(shop, "normalize_path")),
    "slashes are not merged": ("path-slashes", lambda shop: removed(shop, "merge_slashes")),
    "escaped slashes": (
        "path-escaped-slashes",
        lambda shop: removed(shop, "path_with_escaped_slashes_action"),
    ),
    "identity headers pass": (
        "identity-headers",
        lambda shop: removed(shop, "early_header_mutation_extensions"),
    ),
    "ext_authz fails open": (
        "authz-fail-open",
        lambda shop: shop.filter(AUTHZ)["typed_config"].update(failure_mode_allow=True),
    ),
    "the body comes as text": (
        "authz-body-text",
        lambda shop: shop.filter(AUTHZ)["typed_config"]["with_request_body"].pop("pack_as_bytes"),
    ),
    "no rewriter": ("rewriter-missing", lambda shop: without(shop, "mcp-rewrite")),
    "lua comes after ext_authz": (
        "order-changed-after",
        lambda shop: shop.filters.insert(-1, shop.filters.pop(shop.filters.index(shop.filter(LUA)))),
    ),
    "no metadata": (
        "metadata-missing",
        lambda shop: shop.routes.remove(
            next(each for each in shop.routes if "metadata" in each.get("name", ""))
        ),
    ),
    "ext_authz is off, but for the MCP route": ("authz-disabled", authz_off),
    "isolated: jwt_authn runs on the way": ("front-token-taken", lambda shop: shop.mcp(JWT)),
    "isolated: ext_authz fails open": (
        "authz-fail-open",
        lambda shop: inner(shop).filter(AUTHZ)["typed_config"].update(failure_mode_allow=True),
    ),
    "isolated: a route past the inner listener": (
        "chain-unguarded",
        lambda shop: shop.routes[-1]["route"].update(cluster="mcp-tools"),
    ),
}
BY_HAND = {
    "a TCP proxy leads past the guard",
    "the token is removed before all filters",
    "ext_authz is off, but for the MCP route",
    "isolated: a route past the inner listener",
    "lua runs on the MCP route",
    "the API is judged",
}
"""What --fix leaves to a person, and so is not driven."""


@pytest.fixture(scope="module")
def running():
    """The shop's servers, a service that denies, the shop's answers before, and both merged files with their port."""
    with tempfile.TemporaryDirectory(prefix="ma") as directory, backend() as servers:
        port = free_port()
        text = shop(port, servers.api, servers.orders)
        good = token(current(iss=ISSUER))
        with running_envoy(text, port, Path(directory)):
            before = starts(answered(port, *(each.bytes(good) for each in SHOPS)))
        grpc = f"{directory}/a.sock"
        chain, settings = chain_for("shop.example.com", service=Address(path=grpc))
        forms = {
            isolate: merge(text, "shop.yaml", chain, settings, isolate=isolate).text
            for isolate in (False, True)
        }
        with check_service(f"unix:{grpc}") as checks:
            checks.answer.status.code = 7
            yield port, good, before, forms, settings, checks, set()


def starts(answers):
    """The status lines; a merge announces that headers about the client's address differ."""
    return [each.split(b"\r\n")[0] for each in answers]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_and_the_fixed_file_serves_the_shop_and_guards_mcp(running, name, tmp_path):
    port, good, before, forms, settings, checks, driven = running
    id_, plant = FAULTS[name]
    tree = copy.deepcopy(read_yaml(forms[name.startswith("isolated")]))
    plant(Shop(tree))
    broken = read_text(yaml.safe_dump(tree, sort_keys=False), "shop.yaml")
    _, after = fix(broken, settings)
    left = {each.check.id for each in after.findings if each.check.severity is not Severity.HINT}

    assert id_ in {each.check.id for each in diagnose(broken, settings).findings}
    assert left >= ({id_} - {"front-may-change"}) if name in BY_HAND else left == set()
    if name in BY_HAND:
        return
    same_tree = json.dumps(after.source.tree, sort_keys=True)
    if same_tree in driven:  # the fix restored what was driven already
        return
    driven.add(same_tree)
    asked = len(checks.seen)
    with running_envoy(after.source.text, port, tmp_path):
        assert before == starts(answered(port, *(each.bytes(good) for each in SHOPS)))
        assert starts(answered(port, MCP.bytes(good))) == [b"HTTP/1.1 403 Forbidden"]
    assert asked + 1 == len(checks.seen)
    assert "authorization" in checks.seen[-1].attributes.request.http.headers

"""Only the pieces for a foreign chain."""

import dataclasses

import certifi
import pytest
import yaml

from authz.render.bootstrap import filters
from tests.support.chains import BOOTSTRAPS
from tests.support.real_envoy import validate
from tests.support.rendered import manager, tree

CHAINS = pytest.mark.parametrize("chain", BOOTSTRAPS.values(), ids=BOOTSTRAPS.keys())


FOREIGN = """
static_resources:
  listeners:
  - name: edge
    address: {socket_address: {address: 127.0.0.1, port_value: 18080}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: edge
          route_config:
            virtual_hosts:
            - {name: shop, domains: [shop.example.com], routes: [{match: {prefix: /}, route: {cluster: shop}}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: shop
    type: STATIC
    load_assignment:
      cluster_name: shop
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 18081}}}}]}]
"""


@CHAINS
def test_the_filters_part_fits_into_a_foreign_chain(chain, tmp_path):
    part = yaml.safe_load(filters(dataclasses.replace(chain, trusted_ca=certifi.where())))
    foreign = yaml.safe_load(FOREIGN)
    resources = foreign["static_resources"]
    config = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    config.update(part["http_connection_manager"])
    config["http_filters"][-1:-1] = part["http_filters"]
    config["route_config"]["virtual_hosts"] += part["virtual_hosts"]
    resources["clusters"] += part["clusters"]
    done = validate(yaml.safe_dump(foreign), tmp_path)

    assert ["http_connection_manager", "http_filters", "virtual_hosts", "clusters"] == list(part)
    assert 0 == done.returncode, done.stderr


@CHAINS
def test_the_filters_part_says_the_same_as_the_bootstrap(chain):
    part, whole = yaml.safe_load(filters(chain)), manager(chain)
    settings = {key: value for key, value in part["http_connection_manager"].items() if key != "@type"}

    assert whole["http_filters"][:-1] == part["http_filters"]
    assert whole["route_config"]["virtual_hosts"] == part["virtual_hosts"]
    assert tree(chain)["static_resources"]["clusters"] == part["clusters"]
    assert settings == {key: whole[key] for key in settings}

"""A bootstrap that somebody else wrote, and what its owner does with `--part filters`: the four steps it names."""

from tests.support.yaml_text import read_yaml, write_yaml

FOREIGN = """
static_resources:
  listeners:
  - name: edge
    address: {socket_address: {address: 0.0.0.0, port_value: 10000}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: edge
          route_config:
            ignore_port_in_host_matching: true
            virtual_hosts:
            - name: shop
              domains: [shop.example.com]
              routes:
              - match: {prefix: /guarded}
                route: {cluster: shop}
              - match: {prefix: /}
                route: {cluster: shop}
                typed_per_filter_config:
                  envoy.filters.http.ext_authz:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                    disabled: true
          http_filters:
          - name: envoy.filters.http.header_mutation
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation
              mutations: {response_mutations: [{append: {header: {key: x-edge, value: theirs}}}]}
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: shop
    type: STATIC
    load_assignment:
      cluster_name: shop
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 8081}}}}]}]
"""


def pasted(filters: str) -> str:
    """The foreign bootstrap with the rendered pieces in their places."""
    part, foreign = read_yaml(filters), read_yaml(FOREIGN)
    resources = foreign["static_resources"]
    config = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    config.update(part["http_connection_manager"])
    config["http_filters"][-1:-1] = part["http_filters"]
    config["route_config"]["virtual_hosts"] += part["virtual_hosts"]
    resources["clusters"] += part["clusters"]
    return write_yaml(foreign)

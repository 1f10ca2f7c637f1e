"""A rendered bootstrap, read as Envoy reads it, and the ways to its parts."""

import functools

from authz.render.bootstrap import bootstrap
from tests.support.yaml_text import read_yaml

EXT_AUTHZ = "envoy.filters.http.ext_authz"
CORS = "envoy.filters.http.cors"


@functools.cache
def tree(chain):
    """The rendered bootstrap, read as Envoy reads it."""
    return read_yaml(bootstrap(chain))


def manager(chain):
    """The connection manager of a rendered bootstrap."""
    listener = tree(chain)["static_resources"]["listeners"][0]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def filter_named(chain, name):
    """One HTTP filter's configuration."""
    return next(f["typed_config"] for f in manager(chain)["http_filters"] if f["name"] == name)


def ext_proc(chain):
    """The processor's configuration, inside the last rule of its matcher."""
    matcher = filter_named(chain, "mcp-rewrite")["xds_matcher"]["matcher_list"]["matchers"][-1]
    return matcher["on_match"]["action"]["typed_config"]["typed_config"]["typed_config"]


def routes(chain):
    """(virtual host, route) for every route, in order."""
    return [
        (host, route) for host in manager(chain)["route_config"]["virtual_hosts"] for route in host["routes"]
    ]


def found(value, key):
    """Every value under a key, at any depth."""
    items = (
        value.items()
        if isinstance(value, dict)
        else ((None, item) for item in value)
        if isinstance(value, list)
        else ()
    )
    for name, item in items:
        if name == key:
            yield item
        yield from found(item, key)

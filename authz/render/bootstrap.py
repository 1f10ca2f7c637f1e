"""A chain to Envoy's configuration: a whole bootstrap, or only what goes into an existing one.

Importing this costs most of a second (typed messages for all of Envoy's API); the serving path never does.
"""

from collections.abc import Mapping
from typing import Any

from betterproto2 import Message
from envoy_data_plane.envoy.config.bootstrap.v3 import Admin, Bootstrap, BootstrapStaticResources

from authz.render.chain import Chain
from authz.render.clusters import clusters, socket
from authz.render.extensions import guards
from authz.render.listener import hardening, listener
from authz.render.notes import BOOTSTRAP, FILTERS, NOTES, SECTIONS
from authz.render.routes import virtual_hosts
from authz.render.tree import plain
from authz.render.yamltext import Path, emit


def message(chain: Chain) -> Bootstrap:
    """The bootstrap as a typed message, before it becomes text."""
    admin = Admin(address=socket(chain.admin, default_host="127.0.0.1")) if chain.admin else None
    resources = BootstrapStaticResources(listeners=[listener(chain)], clusters=clusters(chain))
    return Bootstrap(admin=admin, static_resources=resources)


def bootstrap(chain: Chain) -> str:
    """A complete, commented bootstrap in YAML; the same chain gives the same bytes."""
    return _text(BOOTSTRAP, message(chain))


def filters(chain: Chain) -> str:
    """Only what an operator pastes into an existing chain, as YAML with one section for each place.

    The sections are `http_connection_manager` (settings to merge), `http_filters` (before the router),
    `virtual_hosts` and `clusters`.
    """
    sections = {
        "http_connection_manager": hardening(chain),
        "http_filters": guards(chain),
        "virtual_hosts": virtual_hosts(chain),
        "clusters": clusters(chain),
    }
    return _text(FILTERS, sections, {(name,): text for name, text in SECTIONS.items()})


def _text(head: str, value: Mapping[str, Any] | Message, said: Mapping[Path, str] | None = None) -> str:
    tree, comments = plain(value, NOTES)
    opening = "".join(f"# {line}".rstrip() + "\n" for line in head.splitlines())
    return opening + "\n" + emit(tree, comments | dict(said or {}))

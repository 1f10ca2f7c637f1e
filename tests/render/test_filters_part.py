"""Only the pieces for a foreign chain."""

import pytest

from authz.render.bootstrap import filters
from tests.support.chains import BOOTSTRAPS, NATIVE, SHADOW, here
from tests.support.foreign_envoy import pasted
from tests.support.real_envoy import validate
from tests.support.rendered import manager, tree
from tests.support.yaml_text import read_yaml

ALL = {**BOOTSTRAPS, "native filter": NATIVE, "shadow": SHADOW}
CHAINS = pytest.mark.parametrize("chain", ALL.values(), ids=ALL)


@CHAINS
def test_the_filters_part_fits_into_a_foreign_chain(chain, tmp_path):
    text = filters(chain)
    done = validate(here(pasted(text), tmp_path), tmp_path)

    assert ["http_connection_manager", "http_filters", "virtual_hosts", "clusters"] == list(read_yaml(text))
    assert 0 == done.returncode, done.stderr


@CHAINS
def test_the_filters_part_says_the_same_as_the_bootstrap(chain):
    part, whole = read_yaml(filters(chain)), manager(chain)
    settings = {key: value for key, value in part["http_connection_manager"].items() if key != "@type"}

    assert whole["http_filters"][:-1] == part["http_filters"]
    assert whole["route_config"]["virtual_hosts"] == part["virtual_hosts"]
    assert tree(chain)["static_resources"]["clusters"] == part["clusters"]
    assert settings == {key: whole[key] for key in settings}

"""The whole bootstrap: Envoy's own opinion of it, and what happens before the first filter."""

import dataclasses
import functools
import subprocess
import sys

import pytest
from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap

from authz.core.transport import IDENTITY_HEADERS
from authz.render.bootstrap import bootstrap, message
from authz.render.comments import COMMENTS, comments_on
from tests.support.chains import (
    BOOTSTRAPS,
    CURE,
    EXAMPLES_DIR,
    NATIVE,
    SHADOW,
    SIDECAR,
    STANDALONE,
    here,
    rendered,
)
from tests.support.real_envoy import validate
from tests.support.rendered import EXT_AUTHZ, found, manager, tree
from tests.support.waiting import DEADLINE

ALL = {**BOOTSTRAPS, "native filter": NATIVE, "shadow": SHADOW}
CHAINS = pytest.mark.parametrize("chain", ALL.values(), ids=ALL)
TEXTS = functools.cache(rendered)


def test_every_example_is_what_its_command_in_the_readme_writes():
    files = {file.name: file.read_text("utf-8") for file in EXAMPLES_DIR.glob("*.yaml")}

    assert files == TEXTS(), f"render them anew: {CURE}"


@pytest.mark.parametrize("name", BOOTSTRAPS)
def test_an_example_is_the_chain_that_the_tests_read(name):
    assert bootstrap(BOOTSTRAPS[name]) == TEXTS()[name]


@CHAINS
def test_the_same_chain_gives_the_same_bytes(chain):
    assert bootstrap(chain) == bootstrap(dataclasses.replace(chain))


@CHAINS
def test_envoy_accepts_the_bootstrap(chain, tmp_path):
    done = validate(here(bootstrap(chain), tmp_path), tmp_path)

    assert 0 == done.returncode, done.stderr
    assert "deprecated" not in done.stderr.lower()


def test_envoy_rejects_a_bootstrap_with_an_unknown_field(tmp_path):
    """So that the tests above could fail."""
    done = validate(bootstrap(SIDECAR).replace("failure_mode_allow:", "failure_mode_allowed:"), tmp_path)

    assert 1 == done.returncode


@CHAINS
def test_the_text_says_no_less_than_the_typed_message(chain):
    assert bytes(message(chain)) == bytes(Bootstrap.from_dict(tree(chain)))


@CHAINS
def test_every_identity_header_is_removed_before_any_filter(chain):
    (early,) = manager(chain)["early_header_mutation_extensions"]

    removed = [mutation.get("remove") for mutation in early["typed_config"]["mutations"]]
    assert list(IDENTITY_HEADERS) == removed[: len(IDENTITY_HEADERS)]
    assert {"x-original-url", "x-rewrite-url", "x-http-method-override"} < set(removed)


@CHAINS
def test_the_access_log_names_no_whole_namespace(chain):
    fields = next(form for form in found(manager(chain), "json_format") if "ts" in form)

    assert 13 == sum(value.startswith(f"%DYNAMIC_METADATA({EXT_AUTHZ}:") for value in fields.values())
    assert not [value for value in fields.values() if value.startswith(f"%DYNAMIC_METADATA({EXT_AUTHZ})")]
    assert not {"caller", "authorization", "cookie"} & set(fields)


def test_without_an_access_log_none_is_written():
    assert "access_log" not in manager(dataclasses.replace(SIDECAR, access_log=False))


def test_admin_is_off_unless_asked_for():
    assert "admin" not in tree(SIDECAR)
    assert {"socket_address": {"address": "127.0.0.1", "port_value": 10001}} == tree(STANDALONE)["admin"][
        "address"
    ]


def test_every_note_is_about_something_that_is_rendered():
    """A misspelled key would silently drop its comment and its explicit default."""
    text = "".join(map(bootstrap, ALL.values()))
    words = " ".join(text.replace("#", " ").split())

    said = {key: note for chain in ALL.values() for key, note in comments_on(chain.options).items()}
    assert len(COMMENTS) < len(said)
    assert [] == [key for key, note in said.items() if " ".join(note.split()) not in words]
    assert [] == [key for key in said if "." in key and f"{key.split('.')[1]}:" not in text]


def test_the_renderer_is_not_imported_with_the_package():
    """Importing it costs most of a second, which the serving path must not pay."""
    code = "import sys, authz.render.model; sys.exit('envoy_data_plane' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code], timeout=DEADLINE, check=False).returncode

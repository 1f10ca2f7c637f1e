"""The console in a real Chromium: axe finds no fault in any view, and three questions take three clicks at most."""

import json
import re
import shutil
from pathlib import Path

import pytest

from authz.demo.ports import free_port
from tests.edge.http.console.test_browser import TEXT, busy, call
from tests.support.node import node_or_skip
from tests.support.waiting import eventually

pytestmark = pytest.mark.envoy

_SCRIPT = Path(__file__).with_name("console_faults.mjs")
_SECONDS = 90
_SCREENS = ("light", "dark", "phone")
_VIEWS = ("overview", "why", "who", "lists", "why of nothing")
_OTHERS = 30
"""Denials of other callers that came after the one that is asked about."""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What Chromium found of a service that has denied much, and cannot reach one of its issuers."""
    if shutil.which("chromium") is None:
        pytest.skip("needs chromium on the PATH: apt-get install chromium")
    node, folder = node_or_skip(), tmp_path_factory.mktemp("console")
    other = f"http://127.0.0.1:{free_port()}/"
    text = TEXT.replace("servers:", f"  other: {{issuer: '{other}', audiences: [a]}}\nservers:")
    (folder / "node_modules").symlink_to(node.modules, target_is_directory=True)
    script = shutil.copy(_SCRIPT, folder)
    with busy(folder, text) as service:
        for turn in range(_OTHERS):
            call(service.grpc, "read_file", sub=f"other-{turn}", scope="files:none")
        assert eventually(lambda: f"other-{_OTHERS - 1}" in service.get("/").text)
        assert eventually(lambda: "since 20" in service.get("/").text)
        asked = {
            "chromium": shutil.which("chromium"),
            "page": f"http://{service.http}",
            "axe": str(node.modules / "axe-core/axe.min.js"),
            "denied": "delete_file",
        }
        done = node.run(node.command(script, json.dumps(asked)), seconds=_SECONDS)
    assert 0 == done.returncode, done.stderr
    return {**json.loads(done.stdout), "issuer": other}


@pytest.mark.parametrize("screen", _SCREENS)
@pytest.mark.parametrize("view", _VIEWS)
def test_axe_finds_no_fault(told, view, screen):
    found = told["views"][f"{view}, {screen}"]

    assert [] == found["faults"]
    assert 15 < found["passed"], "rules that hold: they were asked"


def test_three_clicks_at_most_tell_why_who_may_and_since_when_a_key_is_missing(told):
    read = told["read"]

    assert told["clicks"] <= 3
    assert re.search(
        r"delete_file at files was denied to auth0\|alice by client-1 as missing_scope", read["why"]
    )
    assert re.search(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d", read["row"]), "when"
    assert "deleters must hold: scopes files:delete" in read["why"], "who may"
    assert re.search(rf"{told['issuer']}: .*; since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", read["keys"])
    assert read["keys"] == read["keysBesides"], "and it stays in sight"

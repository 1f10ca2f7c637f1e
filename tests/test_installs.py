"""What tests install for themselves: from lock files that name no registry, once, and without asking twice in vain."""

import json
import re

import pytest

from tests.support import installed as module
from tests.support.installed import ROOT, NotInstalledError, installed, run


@pytest.mark.parametrize("file", ["tests/node/package-lock.json", "tests/servers/node/package-lock.json"])
def test_an_npm_lock_fixes_every_package_by_digest_and_names_no_registry(file):
    lock = json.loads((ROOT / file).read_text("utf-8"))
    packages = {place: row for place, row in lock["packages"].items() if place and not row.get("inBundle")}

    assert [] == [place for place, row in packages.items() if "resolved" in row]
    assert [] == [place for place, row in packages.items() if "integrity" not in row]


@pytest.mark.parametrize("name", ["mcp-1", "langgraph", "openai-agents", "pydantic-ai", "google-adk"])
def test_a_python_lock_fixes_every_package_by_digest_and_names_no_index(name):
    folder = ROOT / "tests/clients"
    lines = (folder / f"{name}.txt").read_text("utf-8").splitlines()
    named = [line for line in lines if line and not line.startswith((" ", "#"))]
    wanted = re.sub(r"\[.*?\]", "", (folder / f"{name}.in").read_text("utf-8")).split()

    assert {*wanted} <= {line.split(" ")[0] for line in named}
    assert [] == [line for line in named if "==" not in line or not line.endswith("\\")]
    assert [] == [line for line in lines if "://" in line]


@pytest.fixture
def lock_file(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CACHE", tmp_path / "cache")
    file = tmp_path / "lock"
    file.write_text("one")
    return file


def test_something_is_installed_once_for_the_same_lock_file(lock_file):
    made = []

    first = installed("it", [lock_file], made.append)
    second = installed("it", [lock_file], made.append)

    assert [first] == made
    assert first == second


def test_another_lock_file_installs_anew_in_another_place(lock_file):
    first = installed("it", [lock_file], lambda place: None)
    lock_file.write_text("two")
    second = installed("it", [lock_file], lambda place: None)

    assert first != second
    assert not first.exists()


def test_an_install_that_failed_is_not_tried_again_at_once(lock_file):
    tried = []

    def fail(place):
        tried.append(place)
        run(["no-such-installer"], place)

    for _ in range(2):
        with pytest.raises(NotInstalledError, match="there is no no-such-installer"):
            installed("it", [lock_file], fail)

    assert 1 == len(tried)


def test_an_installer_that_fails_is_named_with_its_first_word_of_why(tmp_path):
    with pytest.raises(NotInstalledError, match="sh failed: no network"):
        run(["sh", "-c", "echo no network >&2; exit 1"], tmp_path)

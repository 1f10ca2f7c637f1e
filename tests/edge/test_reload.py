import asyncio
import os

import pytest

from authz.config.load import load
from authz.edge import reload as watch
from authz.edge.reload import PolicyWatcher, contents
from tests.support.policy_files import NATIVE
from tests.support.waiting import DEADLINE

OTHER = NATIVE.replace("[echo]", "[list_files]")
BAD = NATIVE + "        scope: [a]\n"


class Watched:
    """A watched policy file, and what the watcher did about it."""

    def __init__(self, folder):
        self.path = folder / "policy.yaml"
        self.applied = []
        self.problems = []
        self.loads = 0

    def begin(self, text=NATIVE, *, read=True):
        if text is not None:
            self.path.write_text(text)
        known = load(str(self.path), environment={}).read if read else None
        self.watcher = PolicyWatcher(
            str(self.path), self.load, self.apply, failed=self.problems.append, read=known
        )
        return self

    def load(self):
        self.loads += 1
        return load(str(self.path), environment={})

    async def apply(self, settings):
        self.applied.append(sorted(*settings.tools.values()))

    def look(self, times=1):
        async def looks():
            for _ in range(times):
                await self.watcher.check_files()

        asyncio.run(looks())


@pytest.fixture
def watched(tmp_path):
    return Watched(tmp_path)


def put(path, text):
    """Replace a file in one step, as editors do."""
    beside = path.with_name(".new")
    beside.write_text(text)
    beside.replace(path)


@pytest.mark.parametrize("read", [True, False])
def test_a_file_that_did_not_change_is_not_loaded(watched, read):
    watched.begin(read=read).look(3)

    assert (0, [], []) == (watched.loads, watched.applied, watched.problems)


@pytest.mark.parametrize(
    "write", [put, lambda path, text: path.write_text(text)], ids=["replaced", "rewritten"]
)
def test_a_changed_file_is_applied_once(watched, write):
    watched.begin()
    write(watched.path, OTHER)
    watched.look(3)

    assert (1, [["list_files"]], [""]) == (watched.loads, watched.applied, watched.problems)


def test_a_change_between_the_first_reading_and_the_first_look_is_seen(watched):
    watched.path.write_text(NATIVE)
    known = load(str(watched.path), environment={}).read
    watched.path.write_text(OTHER)
    watched.watcher = PolicyWatcher(
        str(watched.path), watched.load, watched.apply, failed=watched.problems.append, read=known
    )
    watched.look()

    assert [["list_files"]] == watched.applied


def test_a_new_time_of_the_same_content_is_no_change(watched):
    watched.begin()
    put(watched.path, NATIVE)
    os.utime(watched.path, (1, 1))
    watched.look()

    assert 0 == watched.loads


def config_map(folder, number, text):
    """Write a version of a ConfigMap volume and point `..data` to it, as the kubelet does."""
    version = folder / f"..version-{number}"
    version.mkdir()
    (version / "policy.yaml").write_text(text)
    link = folder / "..data_tmp"
    link.symlink_to(version.name)
    link.replace(folder / "..data")


def test_a_config_map_that_swaps_the_link_to_its_directory_is_a_change(watched, tmp_path):
    config_map(tmp_path, 1, NATIVE)
    watched.path.symlink_to("..data/policy.yaml")
    watched.begin(None)
    config_map(tmp_path, 2, OTHER)
    watched.look()
    config_map(tmp_path, 3, NATIVE)
    watched.look()

    assert [["list_files"], ["echo"]] == watched.applied


def test_a_bad_file_changes_nothing_and_is_not_tried_again_until_it_changes(watched):
    watched.begin()
    put(watched.path, BAD)
    watched.look(3)
    (problem,) = watched.problems

    assert (1, []) == (watched.loads, watched.applied)
    assert problem.startswith(f"{watched.path}:11: servers.files.rules[0].scope: unknown key")


def test_a_good_file_after_a_bad_one_ends_the_problem(watched):
    watched.begin()
    for text in (BAD, OTHER):
        put(watched.path, text)
        watched.look()

    assert [["list_files"]] == watched.applied
    assert "" == watched.problems[-1]


def test_a_return_to_the_file_in_force_ends_the_problem_too(watched):
    watched.begin()
    for text in (BAD, NATIVE):
        put(watched.path, text)
        watched.look()

    assert [["echo"]] == watched.applied
    assert "" == watched.problems[-1]


def test_a_file_that_is_gone_is_a_problem_and_its_return_is_not(watched):
    watched.begin()
    watched.path.unlink()
    watched.look(2)
    watched.path.write_text(OTHER)
    watched.look()

    assert [f"{watched.path}: cannot be read: No such file or directory", ""] == watched.problems
    assert [["list_files"]] == watched.applied


def test_a_poke_loads_even_when_nothing_changed_and_once(watched):
    watched.begin()
    watched.watcher.reload_now()
    watched.look(3)

    assert (1, [["echo"]]) == (watched.loads, watched.applied)


def test_a_poke_during_a_load_is_not_lost(watched):
    watched.begin()
    first = watched.load

    def load_and_poke():
        if not watched.loads:
            watched.watcher.reload_now()
        return first()

    watched.watcher._load = load_and_poke
    watched.watcher.reload_now()
    watched.look(3)

    assert 2 == watched.loads


CANDIDATE = NATIVE + "candidate: other.yaml\n"


def test_a_changed_candidate_is_a_change(watched, tmp_path):
    (tmp_path / "other.yaml").write_text(NATIVE)
    watched.begin(CANDIDATE)
    (tmp_path / "other.yaml").write_text(OTHER)
    watched.look(2)

    assert (1, [["echo"]]) == (watched.loads, watched.applied)


def test_a_candidate_that_was_missing_is_taken_when_it_comes(watched, tmp_path):
    watched.begin()
    put(watched.path, CANDIDATE)
    watched.look(2)
    assert [] == watched.applied

    (tmp_path / "other.yaml").write_text(OTHER)
    watched.look(2)
    assert [["echo"]] == watched.applied
    assert "" == watched.problems[-1]


SECRET = "a secret"


@pytest.mark.parametrize("where", ["load", "apply"])
def test_an_error_that_nobody_thought_of_fails_one_reload_and_says_no_more_than_its_class(watched, where):
    def load_badly():
        raise ZeroDivisionError(SECRET)

    async def apply_badly(_):
        raise ZeroDivisionError(SECRET)

    watched.begin()
    good = getattr(watched.watcher, f"_{where}")
    setattr(watched.watcher, f"_{where}", {"load": load_badly, "apply": apply_badly}[where])
    put(watched.path, OTHER)
    watched.look()
    assert ["ZeroDivisionError"] == watched.problems

    setattr(watched.watcher, f"_{where}", good)
    put(watched.path, NATIVE)
    watched.look()
    assert ["ZeroDivisionError", ""] == watched.problems
    assert [["echo"]] == watched.applied


def test_the_watch_looks_by_itself_and_at_once_when_told(watched, monkeypatch):
    async def run():
        applied = asyncio.Semaphore(0)

        async def apply(settings):
            await watched.apply(settings)
            applied.release()

        watched.watcher._apply = apply
        running = asyncio.create_task(watched.watcher.run())
        async with asyncio.timeout(DEADLINE):
            put(watched.path, OTHER)
            await applied.acquire()
            monkeypatch.setattr(watch, "INTERVAL", 3600.0)
            put(watched.path, NATIVE)
            watched.watcher.reload_now()
            await applied.acquire()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    monkeypatch.setattr(watch, "INTERVAL", 0.01)
    watched.begin()
    asyncio.run(run())

    assert [["list_files"], ["echo"]] == watched.applied


def test_contents_tell_files_apart_by_what_is_in_them_and_missing_ones_are_empty(tmp_path):
    for name, text in {"a": "x", "b": "x", "c": "y"}.items():
        (tmp_path / name).write_text(text)
    a, b, c, none = contents([str(tmp_path / name) for name in ("a", "b", "c", "d")]).values()

    assert a == b != c
    assert "" == none


def test_the_settings_of_a_file_hold_the_content_that_was_read(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(NATIVE)
    settings = load(str(path), environment={})

    assert contents([str(path)]) == settings.read

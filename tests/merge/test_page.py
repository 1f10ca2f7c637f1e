"""docs/existing-envoy.md, followed by hand: each command prints what the page shows, with the files of the page."""

import re
import shlex
from pathlib import Path

import pytest

from tests.support.commands import command

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "existing-envoy.md").read_text(encoding="utf-8")
EXISTING, POLICY = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
LINES = [
    line for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]


def steps():
    """Yield the page's commands of `mcp-authz` that end, with what it shows of each."""
    shown = None
    for line in [*LINES, "$ end"]:
        if line.startswith("$ "):
            if shown is not None:
                yield shown[0], "".join(f"{each}\n" for each in shown[1])
            ends = line.startswith("$ mcp-authz ") and " serve " not in line
            shown = (line[2:], []) if ends else None
        elif shown is not None:
            shown[1].append(line.rstrip())


STEPS = list(steps())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make the files that a reader has at each step."""
    made = tmp_path_factory.mktemp("reader")
    (made / "shop.yaml").write_text(EXISTING)
    (made / "policy.yaml").write_text(POLICY)
    (old, new) = re.search(r"sed 's/(.*)\$/(.*)/' shop.yaml > taken.yaml", PAGE).groups()
    (made / "taken.yaml").write_text(re.sub(f"{old}$", new, EXISTING, flags=re.MULTILINE))
    return made


@pytest.mark.parametrize(("line", "output"), STEPS, ids=[line for line, _ in STEPS])
def test_a_step_prints_what_the_page_shows(folder, monkeypatch, line, output):
    monkeypatch.chdir(folder)
    ended = command(*shlex.split(line)[1:], environment={"COLUMNS": "80"})
    printed = "".join(f"{each.rstrip()}\n" for each in (ended.err + ended.out).splitlines())

    assert output == printed


def test_the_page_shows_both_forms_and_a_refusal():
    said = [line for line, _ in STEPS]

    assert [False, True] == sorted({"--isolate" in line for line in said if "--merge" in line})
    assert any("taken.yaml" in line for line in said)

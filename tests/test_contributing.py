"""What contributors and hosted CI are told to run exists, and neither can say something else than the Makefile."""

import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
GUIDE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
TARGETS = set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)[1].split())


def steps():
    """Give all steps of all jobs of the workflow."""
    return [step for job in yaml.safe_load(WORKFLOW)["jobs"].values() for step in job["steps"]]


def rows():
    """Give all rows of all matrices of the workflow."""
    jobs = yaml.safe_load(WORKFLOW)["jobs"].values()
    return [row for job in jobs for row in job.get("strategy", {}).get("matrix", {}).get("include", [])]


def test_hosted_ci_runs_targets_of_the_makefile_and_nothing_else():
    commands = {step["run"] for step in steps() if "run" in step}
    matrix = {f"make {row['target']}" for row in rows()}
    run = (commands - {"make ${{ matrix.target }}"}) | matrix

    assert {"make lint", "make test", "make coverage", "make demo", "make conformance"} <= run
    assert set() == {command.removeprefix("make ") for command in run} - TARGETS


def test_hosted_ci_uses_actions_by_commit_and_may_only_read():
    used = [step["uses"] for step in steps() if "uses" in step]

    assert used
    assert [] == [name for name in used if not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", name)]
    assert {"contents": "read"} == yaml.safe_load(WORKFLOW)["permissions"]


def test_what_runs_before_a_commit_is_make_lint():
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]

    assert ["make lint"] == [hook["entry"] for hook in repo["hooks"]]


def test_the_guide_names_targets_of_the_makefile_alone():
    named = set(re.findall(r"^\$ make (\w+)|`make (\w+)", GUIDE, re.MULTILINE))

    assert {"lint", "test", "coverage", "lock"} <= {word for pair in named for word in pair}
    assert set() == {word for pair in named for word in pair if word} - TARGETS


def test_the_guide_names_files_that_exist():
    named = set(re.findall(r"\b(?:authz|bench|docs|tests|requirements)/[\w./-]*\w", GUIDE))

    assert len(named) > 15
    assert [] == sorted(path for path in named if not (ROOT / path).exists())


def test_a_target_that_is_named_can_be_made():
    done = subprocess.run(
        ["make", "--dry-run", *sorted(TARGETS - {"clean"})],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr)

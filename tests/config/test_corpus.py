"""`check` on files as people write them: what is wrong is named, and nothing that is right is warned of.

A wrong file says in its first line what `check` must say of it.
"""

from pathlib import Path

import pytest

from tests.support.commands import command

CORPUS = Path(__file__).parent / "corpus"
WRONG = sorted((CORPUS / "wrong").glob("*.yaml"))
RIGHT = sorted((CORPUS / "right").glob("*.yaml"))


def test_there_are_forty_of_each():
    assert (40, 40) == (len(WRONG), len(RIGHT))


@pytest.mark.parametrize("file", WRONG, ids=lambda file: file.stem)
def test_a_wrong_file_does_not_pass_and_is_told_what_is_wrong_with_its_cure(file):
    expected = file.read_text().splitlines()[0].removeprefix("# says: ")
    ended = command("check", file, "--strict")
    said = [line for line in (ended.out + ended.err).splitlines() if expected in line]

    assert ended.status in {1, 2}
    assert said, ended.out + ended.err
    assert f"{file}:" in said[0]


@pytest.mark.parametrize("file", RIGHT, ids=lambda file: file.stem)
def test_a_right_file_passes_without_a_warning(file):
    ended = command("check", file, "--strict")

    assert (0, "") == (ended.status, ended.err)
    assert ended.out.startswith(f"{file}: good: ")

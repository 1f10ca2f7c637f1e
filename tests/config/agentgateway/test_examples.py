"""Configurations of the shapes that agentgateway's public examples have: each loads, or is refused by name and line.

The files are our own, one for each construct that occurs there. What is expected stands at the head of each: the servers
that it makes, and the place of each warning or error as `LINE: KEY`.
"""

import re
from pathlib import Path

import pytest

from authz.config.load import load
from authz.config.problems import ConfigError

FILES = {file.stem: file for file in (Path(__file__).parent / "examples").glob("*.yaml")}
ENVIRONMENT = {"SHELF_SECRET": "x"}
HEAD = re.compile(r"# (loads|warned|refused): (.*)")


def expected(file):
    """Give what the head of a file promises: kind to texts."""
    found = {"loads": [], "warned": [], "refused": []}
    for line in file.read_text().splitlines():
        if (said := HEAD.fullmatch(line)) is None:
            break
        found[said[1]].append(said[2])
    return found


def places(problems):
    """Give line and key of each problem."""
    return [":".join(str(problem).split(":", 3)[1:3]) for problem in problems]


def read(file):
    """Give the servers of a file as its head names them, none if it is refused, and what is said about it."""
    try:
        settings = load(str(file), environment=ENVIRONMENT)
    except ConfigError as error:
        return [], error.problems
    return [", ".join(server.name for server in settings.directory.servers)], settings.warnings


@pytest.mark.parametrize("name", FILES)
def test_a_configuration_loads_or_is_refused_by_name_and_line(name):
    promised = expected(FILES[name])
    servers, found = read(FILES[name])

    assert promised["loads"] == servers
    if servers:
        assert [] == [place for place in promised["warned"] if place not in places(found)]
    else:
        assert sorted(promised["refused"]) == sorted(places(found))
        assert all(problem.cure for problem in found)


@pytest.mark.parametrize("name", FILES)
def test_the_line_that_is_named_has_the_key_that_is_named_or_the_section_that_lacks_it(name):
    lines = FILES[name].read_text().splitlines()
    for kind in ("warned", "refused"):
        for place in expected(FILES[name])[kind]:
            number, _, key = place.partition(": ")
            parts = re.findall(r"[A-Za-z]+", key)
            item = lines[int(number) - 1].lstrip().startswith("- ")
            assert item or any(f"{part}:" in lines[int(number) - 1] for part in parts[-2:]), place


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("documents-with-authentication-of-the-backend", "in traffic.jwtAuthentication"),
        ("documents-with-metadata", "give --resource URL"),
    ],
)
def test_what_can_be_had_in_another_way_is_refused_with_that_way(name, cure):
    _, (problem,) = read(FILES[name])

    assert cure in problem.cure


def test_there_are_files_that_load_and_files_that_are_refused():
    loads = [name for name, file in FILES.items() if expected(file)["loads"]]

    assert len(loads) >= 9
    assert len(FILES) - len(loads) >= 35

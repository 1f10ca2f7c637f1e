"""What loading leaves over is freed in pieces, and nothing that the settings keep is changed."""

import weakref

import pytest
import yaml

from authz.config import load as loading
from authz.config import yaml_document
from authz.config.leftovers import Leftovers, free_nodes
from authz.config.load import load
from authz.config.problems import ConfigError
from authz.config.validation import Section
from authz.config.yaml_document import read_documents

POLICY = """
issuers:
  main: {issuer: "https://issuer.example/", audiences: ["https://mcp.example/mcp"]}
define:
  tenants: [a, b]
servers:
  demo:
    resource: https://mcp.example/mcp
    issuers: [main]
    rules:
      - {name: staff, allow: {tools: [echo]}, roles: [staff, admin]}
"""


class Inner(Section):
    name: str


class Outer(Section):
    inner: Inner
    names: list[str]


@pytest.fixture
def kept(monkeypatch):
    """Weak references to the nodes and models of what is loaded."""
    references = []

    def watched(function):
        def call(*given):
            result = function(*given)
            references.append(weakref.ref(result))
            return result

        return call

    compose = yaml_document.compose
    monkeypatch.setattr(
        yaml_document,
        "compose",
        lambda *given: (references.append(weakref.ref(node)) or node for node in compose(*given)),
    )
    monkeypatch.setattr(loading, "validate", watched(loading.validate))
    return references


def alive(references):
    return [each() for each in references if each() is not None]


def test_nothing_is_left_of_a_file_that_was_loaded(tmp_path, kept):
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    settings = load(str(file))

    assert (2, []) == (len(kept), alive(kept))
    assert ["demo"] == [server.name for server in settings.directory.servers]


def test_nothing_is_left_of_a_file_that_cannot_be_used_even_while_its_problem_is_shown(tmp_path, kept):
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY.replace("issuers: [main]", "issuers: [other]"))
    with pytest.raises(ConfigError, match="other") as raised:
        load(str(file))

    assert (2, []) == (len(kept), alive(kept))
    assert raised.value.problems


def test_a_node_is_freed_by_itself_and_not_with_what_it_holds():
    root = yaml.compose("[[a, b], {c: [d]}]")
    inner = [root.value[0], root.value[1]]
    free_nodes(root)

    assert ([], [], []) == (root.value, inner[0].value, inner[1].value)


@pytest.mark.parametrize("text", ["[&a [x], *a, {b: *a}]", "&a [x, *a]", "&a {b: {c: *a}}"])
def test_nodes_that_aliases_repeat_or_close_to_a_circle_are_freed(text):
    root = yaml.compose(text)
    free_nodes(root)

    assert [] == root.value


def test_an_alias_still_stands_for_its_value():
    (document,) = read_documents("a: &x [1, {b: 2}]\nc: *x\n", "file", None)

    assert {"a": [1, {"b": 2}], "c": [1, {"b": 2}]} == document.value


def test_a_model_is_freed_before_what_it_holds():
    alive_when_outer_died = []
    inner = Inner(name="a")
    outer = Outer.model_construct(inner=inner, names=["b"])
    gone = weakref.ref(inner)
    weakref.finalize(outer, lambda: alive_when_outer_died.append(gone() is not None))
    leftovers = Leftovers()
    leftovers.values += [{"rules": [outer]}]
    del inner, outer
    leftovers.free()

    assert ([True], None) == (alive_when_outer_died, gone())


def test_what_is_still_used_is_not_changed():
    names = ["a", "b"]
    model = Outer(inner=Inner(name="a"), names=["c"])
    used = model.names
    leftovers = Leftovers()
    leftovers.values += [[names, {"names": names}], model]
    places = {("a",): 1, ("b",): 2}
    leftovers.entries.append(places)
    del model
    leftovers.free()

    assert (["a", "b"], ["c"], {}) == (names, used, places)
    assert ([], []) == (leftovers.values, leftovers.entries)

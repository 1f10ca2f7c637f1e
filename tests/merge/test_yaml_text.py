"""Changes of single places in a YAML text: what is written can be read, and everything else stays as it was."""

import pytest
import yaml

from authz.config.problems import ConfigError
from authz.merge.marks import without_merged
from authz.merge.yaml_text import YamlText

TEXT = """\
# first
a:            # beside a
  list:
  # about one
  - name: one   # beside one

  # about two
  - {name: two}
  last: |
    text

    of lines

  # behind
b: {c: 1, d: [x, y]}   # flow
e:
- f: [1]
  g: 2
h: plain
"""


def changed(*edits, text=TEXT):
    """Apply edits; gives the new text and what it reads as, after checking that taking them out gives the old text."""
    out = YamlText(text, "f.yaml", yaml.safe_load(text))
    for name, *arguments in edits:
        getattr(out, name)(*arguments)
    new = out.write()
    assert text == without_merged(new, "f.yaml")
    return new, yaml.safe_load(new)


def test_without_edits_the_text_stays_as_it_is():
    assert TEXT == changed()[0]


EDITS = [
    (
        "insert",
        (("a", "list"), 0, [{"name": "zero"}]),
        lambda tree: tree["a"]["list"].insert(0, {"name": "zero"}),
    ),
    (
        "insert",
        (("a", "list"), 1, [{"name": "half"}]),
        lambda tree: tree["a"]["list"].insert(1, {"name": "half"}),
    ),
    ("insert", (("a", "list"), 2, ["end", 3]), lambda tree: tree["a"]["list"].extend(["end", 3])),
    ("put", (("a", "new"), {"k": [1]}), lambda tree: tree["a"].update(new={"k": [1]})),
    ("put", (("new",), True), lambda tree: tree.update(new=True)),
    ("put", (("new", "deep", "er"), 1), lambda tree: tree.update(new={"deep": {"er": 1}})),
    ("put", (("h",), "other"), lambda tree: tree.update(h="other")),
    ("put", (("b", "c"), 2), lambda tree: tree["b"].update(c=2)),
    ("insert", (("b", "d"), 1, ["z"]), lambda tree: tree["b"]["d"].insert(1, "z")),
    (
        "put",
        (("a", "list", 1, "more"), {"x": "y"}),
        lambda tree: tree["a"]["list"][1].update(more={"x": "y"}),
    ),
    (
        "put",
        (("a", "list", 0, "more"), {"x": "y"}),
        lambda tree: tree["a"]["list"][0].update(more={"x": "y"}),
    ),
    ("insert", (("e", 0, "f"), 1, [2]), lambda tree: tree["e"][0]["f"].append(2)),
    ("put", (("e", 0, "f"), "one"), lambda tree: tree["e"][0].update(f="one")),
    ("put", (("e", 0, "g"), "two"), lambda tree: tree["e"][0].update(g="two")),
]


@pytest.mark.parametrize(("name", "arguments", "same"), EDITS)
def test_an_edit_does_what_it_would_do_to_the_values_and_can_be_taken_out(name, arguments, same):
    expected = yaml.safe_load(TEXT)
    same(expected)

    assert expected == changed((name, *arguments))[1]


def test_all_edits_together_do_so_too():
    expected = yaml.safe_load(TEXT)
    # Of edits to one list, those at its end come first, so that the places of the others stay.
    chosen = [EDITS[at] for at in (2, 1, 3, 4, 6, 7, 8, 13)]
    for _, _, same in chosen:
        same(expected)
    new, tree = changed(*((name, *arguments) for name, arguments, _ in chosen))

    assert expected | {"a": {**expected["a"], "list": tree["a"]["list"]}} == tree
    assert [line for line in TEXT.splitlines() if line.startswith("#") or "beside" in line] == [
        line
        for line in new.splitlines()
        if line in TEXT.splitlines() and ("beside" in line or line[0:1] == "#")
    ]


def test_comments_above_an_element_stay_with_it():
    new, _ = changed(("insert", ("a", "list"), 1, [{"name": "half"}]))
    lines = new.splitlines()

    assert "  - {name: two}" == lines[lines.index("  # about two") + 1]


def test_a_comment_stands_above_what_it_is_about():
    new, tree = changed(("insert", ("a", "list"), 0, [{"name": "z", "k": 1}], {(0,): "all", (0, "k"): "key"}))

    assert "z" == tree["a"]["list"][0]["name"]
    assert "  # all\n  - name: z\n    # key\n    k: 1\n" in new


def test_what_an_alias_uses_a_second_time_is_refused_with_its_line():
    text = "a: &x\n  b: 1\nc: *x\n"
    with pytest.raises(ConfigError) as refused:
        changed(("put", ("a", "d"), 2), text=text)

    assert "f.yaml:1: a is used in a second place by an alias (write it out in both places)" == str(
        refused.value.problems[0]
    )


@pytest.mark.parametrize(
    "text", ["# mcp-authz begin\na: 1\n", "a: 1\n# mcp-authz end\n", "# mcp-authz begin\n# mcp-authz begin\n"]
)
def test_a_mark_without_its_partner_is_refused(text):
    with pytest.raises(ConfigError):
        without_merged(text, "f.yaml")

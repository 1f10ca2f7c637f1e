import pytest
import yaml

from tests.support.commands import command
from tests.support.policy_files import NATIVE, POLICY

FILE = NATIVE.replace(
    "    resource: https://mcp.example/mcp\n",
    "    resource: http://localhost:10000/mcp\n    upstream: http://127.0.0.1:8080/mcp\n",
)


@pytest.fixture
def envoy(tmp_path):
    def run(*options, text=FILE):
        file = tmp_path / "policy.yaml"
        file.write_text(text)
        return command("envoy", "-c", file, *options)

    return run


def listen_address(rendered):
    return rendered["static_resources"]["listeners"][0]["address"]["socket_address"]


def test_the_whole_bootstrap_goes_to_stdout(envoy):
    ended = envoy()
    rendered = yaml.safe_load(ended.out)

    assert (0, "") == (ended.status, ended.err)
    assert 10000 == listen_address(rendered)["port_value"]
    assert "static_resources" in rendered


def test_it_can_be_written_to_a_file_instead(envoy, tmp_path):
    out = tmp_path / "envoy.yaml"
    ended = envoy("-o", out)

    assert (0, "", "") == (ended.status, ended.out, ended.err)
    assert envoy().out == out.read_text()


def test_the_same_file_always_gives_the_same_text(envoy):
    assert envoy().out == envoy().out


def test_the_filters_alone_have_no_listener_of_their_own(envoy):
    bootstrap, filters = envoy("--part", "bootstrap").out, envoy("--part", "filters").out

    assert bootstrap == envoy().out
    assert "static_resources" not in yaml.safe_load(filters)
    assert "envoy.filters.http.ext_authz" in filters
    assert "admin" not in yaml.safe_load(filters)


def test_the_addresses_can_be_given(envoy):
    rendered = yaml.safe_load(
        envoy(
            "--listen", "127.0.0.1:18000", "--service", "unix:/run/a.sock", "--admin", "127.0.0.1:18001"
        ).out
    )

    assert ("127.0.0.1", 18000) == tuple(listen_address(rendered)[key] for key in ("address", "port_value"))
    assert 18001 == rendered["admin"]["address"]["socket_address"]["port_value"]
    assert "/run/a.sock" in str(rendered["static_resources"]["clusters"])


def test_kubernetes_documents_with_a_backend_are_rendered(envoy):
    backend = (
        "---\napiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayBackend\nmetadata: {name: a}\n"
        "spec: {mcp: {targets: [{name: tools, static: {host: mcp.internal, port: 8081}}]}}\n"
    )
    ended = envoy("--listen", ":10000", text=POLICY + backend)

    assert 0 == ended.status
    assert "mcp.internal" in str(yaml.safe_load(ended.out)["static_resources"]["clusters"])


BAD = [
    (FILE.replace("    upstream: http://127.0.0.1:8080/mcp\n", ""), [], "server files has no upstream"),
    (FILE.replace("http://localhost:10000", "https://mcp.example"), [], "--listen :10000"),
    (FILE + "    zzz: 1\n", [], "servers.files.zzz: unknown key"),
    (FILE.replace("issuer.example", "${TENANT}"), [], "TENANT is not set"),
]


@pytest.mark.parametrize(("text", "options", "expected"), BAD)
def test_what_cannot_be_rendered_ends_with_status_2_and_one_line_that_says_why(
    envoy, tmp_path, text, options, expected
):
    ended = envoy(*options, text=text)

    assert (2, "", 1) == (ended.status, ended.out, len(ended.err.splitlines()))
    assert ended.err.startswith(str(tmp_path / "policy.yaml"))
    assert expected in ended.err


def test_an_unknown_part_is_refused_with_those_there_are(envoy):
    ended = envoy("--part", "all")

    assert 2 == ended.status
    assert "bootstrap" in ended.err
    assert "filters" in ended.err


def test_a_place_that_cannot_be_written_is_named(envoy, tmp_path):
    ended = envoy("-o", tmp_path / "none" / "envoy.yaml")

    assert (2, f"{tmp_path}/none/envoy.yaml: cannot be written: No such file or directory\n") == (
        ended.status,
        ended.err,
    )


@pytest.mark.parametrize("flag", ["--listen", "--service", "--http", "--admin"])
def test_an_address_that_is_none_is_blamed_on_its_flag(envoy, flag):
    ended = envoy(flag, "nonsense")

    assert (2, True) == (ended.status, ended.err.startswith(f"{flag}: "))

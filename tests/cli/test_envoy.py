import pytest
import yaml

from authz.cli import envoy_merge
from tests.support.commands import command
from tests.support.policy_files import NATIVE, POLICY
from tests.support.shop import shop
from tests.support.yaml_text import read_yaml

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
    rendered = read_yaml(ended.out)

    assert (0, "") == (ended.status, ended.err)
    assert 10000 == listen_address(rendered)["port_value"]
    assert "static_resources" in rendered


@pytest.mark.parametrize(
    ("resource", "options", "expected"),
    [
        ("http://localhost:10000/mcp", [], "127.0.0.1"),
        ("http://127.0.0.1:10000/mcp", [], "127.0.0.1"),
        ("http://[::1]:10000/mcp", [], "127.0.0.1"),
        ("http://mcp.example:10000/mcp", [], "0.0.0.0"),
        ("http://localhost.mcp.example:10000/mcp", [], "0.0.0.0"),
        ("http://localhost:10000/mcp", ["--listen", ":10000"], "0.0.0.0"),
        ("http://mcp.example:10000/mcp", ["--listen", "127.0.0.1:10000"], "127.0.0.1"),
    ],
)
def test_what_is_named_as_this_machines_own_is_not_open_to_the_network(envoy, resource, options, expected):
    ended = envoy(*options, text=FILE.replace("http://localhost:10000/mcp", resource))

    assert (0, expected) == (ended.status, listen_address(read_yaml(ended.out))["address"])


def test_a_listener_that_also_serves_a_public_name_is_open_to_the_network(envoy):
    second = "  other: {resource: http://mcp.example:10000/other, upstream: http://127.0.0.1:8081/mcp, issuers: [main]}\n"
    ended = envoy(text=FILE.replace("servers:\n", f"servers:\n{second}"))

    assert (0, "0.0.0.0") == (ended.status, listen_address(read_yaml(ended.out))["address"])


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
    assert "static_resources" not in read_yaml(filters)
    assert "envoy.filters.http.ext_authz" in filters
    assert "admin" not in read_yaml(filters)


def test_the_addresses_can_be_given(envoy):
    rendered = read_yaml(
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
    assert "mcp.internal" in str(read_yaml(ended.out)["static_resources"]["clusters"])


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


TLS = ["--tls-cert", "/e/a.crt", "--tls-key", "/e/a.key"]
MUTUAL = ["--service-ca", "/e/ca.crt", "--service-cert", "/e/b.crt", "--service-key", "/e/b.key"]
HTTPS = FILE.replace("http://localhost:10000", "https://mcp.example:8443").replace(
    "http://127.0.0.1:8080", "https://inner.example"
)
RENDERED = {
    "TLS to clients": ([*TLS, "--listen", ":443"], ["/e/a.crt", "/e/a.key", "DownstreamTlsContext"]),
    "a watched certificate": (
        ["--tls-secret", "/e/tls.yaml"],
        ["'path_config_source': {'path': '/e/tls.yaml'}", "'node': {", "DownstreamTlsContext"],
    ),
    "statistics for Prometheus": (
        ["--admin", "unix:/e/admin.sock", "--stats", "127.0.0.1:9003"],
        ["'/stats/prometheus'", "/e/admin.sock", "9003", "'ignore_global_conn_limit': True"],
    ),
    "mutual TLS to the service": (
        [*MUTUAL, "--service", "authz.example:9001"],
        ["/e/ca.crt", "/e/b.crt", "/e/b.key", "'exact': 'authz.example'"],
    ),
    "its own authority of https servers": (
        ["--upstream-ca", "/e/up.crt"],
        ["/e/up.crt", "'exact': 'inner.example'"],
    ),
    "Envoy's own filter": (["--native-filter"], ["filters.http.mcp.v3.Mcp'"]),
    "a shadow": (["--shadow"], ["'shadow_mode': True"]),
    "tracing": (["--otel", "127.0.0.1:4317", "--otel-percent", "12.5"], ["4317", "{'value': 12.5}"]),
    "a rate": (["--rate-limit", "600/minute"], ["'max_tokens': 600", "'fill_interval': '60s'"]),
    "a bound on connections": (["--max-connections", "77"], ["'max_active_downstream_connections': 77"]),
    "a path for load balancers": (["--health-path", "/up"], ["'/up'", "/healthz"]),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    file = tmp_path_factory.mktemp("plain") / "policy.yaml"
    file.write_text(HTTPS)
    return str(read_yaml(command("envoy", "-c", file, "--listen", ":443").out))


@pytest.mark.parametrize(("options", "expected"), RENDERED.values(), ids=RENDERED)
def test_what_an_option_names_is_in_what_is_rendered_and_not_without_it(envoy, plain, options, expected):
    asked = str(read_yaml(envoy("--listen", ":443", *options, text=HTTPS).out))

    assert [] == [words for words in expected if words not in asked]
    assert [] == [words for words in expected if words in plain and "inner.example" not in words]


def test_with_tls_to_clients_the_port_of_https_resources_is_the_default(envoy):
    assert 8443 == listen_address(read_yaml(envoy(*TLS, text=HTTPS).out))["port_value"]


def test_a_shadow_is_warned_of_on_stderr_and_at_the_top_of_the_file(envoy):
    ended = envoy("--shadow")

    assert 0 == ended.status
    assert ended.err == (
        "warning: --shadow: this configuration enforces nothing and protects nothing; render again without it\n"
    )
    assert ended.out.startswith("# SHADOW: NOTHING IS PROTECTED BY THIS FILE.")
    assert "shadow" not in envoy().out.lower()


REFUSED = [
    (["--tls-cert", "a.crt"], "--tls-cert: needs --tls-key (give a path on Envoy's machine)"),
    (["--tls-key", "a.key"], "--tls-key: needs --tls-cert (give a path on Envoy's machine)"),
    (
        ["--service-cert", "b.crt"],
        "--service-cert: needs --service-ca and --service-key (give a path on Envoy's machine)",
    ),
    (
        [*TLS, "--part", "filters"],
        "--tls-cert: is for a listener, and neither --part filters nor --merge renders one (leave it out)",
    ),
    (
        ["--stats", ":9003", "--part", "filters"],
        "--stats: is for a listener, and neither --part filters nor --merge renders one (leave it out)",
    ),
    (["--stats", "9003"], "--stats: expected host:port, :port or unix:/path, got '9003' (as in :9003)"),
    (
        [*TLS, "--tls-secret", "tls.yaml"],
        "--tls-secret: is instead of --tls-cert and --tls-key (leave one of them out)",
    ),
    (
        ["--tls-secret", "tls.yaml", "--part", "filters"],
        "--tls-secret: is for a listener, and neither --part filters nor --merge renders one (leave it out)",
    ),
    (
        ["--shadow", "--native-filter"],
        "--native-filter: refuses requests, but a shadow must not (leave one of them out)",
    ),
    (
        ["--shadow", "--rate-limit", "1/second"],
        "--rate-limit: refuses requests, but a shadow must not (leave one of them out)",
    ),
    (
        ["--rate-limit", "0/second"],
        "--rate-limit: expected N/second, N/minute or N/hour, got '0/second' (as in 20/second)",
    ),
    (
        ["--otel", "nowhere"],
        "--otel: expected host:port, :port or unix:/path, got 'nowhere' (as in 127.0.0.1:4317)",
    ),
]


@pytest.mark.parametrize(("options", "expected"), REFUSED)
def test_an_option_that_cannot_be_is_refused_by_its_name_with_the_cure(envoy, options, expected):
    ended = envoy(*options)

    assert (2, "", expected + "\n") == (ended.status, ended.out, ended.err)


def test_mutual_tls_over_a_unix_socket_and_bodies_too_large_for_envoys_own_filter_are_refused(envoy):
    by_socket = envoy(*MUTUAL, "--service", "unix:/run/a.sock")
    too_large = envoy("--native-filter", text=FILE + "limits: {body_bytes: 20000000}\n")

    assert (2, 2) == (by_socket.status, too_large.status)
    assert "--service-ca: a Unix socket has no name" in by_socket.err
    assert "--native-filter: Envoy's MCP filter reads at most 10485760 bytes" in too_large.err
    assert "limits.body_bytes" in too_large.err


HERS = shop()
"""Somebody's bootstrap, which serves the policy's host among others."""


@pytest.fixture
def hers(tmp_path):
    file = tmp_path / "hers.yaml"
    file.write_text(HERS)
    return file


def test_a_merge_writes_the_file_and_prints_what_changes_for_others(envoy, hers, tmp_path):
    ended = envoy("--merge", hers, "-o", tmp_path / "out.yaml")
    again = envoy("--merge", tmp_path / "out.yaml", "-o", tmp_path / "again.yaml")

    assert (0, "") == (ended.status, ended.err)
    assert ended.out.startswith("what changes")
    assert "%2F" in ended.out
    assert (again.out, (tmp_path / "out.yaml").read_text()) == (
        ended.out,
        (tmp_path / "again.yaml").read_text(),
    )


def test_a_merge_to_stdout_keeps_the_table_apart_from_it(envoy, hers):
    ended = envoy("--merge", hers, "--isolate")

    assert 2 == len(read_yaml(ended.out)["static_resources"]["listeners"])
    assert ended.err.startswith("what changes")
    assert "%2F" not in ended.err


def test_a_merge_into_the_file_itself_may_be_repeated(envoy, hers):
    envoy("--merge", hers, "-o", hers)
    once = hers.read_text()
    envoy("--merge", hers, "-o", hers)

    assert once == hers.read_text() != HERS


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--isolate"], "--isolate: needs --merge (give the bootstrap that you have)"),
        (["--listener", "a"], "--listener: needs --merge (give the bootstrap that you have)"),
        (
            ["--merge", "x.yaml", "--native-filter"],
            "--native-filter: would be for every route of the connection manager (add --isolate)",
        ),
        (["--merge", "/none.yaml"], "error: /none.yaml: cannot be read: No such file or directory"),
    ],
)
def test_a_merge_that_cannot_be_is_refused_by_the_name_of_what_is_in_the_way(envoy, options, expected):
    ended = envoy(*options)

    assert (2, "", expected + "\n") == (ended.status, ended.out, ended.err)


def test_a_merge_that_is_refused_writes_nothing(envoy, hers, tmp_path):
    hers.write_text(HERS.replace("  - name: orders\n", "  - name: rewriter\n"))
    ended = envoy("--merge", hers, "-o", tmp_path / "out.yaml")

    assert (2, "", False) == (ended.status, ended.out, (tmp_path / "out.yaml").exists())
    assert "a cluster named rewriter is there already" in ended.err


def test_at_a_terminal_one_is_asked_which_of_several_managers_is_meant(envoy, hers, tmp_path, monkeypatch):
    tree = read_yaml(HERS)
    second = read_yaml(HERS)["static_resources"]["listeners"][0] | {"name": "edge"}
    tree["static_resources"]["listeners"].append(second)
    hers.write_text(yaml.safe_dump(tree, sort_keys=False))
    monkeypatch.setattr(envoy_merge, "_at_a_terminal", lambda: True)
    monkeypatch.setattr(
        "typer.prompt", lambda text, **_: {"public": "x", "edge": "edge"}[text.split("(")[1].split(",")[0]]
    )
    ended = envoy("--merge", hers, "-o", tmp_path / "out.yaml")
    merged = read_yaml((tmp_path / "out.yaml").read_text())["static_resources"]["listeners"]

    assert 0 == ended.status
    assert [4, 9] == [
        len(each["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]) for each in merged
    ]

"""A real Keycloak in development mode, with a realm that is set up as docs/identity/keycloak.md says.

It is 160 MB from Maven's repository, and takes about a minute to start, so it runs by `make keycloak` alone: that sets
`KEYCLOAK=1`. An unpacked distribution can be named instead, by `KEYCLOAK_HOME`.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.installed import NotInstalledError, installed, run
from tests.support.waiting import attempts

VERSION = "26.4.0"
AUDIENCE = "https://mcp.example/mcp"
ADMIN = "admin"
_SECONDS = 240.0
_DEFAULTS = ["web-origins", "acr", "profile", "roles", "basic", "email", "mcp-audience", "mcp-groups"]
_OPTIONAL = ["files:read", "files:delete", "offline_access"]


def _scope(name: str, *mappers: dict[str, Any]) -> dict[str, Any]:
    shown = "false" if mappers else "true"
    attributes = {"include.in.token.scope": shown}
    return {
        "name": name,
        "protocol": "openid-connect",
        "attributes": attributes,
        "protocolMappers": list(mappers),
    }


def _mapper(kind: str, **config: str) -> dict[str, Any]:
    given = {name.replace("_", "."): value for name, value in config.items()}
    given |= {"access.token.claim": "true", "introspection.token.claim": "true", "id.token.claim": "false"}
    return {"name": kind, "protocol": "openid-connect", "protocolMapper": kind, "config": given}


_SCOPES = [
    _scope("files:read"),
    _scope("files:delete"),
    _scope("mcp-audience", _mapper("oidc-audience-mapper", included_custom_audience=AUDIENCE)),
    _scope("mcp-groups", _mapper("oidc-group-membership-mapper", claim_name="groups", full_path="true")),
]


@dataclass(kw_only=True)
class Keycloak:
    """A realm.

    Attributes:
        issuer: the realm's issuer.
        secret: what its confidential clients prove themselves by.
    """

    issuer: str
    secret: str = field(repr=False)

    @property
    def endpoint(self) -> str:
        """The introspection endpoint."""
        return f"{self.issuer}/protocol/openid-connect/token/introspect"

    def post(self, path: str, **form: str) -> Any:
        """Post a form to an endpoint of the realm, and return what it answers."""
        url = f"{self.issuer}/protocol/openid-connect{path}"
        answer = httpx.post(url, data=form, timeout=_SECONDS, trust_env=False)
        assert answer.status_code in {200, 204}, answer.text
        return answer.json() if answer.content else None

    def person(self, client: str, scope: str = "openid files:read") -> dict[str, Any]:
        """Sign alice in at a client; gives all tokens."""
        who = {"username": "alice", "password": self.secret}
        found: dict[str, Any] = self.post(
            "/token", grant_type="password", client_id=client, scope=scope, **who
        )
        return found

    def machine(self, scope: str = "files:read") -> str:
        """Give the access token of a service account."""
        proof = {"client_id": "mcp-batch", "client_secret": self.secret}
        found = self.post("/token", grant_type="client_credentials", scope=scope, **proof)
        return str(found["access_token"])


def keycloak_or_skip() -> Path:
    """Give an unpacked distribution, or skip the test with the reason."""
    if home := os.environ.get("KEYCLOAK_HOME"):
        return Path(home)
    if not os.environ.get("KEYCLOAK"):
        pytest.skip("takes 160 MB and a minute: `make keycloak` runs it")
    if shutil.which("java") is None:
        pytest.skip("needs Java")
    try:
        return installed("keycloak", [Path(__file__)], _install) / f"keycloak-{VERSION}"
    except NotInstalledError as reason:
        pytest.skip(f"needs Maven and its repository: {reason}")


def _install(place: Path) -> None:
    artifact = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
    copy = ["dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={place}"]
    run(["mvn", "-B", "-q", *copy], place)
    (archive,) = place.glob("*.zip")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(place)
    archive.unlink()


@contextlib.contextmanager
def serving(home: Path, secret: str) -> Iterator[Keycloak]:
    """Start Keycloak on a free port with an empty database, set up the realm, and stop it in the end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "keycloak"
        shutil.copytree(home, place, ignore=shutil.ignore_patterns("h2", "tmp"))
        command = ["bash", str(place / "bin" / "kc.sh"), "start-dev", "--http-host=127.0.0.1"]
        command += [f"--http-port={port}", "--cache=local"]
        environment = {
            **os.environ,
            "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN,
            "KC_BOOTSTRAP_ADMIN_PASSWORD": secret,
            "JAVA_OPTS_APPEND": "-Xmx512m",
        }
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            yield _set_up(f"http://127.0.0.1:{port}", secret)
        finally:
            process.terminate()
            process.wait(_SECONDS)


def _set_up(url: str, secret: str) -> Keycloak:
    """Make the realm `acme` by Keycloak's own interface for administrators."""
    with httpx.Client(base_url=url, timeout=_SECONDS, trust_env=False) as client:
        _await(client)
        form = {"grant_type": "password", "client_id": "admin-cli", "username": ADMIN, "password": secret}
        said = client.post("/realms/master/protocol/openid-connect/token", data=form).json()
        client.headers["authorization"] = f"Bearer {said['access_token']}"

        def make(path: str, body: Any) -> httpx.Response:
            answer = client.post(f"/admin/realms{path}", json=body)
            assert answer.status_code in {201, 204}, answer.text
            return answer

        make("", {"realm": "acme", "enabled": True})
        for scope in _SCOPES:
            make("/acme/client-scopes", scope)
        make("/acme/roles", {"name": "admin"})
        group = make("/acme/groups", {"name": "platform"}).headers["location"].rpartition("/")[2]
        make(f"/acme/groups/{group}/children", {"name": "sre"})
        user = make("/acme/users", _user(secret)).headers["location"].rpartition("/")[2]
        role = client.get("/admin/realms/acme/roles/admin").json()
        make(f"/acme/users/{user}/role-mappings/realm", [role])
        for each in _clients(secret):
            make("/acme/clients", each)
    return Keycloak(issuer=f"{url}/realms/acme", secret=secret)


def _await(client: httpx.Client) -> None:
    for _ in attempts(_SECONDS):
        with contextlib.suppress(httpx.HTTPError):
            if client.get("/realms/master").status_code == httpx.codes.OK:
                return
    pytest.fail("Keycloak did not start")


def _user(secret: str) -> dict[str, Any]:
    credentials = [{"type": "password", "value": secret, "temporary": False}]
    named = {"username": "alice", "email": "alice@acme.example", "firstName": "Alice", "lastName": "Example"}
    return {
        **named,
        "enabled": True,
        "emailVerified": True,
        "credentials": credentials,
        "groups": ["/platform/sre"],
    }


def _clients(secret: str) -> list[dict[str, Any]]:
    scopes = {"defaultClientScopes": _DEFAULTS, "optionalClientScopes": _OPTIONAL}
    base = {"protocol": "openid-connect", "enabled": True, "standardFlowEnabled": False, **scopes}
    public = {**base, "publicClient": True, "directAccessGrantsEnabled": True}
    confidential = {**base, "publicClient": False, "secret": secret}
    light = {"client.use.lightweight.access.token.enabled": "true"}
    without_subject = [name for name in _DEFAULTS if name != "basic"]
    without_audience = [name for name in _DEFAULTS if name != "mcp-audience"]
    return [
        {**public, "clientId": "mcp-client"},
        {**public, "clientId": "mcp-light", "attributes": light},
        {**public, "clientId": "no-basic", "defaultClientScopes": without_subject},
        {**public, "clientId": "no-audience", "defaultClientScopes": without_audience},
        {**confidential, "clientId": "mcp-batch", "serviceAccountsEnabled": True},
        {**confidential, "clientId": "mcp-gateway"},
    ]

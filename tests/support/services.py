"""A service in this process, and Checks for it."""

import io
import json
import time
from contextlib import contextmanager

from envoy.service.auth.v3 import external_auth_pb2 as auth_pb
from prometheus_client import generate_latest

from authz.config.settings import IssuerKeys, Settings
from authz.core.request import Limits
from authz.core.servers import Directory
from authz.edge.envoy_watch import EnvoyWatch
from authz.edge.http.app import Collected
from authz.edge.http.status import WorkerReport
from authz.edge.service import Service
from authz.edge.telemetry.audit_log import AuditLog
from tests.support import core as policies
from tests.support import tokens
from tests.support.waiting import DEADLINE

SERVERS = {"demo": policies.server(policies.rule("allow", "echo"))}


@contextmanager
def service(session_key=None, **changes):
    """A service that holds the default issuer's key."""
    jwks = json.dumps({"keys": [tokens.jwk(tokens.rsa_key(), use="sig", alg="RS256")]}).encode()
    settings = Settings(
        grpc="",
        http="",
        directory=Directory(tuple(SERVERS.values())),
        keys={tokens.ISSUER: IssuerKeys(issuer=tokens.ISSUER, inline=jwks)},
        upstreams={},
        cors={},
        tools={},
        limits=Limits(),
        max_body=4096,
        max_list=4096,
        check_seconds=DEADLINE,
        tokens=10,
        digest="",
        **changes,
    )
    audit = AuditLog(io.BytesIO())
    try:
        yield Service(settings, audit, session_key=session_key)
    finally:
        audit.close()


def exposed():
    """What /metrics of a service says."""
    with service() as running:
        text = running.metrics.render()
        return (text + generate_latest(Collected([EnvoyWatch(WorkerReport(running)).gauge()]))).decode()


def check_request(method, content=b"", *, number=0, **headers):
    """The CheckRequest of a caller, serialised; callers of different numbers have different tokens."""
    now = int(time.time())
    message = auth_pb.CheckRequest()
    http = message.attributes.request.http
    http.method, http.scheme, http.host, http.path, http.raw_body = (
        method,
        "https",
        "mcp.example",
        "/mcp",
        content,
    )
    token = tokens.token(tokens.claims(iat=now - 10, exp=now + 600 + number))
    http.headers.update({"authorization": f"Bearer {token}", "content-type": "application/json", **headers})
    return message.SerializeToString()

"""What is sent: tokens, and tools/call requests of the 2026-07-28 era as the bytes of HTTP/1.1.

A population is a list of requests that a load generator sends in turn, over and over. Names, arguments and callers
vary within it, from a fixed seed, so that every run sends the same requests to every variant.
"""

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from envoy.service.auth.v3 import external_auth_pb2
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

HOST = "mcp.example.com"
ISSUER = "https://issuer.example.com/"
VERSION = "2026-07-28"
CALLERS = 50
"""Tokens in the populations whose tokens are cached."""
FRESH = 1250
"""Tokens in the population `fresh`: more than the policy file lets the service cache."""
REQUESTS = 5000
"""Requests in the other populations."""
UPSTREAM = '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"done"}]}}'
"""What the upstream answers."""

FULL = {"scope": "files:read files:delete", "https://mcp.example.com/roles": ["admin", "staff"]}
_NONE = {"scope": "profile", "https://mcp.example.com/roles": ["staff"]}
_pb: Any = external_auth_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One row of the table.

    Attributes:
        name: what the table calls it.
        backend: who decides: `alone` for nobody, `native` for Envoy's own filters, `bare`, `loop`, `authz`, or a peer's name.
        population: which requests are sent.
        denied: whether the backend must deny every request; otherwise it must allow every one.
    """

    name: str
    backend: str
    population: str
    denied: bool = False


VARIANTS = (
    Variant(name="envoy alone", backend="alone", population="mixed"),
    Variant(name="native", backend="native", population="mixed"),
    Variant(name="bare", backend="bare", population="mixed"),
    Variant(name="loop", backend="loop", population="mixed"),
    Variant(name="cached", backend="authz", population="mixed"),
    Variant(name="fresh", backend="authz", population="fresh"),
    Variant(name="args", backend="authz", population="args"),
    Variant(name="denied", backend="authz", population="denied", denied=True),
)
REFERENCE = "bare"
IN_ENVOY = frozenset({"alone", "native"})
"""Backends that are no process of their own."""


class Mint:
    """An issuer with an RSA key of 2048 bits, and one on P-256 for runs that need tokens by the hundred thousand."""

    def __init__(self) -> None:
        self._keys: dict[str, Any] = {
            "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
        }
        self._now = int(time.time())

    def jwks(self) -> bytes:
        """Return the key set; the id of a key is its algorithm."""
        public = {
            "RS256": RSAAlgorithm.to_jwk(self._keys["RS256"].public_key(), as_dict=True),
            "ES256": ECAlgorithm.to_jwk(self._keys["ES256"].public_key(), as_dict=True),
        }
        keys = [{**key, "kid": name, "use": "sig", "alg": name} for name, key in public.items()]
        return json.dumps({"keys": keys}).encode()

    def token(self, name: str, number: int, grants: Mapping[str, Any], algorithm: str = "RS256") -> str:
        """Sign a token of population `name` for caller `number`, good for a day."""
        claims = {
            "iss": ISSUER,
            "sub": f"auth0|user-{number:05d}",
            "aud": [f"https://{HOST}/mcp", f"{ISSUER}userinfo"],
            "jti": f"{name}-{number}",
            "azp": f"client-{number % 7}",
            "iat": self._now,
            "exp": self._now + 86_400,
            **grants,
        }
        return jwt.encode(claims, self._keys[algorithm], algorithm, {"kid": algorithm, "typ": "at+jwt"})


Call = tuple[str, dict[str, Any]]
"""A tool's name and the arguments it is called with."""


def _mixed(chance: random.Random) -> Call:
    """Call one of four tools that rules name, or once in three times one of thousands that match a pattern."""
    name = chance.choice(("echo", "get_user_info", "list_files", "system_status"))
    if chance.random() < 1 / 3:
        name = f"report_{chance.randrange(5000)}"
    text = "".join(chance.choices("abcdefghij klmnop", k=chance.randrange(8, 400)))
    return name, {"text": text, "limit": chance.randrange(1000), "tags": ["a", "b"][: chance.randrange(3)]}


def _args(chance: random.Random) -> Call:
    return "delete_file", {
        "filename": f"/inbox/{chance.randrange(10**6)}.txt",
        "force": chance.random() < 0.5,
    }


def _denied(chance: random.Random) -> Call:
    number = chance.randrange(5000)
    name = chance.choice(("list_files", f"{number}_secret", f"drop_{number}", "system_status"))
    return name, {"path": f"/{chance.randrange(10**6)}"}


POPULATIONS: Mapping[str, tuple[Callable[[random.Random], Call], Mapping[str, Any], int, int]] = {
    "mixed": (_mixed, FULL, CALLERS, REQUESTS),
    "fresh": (_mixed, FULL, FRESH, FRESH),
    "args": (_args, FULL, CALLERS, REQUESTS),
    "denied": (_denied, _NONE, CALLERS, REQUESTS),
}
"""By name: what is called, what tokens grant, number of tokens, number of requests."""


def population(name: str, mint: Mint) -> list[bytes]:
    """Return the requests of a population."""
    call, grants, callers, count = POPULATIONS[name]
    chance = random.Random(name)
    tokens = [mint.token(name, number, grants) for number in range(callers)]
    return [http_request(number, *call(chance), tokens[number % callers]) for number in range(count)]


def http_request(number: int, tool: str, arguments: dict[str, Any], token: str, further: str = "") -> bytes:
    """Return a tools/call as the bytes of HTTP/1.1; `further` are header lines, each with its line end."""
    params = {"name": tool, "arguments": arguments}
    return _request("tools/call", number, params, token, f"mcp-name: {tool}\r\n{further}")


def list_request(number: int, token: str, further: str) -> bytes:
    """Return a tools/list; `further` are header lines, each with its line end."""
    return _request("tools/list", number, {}, token, further)


def _request(method: str, number: int, params: dict[str, Any], token: str, further: str) -> bytes:
    meta = {
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    }
    message = {"jsonrpc": "2.0", "id": number, "method": method, "params": {**params, "_meta": meta}}
    return post(message, token, f"mcp-protocol-version: {VERSION}\r\nmcp-method: {method}\r\n{further}")


def post(message: dict[str, Any], token: str, further: str, path: str = "/mcp") -> bytes:
    """Return a message as the bytes of HTTP/1.1; `further` are header lines, each with its line end."""
    body = json.dumps(message, separators=(",", ":")).encode()  # as the Python and TypeScript SDKs write it
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\n"
        "content-type: application/json\r\naccept: application/json, text/event-stream\r\n"
        f"{further}user-agent: bench/1\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def to_file(requests: Sequence[bytes]) -> bytes:
    """Join requests for a file; none of them holds a zero byte."""
    return b"\0".join(requests)


def check_request(request: bytes) -> bytes:
    """Return the CheckRequest that Envoy's ext_authz filter makes of a request, serialised."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
    fields = [(name, value) for name, value in lines if name != "host"]
    message = _pb.CheckRequest()
    attributes = message.attributes
    for peer, port in ((attributes.source, 40_000), (attributes.destination, 10_000)):
        peer.address.socket_address.address, peer.address.socket_address.port_value = "127.0.0.1", port
    attributes.request.time.FromSeconds(int(time.time()))
    http = attributes.request.http
    http.id, http.method, http.host, http.path, http.scheme = "1234567890", "POST", HOST, "/mcp", "http"
    http.protocol, http.size, http.raw_body = "HTTP/1.1", len(body), body
    pseudo = [(":authority", HOST), (":path", "/mcp"), (":method", "POST"), (":scheme", "http")]
    added = [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "5f0c2b1e-8a34-4f0e-9d53-000000000000"),
        ("x-envoy-internal", "true"),
        ("x-envoy-auth-partial-body", "false"),
    ]
    for name, value in (*pseudo, *fields, *added):
        http.headers[name] = value
    serialised: bytes = message.SerializeToString()
    return serialised

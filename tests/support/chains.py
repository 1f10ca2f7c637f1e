"""The chains whose rendering is kept under envoy/, and the command that renders them anew."""

from collections.abc import Mapping
from pathlib import Path

from authz.render.bootstrap import bootstrap, filters
from authz.render.chain import Address, Chain, Endpoint

EXAMPLES_DIR = Path(__file__).parents[2] / "envoy"
CURE = "python -m tests.support.chains"

_DEMO = Endpoint(
    name="demo",
    hosts=("*",),
    path="/mcp",
    upstream_host="127.0.0.1",
    upstream_port=8080,
    origins=("http://localhost:6274",),
)

SIDECAR = Chain(
    endpoints=(_DEMO,),
    listen=Address.parse(":10000"),
    service=Address.parse("unix:/run/mcp-authz/authz.sock"),
    http=Address.parse("127.0.0.1:9002"),
)

STANDALONE = Chain(
    endpoints=(_DEMO,),
    listen=Address.parse("127.0.0.1:10000"),
    service=Address.parse("127.0.0.1:9001"),
    http=Address.parse("127.0.0.1:9002"),
    admin=Address.parse("127.0.0.1:10001"),
)

SEVERAL = Chain(
    endpoints=(
        Endpoint(
            name="orders",
            hosts=("orders.example.com",),
            path="/mcp",
            upstream_host="orders.internal",
            upstream_port=8080,
            origins=("https://chat.example.com",),
        ),
        Endpoint(
            name="search",
            hosts=("tools.example.com",),
            path="/search/mcp",
            upstream_host="search.example.net",
            upstream_port=443,
            upstream_tls=True,
            upstream_path="/mcp",
            origins=("*",),
        ),
        Endpoint(
            name="files",
            hosts=("tools.example.com",),
            path="/files/mcp",
            upstream_host="fd00::8",
            upstream_port=8080,
        ),
        Endpoint(name="status", hosts=("*",), path="/status", upstream_host="192.0.2.7", upstream_port=8080),
    ),
    listen=Address.parse(":8443"),
    service=Address.parse("mcp-authz.internal:9001"),
    http=Address.parse("mcp-authz.internal:9002"),
    max_request_bytes=4 << 20,
    check_timeout=0.25,
)

BOOTSTRAPS: Mapping[str, Chain] = {
    "sidecar-uds.yaml": SIDECAR,
    "standalone.yaml": STANDALONE,
    "several-servers.yaml": SEVERAL,
}


def rendered() -> dict[str, str]:
    """File name to text, for every file that is kept under envoy/."""
    return {name: bootstrap(chain) for name, chain in BOOTSTRAPS.items()} | {"filters.yaml": filters(SIDECAR)}


if __name__ == "__main__":
    for name, text in rendered().items():
        (EXAMPLES_DIR / name).write_text(text, encoding="utf-8")

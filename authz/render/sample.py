"""The parts of a sample chain, with which `mcp-authz doctor` compares a configuration that somebody wrote.

The doctor reads them as data, because importing the renderer costs most of a second. Write them again with
`python -m authz.render.sample > authz/doctor/expected.yaml`; a test fails while they differ.
"""

import sys

from authz.render.address import Address
from authz.render.bootstrap import sections
from authz.render.model import Chain, Endpoint
from authz.render.yaml_writer import emit

_ENDPOINT = Endpoint(
    name="server",
    hosts=("mcp.example.com",),
    path="/mcp",
    upstream_host="127.0.0.1",
    upstream_port=8080,
    origins=("https://app.example.com",),
)
_CHAIN = Chain(
    endpoints=(_ENDPOINT,),
    listen=Address(host="127.0.0.1", port=10000),
    service=Address(host="127.0.0.1", port=9001),
    http=Address(host="127.0.0.1", port=9002),
    check_timeout=0.6,
    access_log=False,
)


def sample() -> str:
    """Render the sample's parts as YAML without comments."""
    tree, _ = sections(_CHAIN)
    return "# Written by `python -m authz.render.sample`; do not edit.\n" + emit(tree)


if __name__ == "__main__":
    sys.stdout.write(sample())

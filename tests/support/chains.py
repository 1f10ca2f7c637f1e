"""The chains whose rendering is kept under envoy/, and the commands of its README that render them anew."""

import dataclasses
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from authz.config.load import load
from authz.render.address import Address
from authz.render.options import Certificate, MutualTls, Rate, RenderOptions, Tracing
from authz.render.plan import plan
from tests.support.certificates import Authority
from tests.support.commands import command

EXAMPLES_DIR = Path(__file__).parents[2] / "envoy"
CURE = "python -m tests.support.chains"


def _policy(name):
    return load(str(EXAMPLES_DIR / "policies" / f"{name}.yaml"), environment={})


_TLS = RenderOptions(
    clients=Certificate(cert="/etc/mcp-authz/gateway.crt", key="/etc/mcp-authz/gateway.key"),
    service=MutualTls(
        ca="/etc/mcp-authz/ca.crt",
        own=Certificate(cert="/etc/mcp-authz/envoy.crt", key="/etc/mcp-authz/envoy.key"),
    ),
    upstream_ca="/etc/mcp-authz/ca.crt",
    tracing=Tracing(collector=Address.parse("otel-collector.internal:4317")),
    rate=Rate.parse("20/second"),
)

SIDECAR = plan(_policy("one-server"), service="unix:/run/mcp-authz/authz.sock")
STANDALONE = plan(_policy("one-server"), listen="127.0.0.1:10000", admin="127.0.0.1:10001")
SEVERAL = plan(
    _policy("several-servers"),
    listen="127.0.0.1:8080",
    service="unix:/run/mcp-authz/authz.sock",
)
MTLS = plan(
    _policy("tls"),
    listen=":8443",
    service="mcp-authz.internal:9001",
    http="mcp-authz.internal:9002",
    options=_TLS,
)
NATIVE = dataclasses.replace(SIDECAR, options=RenderOptions(native_filter=True))
"""Not kept under envoy/: Envoy calls this filter work in progress."""
SHADOW = dataclasses.replace(SIDECAR, options=RenderOptions(shadow=True))
"""Not kept under envoy/: it protects nothing."""

BOOTSTRAPS: Mapping = {
    "sidecar-uds.yaml": SIDECAR,
    "standalone.yaml": STANDALONE,
    "several-servers.yaml": SEVERAL,
    "mtls.yaml": MTLS,
}


def commands() -> dict[str, list[str]]:
    """File name to the arguments of the command in envoy/README.md that makes it, without `-o`."""
    text = (EXAMPLES_DIR / "README.md").read_text("utf-8").replace("\\\n", "")
    found = re.findall(r"^\$ mcp-authz (envoy .*) -o (\S+)$", text, re.MULTILINE)
    return {name: shlex.split(line) for line, name in found}


def rendered() -> dict[str, str]:
    """File name to what its command writes today."""
    texts = {}
    for name, words in commands().items():
        ended = command(*(EXAMPLES_DIR / word if word.startswith("policies/") else word for word in words))
        assert (0, "") == (ended.status, ended.err), name
        texts[name] = ended.out
    return texts


def here(text: str, folder: Path) -> str:
    """Replace the certificates that a configuration names by ones made for this test."""
    authority = Authority(folder)
    pair = authority.certify("any", "localhost")
    for name in set(re.findall(r"(?<=filename: )[^}\s]+", text)):
        here = pair.key if name.endswith(".key") else pair.cert
        text = text.replace(name, str(authority.cert if "ca" in Path(name).stem else here))
    return text


if __name__ == "__main__":
    for name, text in rendered().items():
        (EXAMPLES_DIR / name).write_text(text, encoding="utf-8")

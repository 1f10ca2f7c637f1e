"""Generates authz/proto from protos/*.proto with grpcio-tools; an argument names another directory."""

import sys
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent


def generate(out: Path) -> int:
    """Run protoc and return its exit status."""
    sources = sorted(path.name for path in (ROOT / "protos").glob("*.proto"))
    out.mkdir(parents=True, exist_ok=True)
    known = Path(grpc_tools.__file__).parent / "_proto"
    return int(
        protoc.main(
            [
                "protoc",
                f"-I{ROOT / 'protos'}",
                f"-I{known}",
                f"--python_out={out}",
                f"--pyi_out={out}",
                *sources,
            ]
        ),
    )


if __name__ == "__main__":
    sys.exit(generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "authz" / "proto"))

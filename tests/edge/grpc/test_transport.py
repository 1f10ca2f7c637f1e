"""The seam: which modules may know which server they run on."""

import tomllib

import pytest

from tests.test_layers import FILES, PACKAGE, imports_of, module_of, within

SERVERS = {"authz.edge.grpc.native", "authz.edge.grpc.native_call", "authz.edge.grpc.aio"}
HANDLERS = [
    "edge/envoy/ext_authz.py",
    "edge/envoy/ext_proc.py",
    "edge/grpc/health.py",
    "edge/grpc/reflection.py",
]


def test_one_module_imports_what_grpcio_does_not_publish():
    users = [
        module_of(path) for path in FILES if any(within(name, ["grpc._cython"]) for name in imports_of(path))
    ]

    assert ["authz.edge.grpc.native"] == users


def test_the_linter_holds_it_too():
    ruff = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    exempt = [path for path, rules in ruff["per-file-ignores"].items() if "TID251" in rules]

    assert "grpc._cython" in ruff["flake8-tidy-imports"]["banned-api"]
    assert ["authz/edge/grpc/native.py"] == exempt


@pytest.mark.parametrize("path", HANDLERS)
def test_a_handler_knows_the_interface_and_no_server(path):
    names = imports_of(PACKAGE / path)

    assert "authz.edge.grpc.transport" in names
    assert set() == {name for name in names if within(name, SERVERS)}

"""The layers: imports point one way, the core is pure, an allow is made in one place, and `serve` stays light.

Imports are read from the source, so that one inside a function counts as much as one at the top.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "authz"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "proto" not in path.relative_to(PACKAGE).parts)

ARROWS = {
    "core": set(),
    "config": {"core"},
    "edge": {"tools", "config", "core", "proto"},
    "render": {"config", "core"},
    "demo": {"config", "render", "core"},
    "oauth": {"edge", "config", "core"},
    "tools": {"config", "core", "proto"},
    "doctor": {"render", "tools", "config", "core"},
    "merge": {"doctor", "render", "config", "core"},
    "cli": {"edge", "render", "demo", "oauth", "tools", "doctor", "merge", "config", "core"},
    "__main__": {"cli"},
    "__init__": set(),
}
CORE_ORDER = (
    {"wire", "reasons", "request"},
    {"identity", "mcp"},
    {"policy"},
    {"servers", "decision"},
    {"tool_refusal"},
    {"transport", "denial", "response", "authentication"},
    {"engine"},
)
"""The parts of the core; each may import only parts of the rows above its own."""
IMPURE = [
    "grpc",
    "google.protobuf",
    "logging",
    "asyncio",
    "socket",
    "time",
    "httpx",
    "structlog",
    "prometheus_client",
    "envoy",
    "cel.expr",
    "os",
    "io",
    "pathlib",
    "subprocess",
    "threading",
    "datetime",
    "random",
    "secrets",
    "ssl",
    "http",
    "urllib.request",
    "envoy_data_plane",
    "pydantic",
    "yaml",
]
SERVE_LEAVES_OUT = [
    *("envoy_data_plane", "authz.render", "authz.demo", "authz.doctor", "celpy", "mcp", "typer"),
    *("grpc_reflection.v1alpha", "multipart", "opentelemetry", "pygments", "python_multipart", "rich"),
    "uvloop",
]


def module_of(path):
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def layer_of(path):
    """Give the first part below the package; a module directly in it is a layer of its own."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(source, package=""):
    """Give the full names of all modules, and of the names taken from them, that a source imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in {"import_module", "__import__"}:
            found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return found


def within(name, parents):
    return any(name == parent or name.startswith(f"{parent}.") for parent in parents)


def imports_of(path):
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    return imported(path.read_text(), package)


def wrong_arrows(layer, names):
    layers = {name.split(".")[1] for name in names if name.startswith("authz.")}
    return {other for other in layers & {*ARROWS, "proto"} if other != layer and other not in ARROWS[layer]}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import a.b, c as d", {"a.b", "c"}),
        ("from a import b as c", {"a", "a.b"}),
        ("def f():\n    from a.b import c", {"a.b", "a.b.c"}),
        ("from . import x", {"authz.core", "authz.core.x"}),
        ("from ..edge import x", {"authz.edge", "authz.edge.x"}),
        ("from .. import edge", {"authz", "authz.edge"}),
        ("importlib.import_module('grpc.aio')", {"grpc.aio"}),
        ("if x:\n    import time", {"time"}),
    ],
)
def test_imports_are_found_wherever_they_stand(source, names):
    assert names == imported(source, "authz.core")


@pytest.mark.parametrize(
    ("layer", "name", "wrong"),
    [
        ("core", "authz.config.native.build", {"config"}),
        ("core", "authz.core.identity.token", set()),
        ("demo", "authz.edge.serve", {"edge"}),
        ("demo", "authz.render.plan", set()),
        ("render", "authz.edge", {"edge"}),
        ("edge", "authz.cli", {"cli"}),
        ("core", "authz.proto.decision_pb2", {"proto"}),
        ("core", "authzoo.edge", set()),
    ],
)
def test_an_arrow_that_points_another_way_is_found(layer, name, wrong):
    assert wrong == wrong_arrows(layer, {name})


def test_every_layer_of_the_package_is_known_and_read():
    assert ARROWS.keys() - {"__init__", "__main__"} <= {layer_of(path) for path in FILES} <= ARROWS.keys()
    assert len(FILES) > 50


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_point_one_way(path):
    assert set() == wrong_arrows(layer_of(path), imports_of(path))


def rank(part):
    """Return the row of a part of the core."""
    (row,) = (number for number, parts in enumerate(CORE_ORDER) if part in parts)
    return row


CORE = [path for path in FILES if layer_of(path) == "core" and path.name != "__init__.py"]


@pytest.mark.parametrize("path", CORE, ids=module_of)
def test_imports_inside_the_core_point_up_the_rows(path):
    part = module_of(path).split(".")[2]
    others = {name.split(".")[2] for name in imports_of(path) if name.startswith("authz.core.")} - {part}

    assert set() == {other for other in others if rank(other) >= rank(part)}


def test_every_class_name_stands_once_in_the_package():
    where = [
        (node.name, module_of(path))
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    names = [name for name, _ in where]

    assert [] == sorted(each for each in where if names.count(each[0]) > 1)


@pytest.mark.parametrize("path", [path for path in FILES if layer_of(path) == "core"], ids=module_of)
def test_the_core_imports_nothing_that_reads_a_clock_or_does_io(path):
    assert set() == {name for name in imports_of(path) if within(name, IMPURE)}


@pytest.mark.parametrize("path", [path for path in FILES if layer_of(path) == "core"], ids=module_of)
def test_the_core_opens_no_file_and_prints_nothing(path):
    calls = {node.func.id for node in ast.walk(ast.parse(path.read_text())) if _calls_a_name(node)}

    assert set() == calls & {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}


def _calls_a_name(node):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


def functions_that_pass(word):
    """Give module and function of every call that passes a keyword argument."""
    found = []
    for path in FILES:
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                keywords = [part.arg for part in ast.walk(function) if isinstance(part, ast.keyword)]
                found += [(module_of(path), function.name)] * keywords.count(word)
    return found


@pytest.mark.requirement("security.one-allow")
def test_an_allow_is_made_in_one_place():
    assert [("authz.core.engine", "_decide")] == functions_that_pass("allowed")


def test_no_decision_is_changed_after_it_was_made():
    texts = {module_of(path): path.read_text() for path in FILES}

    assert [] == [name for name, text in texts.items() if "object.__setattr__" in text]
    assert [] == [
        name
        for name, text in texts.items()
        if "replace(decision" in text or "replace(self.decision" in text or ".allowed = " in text
    ]


def in_a_fresh_process(code):
    """Run Python code with warnings as errors off, give what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=PACKAGE.parent,
    )

    assert (0, "") == (done.returncode, done.stderr[-2000:] if done.returncode else "")
    return done.stdout.split()


@pytest.mark.parametrize(
    "program",
    ["import authz.cli.import_guard; import authz.cli.serve", "import authz.cli.worker"],
    ids=["one", "worker"],
)
def test_the_serving_path_does_not_import_what_only_other_commands_need(program):
    loaded = in_a_fresh_process(f"import sys; {program}; import authz.edge.serve; print(*sys.modules)")

    assert "authz.edge.serve" in loaded
    assert [] == [name for name in loaded if within(name, SERVE_LEAVES_OUT)]


def test_a_supervisor_loads_no_grpc():
    loaded = in_a_fresh_process(
        "import sys, authz.cli.serve, authz.edge.workers.supervisor; print(*sys.modules)"
    )

    assert "authz.edge.workers.process" in loaded
    assert [] == [name for name in loaded if within(name, ["grpc", "envoy", "authz.edge.serve"])]


TOGETHER = [
    "envoy",
    "envoy.service.auth.v3.external_auth_pb2",
    "envoy.service.ext_proc.v3.external_processor_pb2",
    "envoy.config.core.v3.base_pb2",
    "envoy.extensions.filters.http.ext_authz.v3.ext_authz_pb2",
    "envoy_data_plane.envoy.config.bootstrap.v3",
    "google.rpc.status_pb2",
    "google.rpc.code_pb2",
    "google.protobuf.struct_pb2",
    "google.api.annotations_pb2",
    "cel.expr.syntax_pb2",
    "cel.expr.checked_pb2",
    "xds.type.v3.typed_struct_pb2",
    "grpc_health.v1.health_pb2",
    "grpc_reflection.v1alpha.reflection_pb2",
    "authz.proto.decision_pb2",
    "cel_expr_python.cel",
]


@pytest.mark.parametrize("order", [1, -1])
def test_all_generated_messages_live_together_in_one_process_in_either_order(order):
    code = (
        f"import importlib; [importlib.import_module(name) for name in {TOGETHER[::order]!r}]; print('done')"
    )

    assert ["done"] == in_a_fresh_process(code)


def test_messages_imported_together_still_carry_each_other():
    code = (
        "import importlib\n"
        f"for name in {TOGETHER!r}: importlib.import_module(name)\n"
        "from envoy.service.auth.v3 import external_auth_pb2 as pb\n"
        "from google.rpc import status_pb2\n"
        "sent = pb.CheckResponse(status=status_pb2.Status(code=7))\n"
        "print(pb.CheckResponse.FromString(sent.SerializeToString()).status.code)\n"
    )

    assert ["7"] == in_a_fresh_process(code)

"""The clients that are driven: where each comes from, how it is started, and how it differs from the others.

A client is installed once, into .cache, by the lock file of its language. What cannot be had here raises
`NotInstalledError`, which says what is missing.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.clients import expected
from tests.clients.cells import played_by
from tests.clients.expected import Expected
from tests.support.environments import interpreter
from tests.support.installed import ROOT, installed, run
from tests.support.node import find_node

DRIVERS = ROOT / "tests" / "clients" / "drivers"
LEGACY, MODERN = "2025-11-25", "2026-07-28"
_MINUTES = 15 * 60.0

Command = list[str]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One client in one era.

    Attributes:
        package: the package and its version, as its lock file has them.
        lock: that lock file, from the repository's root.
        command: installs it when that is not done, and gives the command that starts its driver.
        era: what the driver is told to speak.
        speaks: the version of the protocol that it must end up with, "" where its framework does not tell.
        expected: what its user sees where that differs from the other clients, by cell.
        suite: whether it also runs in the default suite.
        signs_in: whether it has OAuth.
    """

    package: str
    lock: str
    command: Callable[[], Command]
    era: str = ""
    speaks: str = ""
    expected: Mapping[str, Expected] = field(default_factory=dict)
    suite: bool = False
    signs_in: bool = False

    @property
    def cells(self) -> Sequence[str]:
        """Names of the cells that it plays."""
        return played_by(signs_in=self.signs_in)


def _python(name: str, driver: str) -> Command:
    return [str(interpreter(name)), str(DRIVERS / driver)]


def _own_python(driver: str) -> Command:
    return [str(ROOT / ".venv" / "bin" / "python"), str(DRIVERS / driver)]


def _node(driver: str) -> Command:
    node = find_node()
    # The scripts find the packages from where they lie.
    place = installed("drivers", sorted(DRIVERS.glob("*.mjs")), _copy_scripts)
    modules = place / "node_modules"
    if not modules.exists():
        modules.symlink_to(node.modules, target_is_directory=True)
    return node.command(place / driver)


def _copy_scripts(place: Path) -> None:
    for script in DRIVERS.glob("*.mjs"):
        shutil.copy(script, place)


def _go() -> Command:
    sources = [DRIVERS / "go" / name for name in ("main.go", "go.mod", "go.sum")]

    def build(place: Path) -> None:
        for source in sources:
            shutil.copy(source, place)
        run(["go", "build", "-o", "client", "."], place, _MINUTES)

    return [str(installed("client-go", sources, build) / "client")]


def _java() -> Command:
    return java_command(DRIVERS / "java" / "Client.java")


def java_command(source: Path) -> Command:
    """Compile a program against the Java SDK, whose pom lies beside the driver, and give its command."""
    pom = DRIVERS / "java" / "pom.xml"

    def build(place: Path) -> None:
        shutil.copy(pom, place)
        copy = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"]
        run(copy, place, _MINUTES)
        run(["javac", "-nowarn", "-cp", "lib/*", "-d", "classes", source], place)

    place = installed(f"java-{source.stem.lower()}", [pom, source], build)
    return ["java", "-cp", f"{place}/lib/*:{place}/classes", source.stem]


_NPM = "tests/node/package.json"
_PYTHON_1 = {
    "lock": "tests/clients/mcp-1.txt",
    "package": "mcp==1.30.0",
    "command": partial(_python, "mcp-1", "python_1.py"),
}
_PYTHON_2 = {
    "lock": "requirements/dev.txt",
    "package": "mcp==2.3.0",
    "command": partial(_own_python, "python_2.py"),
}
_SIGNS_IN = {"suite": True, "signs_in": True}
_PYTHON_2_OAUTH = {**_PYTHON_2, **_SIGNS_IN, "command": partial(_own_python, "python_2_oauth.py")}
_TYPESCRIPT_1 = {
    "lock": _NPM,
    "package": '"@modelcontextprotocol/sdk": "1.32.2"',
    "command": partial(_node, "typescript_1.mjs"),
}
_TYPESCRIPT_2 = {
    "lock": _NPM,
    "package": '"@modelcontextprotocol/client": "2.4.0"',
    "command": partial(_node, "typescript_2.mjs"),
}
_TYPESCRIPT_1_OAUTH = {**_TYPESCRIPT_1, **_SIGNS_IN, "command": partial(_node, "typescript_1_oauth.mjs")}
_TYPESCRIPT_2_OAUTH = {**_TYPESCRIPT_2, **_SIGNS_IN, "command": partial(_node, "typescript_2_oauth.mjs")}
_GO = {
    "lock": "tests/clients/drivers/go/go.mod",
    "package": "github.com/modelcontextprotocol/go-sdk v1.8.0",
    "command": _go,
}
_JAVA = {
    "lock": "tests/clients/drivers/java/pom.xml",
    "package": "<version>2.1.0</version>",
    "command": _java,
}


def _framework(name: str, driver: str, version: str, differs: Mapping[str, Expected]) -> Row:
    return Row(
        lock=f"tests/clients/{name}.txt",
        package=version,
        command=partial(_python, name, driver),
        expected={**expected.AGENT, **differs},
    )


ROWS: Mapping[str, Row] = {
    "python-1": Row(**_PYTHON_1, speaks=LEGACY, expected=expected.PYTHON_1, suite=True),
    "python-2-legacy": Row(**_PYTHON_2, era="legacy", speaks=LEGACY, suite=True),
    "python-2-auto": Row(**_PYTHON_2, era="auto", speaks=MODERN, expected=expected.MODERN, suite=True),
    "python-2-modern": Row(**_PYTHON_2, era=MODERN, speaks=MODERN, expected=expected.MODERN),
    "python-2-oauth-legacy": Row(**_PYTHON_2_OAUTH, era="legacy", speaks=LEGACY),
    "python-2-oauth-auto": Row(**_PYTHON_2_OAUTH, era="auto", speaks=MODERN),
    "typescript-1": Row(**_TYPESCRIPT_1, speaks=LEGACY, suite=True),
    "typescript-2-legacy": Row(**_TYPESCRIPT_2, era="legacy", speaks=LEGACY, suite=True),
    "typescript-2-auto": Row(
        **_TYPESCRIPT_2, era="auto", speaks=MODERN, expected=expected.MODERN, suite=True
    ),
    "typescript-1-oauth": Row(**_TYPESCRIPT_1_OAUTH, speaks=LEGACY),
    "typescript-2-oauth-auto": Row(**_TYPESCRIPT_2_OAUTH, era="auto", speaks=MODERN),
    "go-legacy": Row(**_GO, era=LEGACY, speaks=LEGACY),
    "go-modern": Row(**_GO, era=MODERN, speaks=MODERN, expected=expected.MODERN),
    "java": Row(**_JAVA, speaks=LEGACY, expected=expected.JAVA),
    "langgraph": _framework(
        "langgraph", "langgraph_agent.py", "langchain-mcp-adapters==0.3.2", expected.LANGGRAPH
    ),
    "openai-agents": _framework(
        "openai-agents", "openai_agent.py", "openai-agents==0.24.0", expected.OPENAI_AGENTS
    ),
    "pydantic-ai": _framework(
        "pydantic-ai", "pydantic_agent.py", "pydantic-ai-slim==2.68.0", expected.PYDANTIC_AI
    ),
    "google-adk": _framework("google-adk", "adk_agent.py", "google-adk==2.13.0", expected.GOOGLE_ADK),
}


def names_in_suite() -> Sequence[str]:
    """Give the names of the rows that the default suite runs."""
    return [name for name, row in ROWS.items() if row.suite]

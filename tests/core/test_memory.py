"""Conditions leave memory where it was; the engine is C++ and nothing in Python would show a leak there."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import DEADLINE

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import subprocess, sys
from authz.config.cel.compile import compile_expression
from authz.core.policy.expression import Truth, activate

TEXTS = {
    '"files:read" in scopes': (Truth.TRUE, {"scopes": ["a", "files:read"]}),
    'client.contains("c")': (Truth.TRUE, {"client": "abc"}),
    'roles.contains("admin")': (Truth.TRUE, {"roles": ["admin"]}),
    'client == "x"': (Truth.FALSE, {"client": "abc"}),
    'jwt.x == 1': (Truth.ERROR, {"jwt": {"y": 1}}),
}
CASES = [(compile_expression(text), *case) for text, case in TEXTS.items()]
leaked = []

def resident():
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096
    except FileNotFoundError:
        import os
        return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(os.getpid())])) * 1024

def evaluate(rounds, leak):
    for _ in range(rounds):
        for expression, expected, values in CASES:
            if expression.value(activate(values)) is not expected:
                sys.exit(expression.text)
        if leak:
            leaked.append(bytes(leak))

rounds, leak = map(int, sys.argv[1:])
evaluate(rounds // 10, 0)
before = resident()
evaluate(rounds, leak)
print(resident() / before - 1)
"""


def growth(evaluations, leak=0):
    """Give by how much resident memory grew, as a fraction, with `leak` bytes lost for every five evaluations."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(evaluations // 5), str(leak)],
        capture_output=True,
        text=True,
        timeout=4 * DEADLINE,
        check=False,
        cwd=ROOT,
    )

    assert (0, "") == (ended.returncode, ended.stderr)
    return float(ended.stdout)


_STEADY = 0.005
"""What may be noise. Of 200,000 evaluations that lose half a byte each, as much is seen."""


def test_two_hundred_thousand_evaluations_leave_resident_memory_where_it_was():
    assert growth(200_000) < _STEADY


@pytest.mark.parametrize("leak", [100])
def test_the_measurement_sees_a_leak_of_twenty_bytes_an_evaluation(leak):
    assert growth(50_000, leak) > 4 * _STEADY

"""Several processes write records longer than a pipe holds; every line comes out whole."""

import os
import subprocess
import sys

import pytest

from authz.edge.workers.audit_pipe import AuditPipe
from tests.support.waiting import DEADLINE

WRITERS, LINES = 4, 40
LENGTHS = [10, 5_000, 70_000, 200_000]
"""Below and above PIPE_BUF, what one read gives, and what a pipe holds."""
WRITE = """
import os, sys
letter, lengths, lines = sys.argv[1].encode(), eval(sys.argv[2]), int(sys.argv[3])
for number in range(lines):
    data = memoryview(letter * lengths[number % len(lengths)] + b"\\n")
    while data:
        data = data[os.write(1, data):]
os.write(1, letter * int(sys.argv[4]))
"""


class Kept:
    """Takes a few bytes at a time, as a slow pipe would."""

    def __init__(self):
        self.data = bytearray()

    def write(self, data):
        part = bytes(data[:30_000])
        self.data += part
        return len(part)


class Broken:
    def write(self, _):
        raise BrokenPipeError


def written(out, unfinished=0):
    """Let writers write at the same time, each into a pipe of its own; gives how many records were counted as lost."""
    torn, copying, processes = [], [], []
    audit = AuditPipe(out, lambda: torn.append(1))
    for letter in "abcd"[:WRITERS]:
        pipe, output = os.pipe()
        argv = [sys.executable, "-c", WRITE, letter, repr(LENGTHS), str(LINES), str(unfinished)]
        processes.append(subprocess.Popen(argv, stdout=output))
        os.close(output)
        copying.append(audit.copy_from(pipe))
    for thread in copying:
        thread.join(DEADLINE)
    for process in processes:
        assert 0 == process.wait(DEADLINE)
    return len(torn)


@pytest.mark.parametrize(("unfinished", "torn"), [(0, 0), (100, WRITERS), (100_000, WRITERS)])
def test_no_line_is_torn_and_one_that_was_not_finished_is_dropped_and_counted(unfinished, torn):
    out = Kept()
    assert torn == written(out, unfinished)

    lines = bytes(out.data).decode().split("\n")
    assert "" == lines.pop()
    assert WRITERS * LINES == len(lines)
    for letter in "abcd"[:WRITERS]:
        own = [line for line in lines if line[0] == letter]
        assert [letter * LENGTHS[number % len(LENGTHS)] for number in range(LINES)] == own


def test_a_stream_that_takes_nothing_costs_records_that_are_counted_and_ends_nothing():
    assert WRITERS * LINES == written(Broken())

"""Lines on a stream that fails: what was lost is counted, and half a line spoils no other."""

import errno

import pytest

from authz.edge.telemetry.line_writer import LineWriter

A, B, C = b'{"a":1}\n', b'{"b":2}\n', b'{"c":3}\n'


class Disk:
    """Takes as many bytes as there is room for, and then fails."""

    def __init__(self, room):
        self.room, self.written = room, b""

    def write(self, data):
        taken = bytes(data[: self.room])
        if not taken:
            raise OSError(errno.ENOSPC, "no space left on device")
        self.room -= len(taken)
        self.written += taken
        return len(taken)


@pytest.mark.parametrize(
    ("room", "lost", "after"),
    [
        (0, 2, C),
        (3, 2, A[:3] + b"\n" + C),
        (len(A) - 1, 2, A[:-1] + b"\n" + C),
        (len(A), 1, A + C),
        (len(A) + 1, 1, A + B[:1] + b"\n" + C),
        (100, 0, A + B + C),
    ],
)
def test_a_line_after_a_failure_stands_by_itself(room, lost, after):
    disk = Disk(room)
    writer = LineWriter(disk)

    assert lost == writer.write(A + B)
    disk.room = 100
    assert 0 == writer.write(C)
    assert after == disk.written


def test_the_end_of_a_half_written_line_is_not_counted_as_one():
    disk = Disk(3)
    writer = LineWriter(disk)
    writer.write(A)

    assert 2 == writer.write(B + C)
    disk.room = 1
    assert 1 == writer.write(B)
    disk.room = 100
    assert 0 == writer.write(C)
    assert A[:3] + b"\n" + C == disk.written

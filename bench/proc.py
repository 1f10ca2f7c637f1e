"""What the kernel tells about a process: its CPU time and its resident memory. Linux only."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int | str) -> float:
    """Return the CPU seconds, user and system, that a process and its threads have used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_kib(pid: int | str = "self") -> dict[str, int]:
    """Return the memory of a process in KiB: `VmRSS` now, `VmHWM` the most since `reset_peak`."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {key: int(fields[key].split()[0]) for key in ("VmRSS", "VmHWM")}


def reset_peak(pid: int) -> None:
    """Start measuring the peak of a process's memory anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")

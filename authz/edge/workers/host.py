"""What the host lets this process use: cores and open files."""

import os
import resource
from pathlib import Path

OPEN_FILES = 1024
"""Descriptors that one worker wants: 64 connections of each Envoy thread for Checks and as many for lists, of up to four
threads, 256 HTTP clients, and what the process itself has open."""
_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = "max"
_NO_QUOTA = float(1 << 16)


def cores(cgroup: Path = _CGROUP) -> int:
    """Return how many cores this process may keep busy: those it may run on, within its control group's quota."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    allowed = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(allowed, int(_quota(cgroup))))


def _quota(cgroup: Path) -> float:
    """Return the cores that a control group (version 2 or 1) may use; a large number if there is no limit."""
    for quota_file, period_file in (("cpu.max", ""), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            words = (cgroup / quota_file).read_text("ascii").split()
            words += (cgroup / period_file).read_text("ascii").split() if period_file else []
            quota, period = words
            if quota != _UNLIMITED and int(quota) > 0 and int(period) > 0:
                return int(quota) / int(period)
        except (OSError, ValueError):
            continue
    return _NO_QUOTA


def open_files() -> int:
    """Return how many files this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

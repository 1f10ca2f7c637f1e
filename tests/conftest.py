"""Puts the repository's root on the path, so that tests import `tests.support`; takes hypothesis off the clock."""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# A busy machine is slow now and then, which says nothing about the code.
# In CI the examples are the same in every run, so that a failure there can be had again here.
settings.register_profile(
    "mcp-authz",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("mcp-authz")

from tests.support.authorities import share  # noqa: E402 - found on the path as of now

share()

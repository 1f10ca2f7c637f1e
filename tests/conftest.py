"""Puts the repository's root on the path, so that tests import `tests.support`; takes hypothesis off the clock."""

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# A busy machine is slow now and then, which says nothing about the code.
settings.register_profile("mcp-authz", deadline=None)
settings.load_profile("mcp-authz")

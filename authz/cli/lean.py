"""Loads the libraries of a service without what they would draw tables and tracebacks with.

structlog and httpx load rich and pygments wherever these are installed; each does without where they are not. A service
writes JSON and draws nothing, and would hold 8 MB of them. So this module must be the first to import either.
"""

import sys

_HIDDEN = [name for name in ("pygments", "rich") if name not in sys.modules]

sys.modules.update(dict.fromkeys(_HIDDEN))  # type: ignore[arg-type]  # None says that there is no such module
try:
    import httpx  # noqa: F401
    import structlog  # noqa: F401
finally:
    for name in _HIDDEN:
        del sys.modules[name]

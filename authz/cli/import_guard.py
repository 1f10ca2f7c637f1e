"""Loads the libraries of a service without what they load only because it happens to be installed.

structlog and httpx draw with rich and pygments, starlette reads forms with python-multipart; each does without where there
is none. A service writes JSON and reads no form, and would hold 9 MB of them. So this module must be the first to import
these libraries.
"""

import sys

_HIDDEN = [name for name in ("multipart", "pygments", "python_multipart", "rich") if name not in sys.modules]

sys.modules.update(dict.fromkeys(_HIDDEN))  # type: ignore[arg-type]  # None says that there is no such module
try:
    import httpx  # noqa: F401
    import starlette.requests  # noqa: F401
    import structlog  # noqa: F401
finally:
    for name in _HIDDEN:
        del sys.modules[name]

"""Import the service's libraries without their optional dependencies, even if those are installed.

structlog and httpx import rich and pygments for coloured output, and starlette imports python-multipart for forms. A service
writes JSON and reads no form, so these would only cost it 9 MB. This module must be the first to import these libraries.
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

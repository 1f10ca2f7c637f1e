"""A TLS context for clients that need none, since every part of the demo listens on loopback without TLS.

A client that is given none reads the authorities of the whole web when it is made, which takes 30 ms, and a probe makes
one for each try. This context trusts nobody, so an https URL fails.
"""

import ssl
from typing import Literal

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def verification(url: str) -> ssl.SSLContext | Literal[True]:
    """Return what a client of a URL verifies with: nobody without TLS, and with it the authorities that the machine trusts."""
    return True if url.startswith("https:") else NO_TLS

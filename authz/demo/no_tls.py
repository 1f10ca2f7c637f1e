"""A TLS context for clients that need none, since every part of the demo listens on loopback without TLS.

A client that is given none reads the authorities of the whole web when it is made, which takes 30 ms, and a probe makes
one for each try. This context trusts nobody, so an https URL fails.
"""

import ssl

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

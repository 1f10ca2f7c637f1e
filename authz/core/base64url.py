"""Base64url as JOSE writes it (RFC 7515 section 2): one value has one spelling."""

import base64


def unbase64url(text: str) -> bytes | None:
    """Decode base64url as JOSE writes it (RFC 7515 section 2); None for any other spelling of the same bytes.

    Padding, white space, the other alphabet and non-zero trailing bits are refused: one value has one spelling.
    """
    try:
        raw = text.encode("ascii")
        data = base64.urlsafe_b64decode(raw + b"==")
    except ValueError:
        return None
    return data if base64.urlsafe_b64encode(data).rstrip(b"=") == raw else None

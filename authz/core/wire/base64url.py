"""Base64url as JOSE writes it (RFC 7515 section 2): one value has one spelling."""

import binascii

_TO_STANDARD, _FROM_STANDARD = bytes.maketrans(b"-_", b"+/"), bytes.maketrans(b"+/", b"-_")


def unbase64url(text: str) -> bytes | None:
    """Decode base64url as JOSE writes it (RFC 7515 section 2); None for any other spelling of the same bytes.

    Padding, white space, the other alphabet and non-zero trailing bits are refused: one value has one spelling.
    """
    try:
        raw = text.encode("ascii")
        data = binascii.a2b_base64(raw.translate(_TO_STANDARD) + b"==")
    except ValueError:
        return None
    spelled = binascii.b2a_base64(data, newline=False).translate(_FROM_STANDARD).rstrip(b"=")
    return data if spelled == raw else None

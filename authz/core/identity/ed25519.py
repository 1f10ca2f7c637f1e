"""Which Ed25519 public keys can be somebody's (RFC 8032).

OpenSSL takes any 32 bytes. For a point whose order divides the cofactor 8, signatures can be made up without a private
key, some of them for every message. A key that is generated is never one of these.
"""

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_SIGN = 1 << 255


def is_low_order(encoded: bytes) -> bool:
    """Return whether a point's order divides 8, in any of its encodings.

    The order is 1, 2 or 4 where y is 1, -1 or 0. It is 8 where twice the point has y = 0, which means -x² = y², and
    that turns the curve's equation -x² + y² = 1 + dx²y² into dy⁴ + 2y² = 1.

    Args:
        encoded: 32 bytes; y may be above the field's prime.
    """
    y = _y(encoded) % _P
    square = y * y % _P
    return y * (square - 1) * (_D * square * square + 2 * square - 1) % _P == 0


def is_canonical_point(encoded: bytes) -> bool:
    """Return whether 32 bytes are the one encoding of a point on the curve (RFC 8032 section 5.1.3)."""
    y = _y(encoded)
    if y >= _P:
        return False
    x_square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    return x_square != 0 and pow(x_square, (_P - 1) // 2, _P) == 1


def _y(encoded: bytes) -> int:
    return int.from_bytes(encoded, "little") & ~_SIGN

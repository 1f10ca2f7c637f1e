"""Which preflights may name header patterns such as `mcp-param-*`.

Rules of this module:

* In `Access-Control-Allow-Headers` there are no patterns (Fetch 3.2.3): a name is listed in full, or it is refused. Envoy
  can repeat what a preflight asks for, but only all of it. So a preflight that asks for nothing but allowed names and
  patterns has a route of its own, on which Envoy repeats it; every other preflight gets the fixed list.
* Envoy compiles an expression of up to 100 of RE2's instructions. So there is one expression for each first letter of the
  allowed names: it checks the names with that letter and passes over all others, and all must match. The last one says
  which first letters there are.
* Browsers send the names in lower case, joined with "," (Fetch 4.8).
"""

import re
from collections.abc import Iterable
from itertools import groupby

PATTERN = "*"
_REST = r"[!-+\--~]"
"""A character of a name: visible ASCII but the comma."""
_EACH = "(?:(?:{name})(?:, ?|$))+"
_special = re.compile(r"[.+^$|]")
"""What stands for something else in an expression, of the characters of names."""
_MAX_CHARS = 70
"""Most characters of the names with one first letter; RE2 needs about one instruction for each, and some to repeat."""


def expressions(names: Iterable[str]) -> tuple[str, ...]:
    """Return the expressions that a preflight's `Access-Control-Request-Headers` must all match as a whole.

    Args:
        names: allowed names in lower case; a `*` at the end stands for any further characters.

    Raises:
        ValueError: the names with one first letter are too long together.
    """
    groups = {first: list(group) for first, group in groupby(sorted(set(names)), key=lambda name: name[0])}
    for first, group in groups.items():
        if sum(map(len, group)) > _MAX_CHARS:
            msg = f"cors: the request headers that begin with {first} have more than {_MAX_CHARS} characters; use a pattern"
            raise ValueError(msg)
    return (*(_letter(first, group) for first, group in groups.items()), _first_letters(groups))


def _letter(first: str, names: Iterable[str]) -> str:
    rests = "|".join(_rest(name[1:]) for name in names)
    letter = re.escape(first)
    return _EACH.format(name=f"{letter}(?:{rests})|[^{letter},]{_REST}*")


def _rest(name: str) -> str:
    literal = _special.sub(r"\\\g<0>", name.removesuffix(PATTERN))
    return f"{literal}{_REST}+" if name.endswith(PATTERN) else literal


def _first_letters(letters: Iterable[str]) -> str:
    return _EACH.format(name=f"[{''.join(map(re.escape, letters))}]{_REST}*")

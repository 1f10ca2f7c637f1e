"""Checks of a single field, which are most of them: what its value must satisfy."""

from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus

from authz.doctor.expected import right
from authz.doctor.model import CheckCase, Find, Hit
from authz.doctor.node import Node
from authz.doctor.parts import PARTS
from authz.doctor.string_matcher import full_match

SHORTEST_SILENCE = 60.0
"""Seconds; MCP servers keep silent streams alive every 15 seconds or so."""
_NO_FAILURE = frozenset(
    status.name.replace("_", "") for status in HTTPStatus if status < HTTPStatus.BAD_REQUEST
)
_SLASHES = (
    "IMPLEMENTATION_SPECIFIC_DEFAULT KEEP_UNCHANGED REJECT_REQUEST UNESCAPE_AND_REDIRECT UNESCAPE_AND_FORWARD"
)
_UNDERSCORES = "ALLOW REJECT_REQUEST DROP_HEADER"


def field_check(field: str, must_be: str | bool, fix: str) -> Find:
    """Return what finds a wrong value of a field.

    Args:
        field: the part and the field's name in it, dotted.
        must_be: the name of the test that its value must pass; an absent value is tested, too.
        fix: what closes it: `put` the renderer's value, `remove` the field, or a `person`.
    """
    part, *names = field.split(".")
    where, good, close = PARTS[part], TESTS[must_be], _FIXES[fix]

    def find(case: CheckCase) -> Iterator[Hit]:
        for message, suffix in where(case):
            node = message.at(*names)
            if not good(node):
                yield close(node, field, f"{names[-1]} {node.shown()}{suffix}".rstrip())

    return find


_FIXES: Mapping[str, Callable[[Node, str, str], Hit]] = {
    "put": lambda node, field, detail: Hit.put(node, right(field), detail),
    "remove": lambda node, _, detail: Hit.drop(node, detail),
    "person": lambda node, _, detail: Hit(node, detail),
}


def present(node: Node) -> bool:
    """Whether anything is there; an empty mapping is nothing."""
    return bool(node.value)


def _is_failure(status: Node) -> bool:
    """Whether clients take an HttpStatus for a failure; absent, it is 403."""
    code = status.at("code")
    number = code.number
    return number >= HTTPStatus.BAD_REQUEST if number is not None else code.text.upper() not in _NO_FAILURE


def _wide_enough(rules: Node) -> bool:
    """Whether rules limit the response headers that may change, and let the service bind a new session."""
    allowed = rules.at("allow_expression", "regex").text
    return present(rules) and (not rules.at("disallow_all").flag or full_match(allowed, "mcp-session-id"))


def _always(enabled: Node) -> bool:
    """Whether a runtime fraction is absent, or always all of the requests."""
    value = enabled.at("default_value")
    full = {"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}
    whole = value.at("numerator").number == full.get(value.at("denominator").enum(*full))
    return not enabled.present or (whole and not enabled.at("runtime_key").text)


def is_local(address: str) -> bool:
    """Whether only this machine can reach an address."""
    return address.startswith("127.") or address in {"::1", "localhost"}


TESTS: Mapping[str | bool, Callable[[Node], bool]] = {
    True: lambda node: node.flag,
    False: lambda node: not node.flag,
    "present": present,
    "absent": lambda node: not node.present,
    "a failure": _is_failure,
    "wide enough": _wide_enough,
    "always on": _always,
    "a local address": lambda node: not node.present or is_local(node.text),
    "limited": lambda node: bool(node.seconds),
    "unlimited": lambda node: not node.seconds,
    "zero": lambda node: node.seconds == 0,
    "zero percent": lambda node: node.present and not node.at("value").number,
    "a minute or more": lambda node: not node.present or (node.seconds or 0) >= SHORTEST_SILENCE,
    "without escaped slashes": lambda node: node.enum(*_SLASHES.split()) in _SLASHES.split()[2:],
    "with underscores": lambda node: not node.present or node.enum(*_UNDERSCORES.split()) == "ALLOW",
}

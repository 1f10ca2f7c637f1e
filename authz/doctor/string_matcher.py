"""Envoy's StringMatcher, as far as it can be evaluated here."""

import re
from collections.abc import Callable, Mapping

from authz.doctor.node import Node


def any_matches(listed: Node, text: str) -> bool:
    """Whether one of the `patterns` of a ListStringMatcher matches a text."""
    return any(matches(pattern, text) for pattern in listed.at("patterns").items())


def matches(pattern: Node, text: str) -> bool:
    """Whether a StringMatcher matches a text; one that is not understood does not."""
    fold = pattern.at("ignore_case").flag
    text = text.lower() if fold else text
    for name, test in _TESTS.items():
        wanted = pattern.at(name)
        if wanted.present:
            return bool(test(text, wanted.text.lower() if fold else wanted.text))
    return full_match(pattern.at("safe_regex", "regex").text, text)


def full_match(regex: str, text: str) -> bool:
    """Whether a regular expression of RE2 matches the whole text; one that Python cannot read does not."""
    try:
        return bool(regex) and re.fullmatch(regex, text) is not None
    except (re.error, OverflowError, RecursionError):
        return False


_TESTS: Mapping[str, Callable[[str, str], object]] = {
    "exact": str.__eq__,
    "prefix": str.startswith,
    "suffix": str.endswith,
    "contains": str.__contains__,
}

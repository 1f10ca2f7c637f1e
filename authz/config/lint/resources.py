"""Finds names of resources that guard less than they seem to.

* A name that is not a canonical URI selects no resource: every request in that spelling is refused (see
  `authz/core/mcp/uri.py`).
* An expression compares the text of a URI and not its reading. A deny that holds for some URIs by its expression does
  not hold for another spelling.
* A deny beside a wider allow is a list of what is bad. A server that reads one more spelling than is known here serves
  what the deny names; where only what may be read is allowed, there is nothing to get past.
"""

from collections.abc import Iterator, Sequence

from authz.config.lint.hiding import names, overlap
from authz.config.yaml_document import Path
from authz.core.mcp import uri
from authz.core.mcp.item import Kind
from authz.core.policy.rule import Effect, Pattern, Rule

_PLACEHOLDER = "NAME"
_BEFORE_PATH = 3
"""Parts of a URI before its path, when it is cut at every slash: scheme, nothing, authority."""


def resource_findings(rules: Sequence[Rule]) -> Iterator[tuple[Path, str, str]]:
    """Yield what is doubtful about the resources that the rules of a server name.

    Yields:
        The key below the rules, the finding, and the cure.
    """
    applied = [(index, rule) for index, rule in enumerate(rules) if not rule.shadow]
    wide = [
        (rule, pattern)
        for _, rule in applied
        if rule.effect is Effect.ALLOW
        for pattern in rule.selector.patterns.get(Kind.RESOURCE, ())
    ]
    for index, rule in applied:
        place: Path = (index, str(rule.effect), "resources")
        for name in names(rule, Kind.RESOURCE):
            if uri.reading(name.replace("*", "x")) is None:
                yield place, f"{name} is not a canonical URI, so no resource has this name", _spelling(name)
        if rule.effect is Effect.DENY:
            yield from ((place, message, cure) for message, cure in _beside(rule, wide))
            yield from (((index, key), _TEXT, _BY_NAME) for key in _comparing(rule))


_TEXT = "compares mcp.resource as text, so another spelling of the URI gets past it"
_BY_NAME = "name the resources in the deny; names are compared in every reading"


def _comparing(rule: Rule) -> Iterator[str]:
    """Yield the conditions of a rule that read a resource's URI."""
    for key, condition in (("when", rule.when), ("args", rule.args)):
        if condition is not None and "mcp.resource" in condition.text:
            yield key


def _spelling(name: str) -> str:
    better = uri.canonical(name)
    if uri.reading(better.replace("*", "x")) is None:
        return "leave out dot segments, backslashes, escaped separators and what is not UTF-8"
    return f"write {better}"


def _beside(deny: Rule, wide: Sequence[tuple[Rule, Pattern]]) -> Iterator[tuple[str, str]]:
    """Yield at most one finding: the first wider allow beside a deny.

    Args:
        deny: the deny.
        wide: every pattern of resources of an allow; most files have few, and rules about tools cost nothing here.
    """
    denied = [name for name in names(deny, Kind.RESOURCE) if name != "*"]
    found = ((allow, pattern, name) for allow, pattern in (wide if denied else ()) for name in denied)
    for allow, pattern, name in found:
        if overlap(pattern, name):
            message = (
                f"denies {name} beside the wider {'*'.join(pattern.parts)} of {allow.name}, "
                "so a spelling that only the server knows gets past it"
            )
            only = f'allow: {{resources: ["{_allow_only(name)}"]}}'
            yield message, f"allow only what may be read: {only} for each {_PLACEHOLDER}, without a deny"
            return


def _allow_only(name: str) -> str:
    """Return the form of a name in an allow, with a placeholder where the deny says what is forbidden."""
    parts = name.split("/")
    literal = [
        place for place, part in enumerate(parts) if place >= _BEFORE_PATH and part and "*" not in part
    ]
    place = literal[-1] if literal else len(parts) - 1
    return "/".join([*parts[:place], _PLACEHOLDER, *parts[place + 1 :]])

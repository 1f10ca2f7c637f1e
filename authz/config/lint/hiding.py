"""Finds denials that would show which names are hidden.

A hidden name is answered as one that no rule knows. A rule that does not hide and selects both by `*` denies the unknown
one with its own reason. An allow without conditions denies nobody, and for the names that it lets through the server
answers.
"""

from collections.abc import Iterator, Sequence

from authz.config.yaml_document import Path
from authz.core.mcp.item import Kind
from authz.core.policy.condition import ALLOW_ORDER, conditions
from authz.core.policy.rule import Effect, Pattern, Rule


def betrayals(rules: Sequence[Rule], *, server_hides: bool) -> Iterator[tuple[Path, str, str]]:
    """Yield the rules of a server whose visible denials show which names other rules hide.

    Args:
        rules: the rules in the file's order.
        server_hides: the server's own setting.

    Yields:
        The key below the rules, the finding, and the cure.
    """
    applied = [(index, rule) for index, rule in enumerate(rules) if not rule.shadow]
    hiding = [rule for _, rule in applied if _hides(rule, server_hides)]
    for index, rule in applied:
        if _hides(rule, server_hides) or not _denies_visibly(rule):
            continue
        other = next((other for other in hiding if _share_names(rule, other)), None)
        if other is not None:
            message = f"shows which names {other.name} hides: what it denies of other names is not hidden"
            yield (index,), message, "set hide to true here too, or let the two select different names"


def _hides(rule: Rule, server_hides: bool) -> bool:
    return server_hides if rule.hide is None else rule.hide


def _denies_visibly(rule: Rule) -> bool:
    """Return whether a rule can be the reason of a denial of a name that it does not spell out."""
    return any(rule.selector.patterns.values()) and (
        rule.effect is Effect.DENY or bool(conditions(rule, ALLOW_ORDER))
    )


def _share_names(rule: Rule, other: Rule) -> bool:
    return any(
        overlap(pattern, name)
        for kind in Kind
        for pattern in rule.selector.patterns.get(kind, ())
        for name in names(other, kind)
    )


def names(rule: Rule, kind: Kind) -> list[str]:
    """Return the names of a kind that a rule selects, as they were written."""
    patterns = ("*".join(pattern.parts) for pattern in rule.selector.patterns.get(kind, ()))
    return [*sorted(rule.selector.exact.get(kind, ())), *patterns]


def overlap(pattern: Pattern, name: str) -> bool:
    """Return whether a pattern and a name or pattern can match the same name, by their beginnings and ends."""
    if "*" not in name:
        return pattern.matches(name)
    head, *_, tail = name.split("*")
    own_head, own_tail = pattern.parts[0], pattern.parts[-1]
    heads, tails = sorted((head, own_head), key=len), sorted((tail, own_tail), key=len)
    return heads[1].startswith(heads[0]) and tails[1].endswith(tails[0])

"""Find names, origins and headers that can never match, because they are written in another language.

In a rule's names `*` alone stands for any text. A browser sends an origin of scheme, host and port. Headers have
lower-case names. What is written as a regular expression, as a URL or as a glob is valid and matches nothing.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from urllib.parse import urlsplit

from authz.config.lint.hiding import names
from authz.config.yaml_document import Path
from authz.core.mcp.item import Kind
from authz.core.policy.rule import Effect, Rule
from authz.core.servers import ANY

_EVERY_TEXT = re.compile(r"[.][*+]")
_FOREIGN = re.compile(r"[\^\[\]?\\$(){}|+,]|^\s|\s$")
_OF_PATTERNS = "names know * alone, and take every other character as it is"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def name_findings(rules: Sequence[Rule]) -> Iterator[tuple[Path, str, str]]:
    """Yield the names of rules that are written as regular expressions or in another way that matches nothing.

    Yields:
        The key below the rules, the finding, and the cure.
    """
    spelled = {name for rule in rules for listed in rule.selector.exact.values() for name in listed}
    for index, rule in enumerate(rules):
        effect = Effect.DENY if rule.effect is Effect.DENY else Effect.ALLOW
        for kind in Kind:
            for name in names(rule, kind):
                found = _foreign(name, kind, spelled)
                if found:
                    yield (
                        (index, str(effect), f"{kind}s"),
                        f"{name} holds {found}, {_OF_PATTERNS}",
                        _plain(name),
                    )


def _foreign(name: str, kind: Kind, spelled: Collection[str]) -> str:
    """Return what of a name belongs to another language, empty for nothing."""
    if kind is Kind.RESOURCE:
        # A URI may have a query and brackets; what it may not have is reported where URIs are read.
        return "^" if name.startswith("^") else "$" if name.endswith("$") else ""
    found = _FOREIGN.search(name.replace(".+", ""))
    if found is not None:
        return "white space at an end" if found[0].isspace() else found[0]
    every = _EVERY_TEXT.search(name)
    if every is None:
        return ""
    # A dot may part a namespace from a name, as in fs.*; then some name of that namespace is probably written out.
    namespace = name[: every.start() + 1]
    is_namespace = (
        every.start() > 0 and every[0] == ".*" and any(each.startswith(namespace) for each in spelled)
    )
    return "" if is_namespace else every[0]


def _plain(name: str) -> str:
    """Return the cure: the name without the signs of a regular expression, if that is a name."""
    plain = name.strip().removeprefix("^").removesuffix("$").replace("\\.", ".")
    plain = _EVERY_TEXT.sub("*", plain)
    if plain != name and not _FOREIGN.search(plain):
        return f"write {plain}"
    return "write each name as an item of its own, or * for any text"


def origin_findings(origins: Iterable[str]) -> Iterator[tuple[int, str, str]]:
    """Yield the origins that no browser sends.

    Yields:
        The index, the finding, and the cure.
    """
    for index, origin in enumerate(origins):
        if origin not in {ANY, "null"}:
            better = _as_sent(origin)
            if better != origin.lower():
                says = f"no browser sends the origin {origin}, and origins are compared whole"
                yield (
                    index,
                    says,
                    f"write {better}" if better else "write each as scheme://host:port, or * for any",
                )


def _as_sent(origin: str) -> str:
    """Return an origin as a browser sends it, empty if that cannot be told."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return ""
    host = parts.hostname or ""
    if not parts.scheme or not host or "*" in origin or not host.isascii():
        return ""
    if parts.scheme not in _DEFAULT_PORTS:
        return origin.lower()  # an application's own scheme
    host = f"[{host}]" if ":" in host else host
    is_default = port is None or port == _DEFAULT_PORTS[parts.scheme]
    return f"{parts.scheme}://{host}" if is_default else f"{parts.scheme}://{host}:{port}"

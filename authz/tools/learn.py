"""Recorded decisions and the policy that made them -> the smallest rules of that policy that allow what was recorded.

Rules of this module:

* A record names the rule that allowed, and so the scopes, roles and conditions that were asked. Each rule of the policy is
  kept with the names that were used through it, and no others; its conditions stay as they are.
* Rules with the same conditions become one. Denies stay as they are: they never allow.
* A rule through which nothing was used is left out, and named; so are the names that a rule gives in full and nobody used.
* The file is changed and not rebuilt: variables, issuers, tests and every other value stay; comments are lost.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from authz.core.mcp.item import Kind
from authz.tools.audit_reader import Record
from authz.tools.draft import literal

_KEYS = {Kind.TOOL: "tools", Kind.PROMPT: "prompts", Kind.RESOURCE: "resources", Kind.TASK: "tasks"}
_CUT = "…"


@dataclass(slots=True)
class Learned:
    """A policy's tree with smaller rules, and what was found on the way.

    Attributes:
        tree: the file's values.
        allows: how many records of an allow are covered.
        uncovered: records of an allow that no rule of the file explains, by server and rule.
        unused: rules through which nothing was used, as server and rule.
        unused_names: names that rules give in full and nobody used, as server, rule and name.
    """

    tree: dict[str, Any]
    allows: int = 0
    uncovered: list[tuple[str, str]] = field(default_factory=list)
    unused: list[tuple[str, str]] = field(default_factory=list)
    unused_names: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Use:
    names: dict[str, set[str]] = field(default_factory=dict)

    def add(self, kind: Kind, name: str) -> None:
        self.names.setdefault(_KEYS[kind], set()).add(name)


def learn(tree: Mapping[str, Any], records: Iterable[Record]) -> Learned:
    """Return a policy with the rules that the records need.

    Args:
        tree: the values of a native policy file, variables unreplaced.
        records: what was decided under it.
    """
    learned = Learned(dict(tree))
    used = _used(records, learned)
    servers = {}
    for name, server in tree.get("servers", {}).items():
        servers[name] = {**server, "rules": _rules(name, server, used, learned)}
    learned.tree["servers"] = servers
    known = {
        (name, _name(index, rule))
        for name, server in tree["servers"].items()
        for index, rule in enumerate(server.get("rules", []))
    }
    learned.uncovered = sorted(place for place in used if place not in known)
    return learned


def _used(records: Iterable[Record], learned: Learned) -> dict[tuple[str, str], _Use]:
    used: dict[tuple[str, str], _Use] = {}
    for record in records:
        kind = next((kind for kind in Kind if getattr(record, kind.value)), None)
        if record.decision != "allow" or kind is None:
            continue
        learned.allows += 1
        used.setdefault((record.server, record.rule), _Use()).add(kind, getattr(record, kind.value))
    return used


def _name(index: int, rule: Mapping[str, Any]) -> str:
    return str(rule.get("name") or f"rule-{index + 1}")


def _rules(
    server: str, model: Mapping[str, Any], used: Mapping[tuple[str, str], _Use], learned: Learned
) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for index, rule in enumerate(model.get("rules", [])):
        name = _name(index, rule)
        if "allow" not in rule or rule.get("shadow"):
            kept.append({**rule, "name": name})
            continue
        use = used.get((server, name))
        if use is None:
            learned.unused.append((server, name))
            continue
        _note_unused(server, name, _in_full(rule["allow"], learned.tree.get("define")), use, learned)
        _add(kept, {**rule, "name": name, "allow": _selection(rule["allow"], use)})
    return kept


def _in_full(selected: Mapping[str, Any], defined: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a selection with the lists that `define` names in the place of their names."""
    lists = {name: value for name, value in (defined or {}).items() if isinstance(value, list)}
    return {
        key: lists.get(names, names) if isinstance(names, str) else names for key, names in selected.items()
    }


def _selection(selected: Mapping[str, Any], use: _Use) -> dict[str, list[str]]:
    """Return the names that were used; of a name that a record cut, what the rule had."""
    chosen: dict[str, list[str]] = {}
    for key, names in use.names.items():
        cut = any(name.endswith(_CUT) for name in names)
        given = selected.get(key)
        chosen[key] = list(given) if cut and isinstance(given, list) else sorted(map(literal, names))
    return chosen


def _add(kept: list[dict[str, Any]], rule: dict[str, Any]) -> None:
    """Add a rule, or its names to one that asks the same."""
    for other in kept:
        if "allow" in other and _asked(other) == _asked(rule):
            for key, names in rule["allow"].items():
                other["allow"][key] = sorted({*other["allow"].get(key, ()), *names})
            return
    kept.append(rule)


def _asked(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in rule.items() if key not in {"name", "allow"}}


def _note_unused(server: str, rule: str, selected: Mapping[str, Any], use: _Use, learned: Learned) -> None:
    for key, names in selected.items():
        given = names if isinstance(names, list) else []
        learned.unused_names += [
            (server, rule, name) for name in given if "*" not in name and name not in use.names.get(key, ())
        ]

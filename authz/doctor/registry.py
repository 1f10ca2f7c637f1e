"""All checks: the rows of `catalog.yaml`, each joined with the function that looks for it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

from authz.doctor.checks import (
    clusters,
    connection_manager,
    denials,
    exemptions,
    ext_authz,
    ext_proc,
    file,
    filter_order,
    front,
    routes,
    server_answers,
    streams,
    unjudged,
)
from authz.doctor.data import load_data
from authz.doctor.expected import paste
from authz.doctor.field_checks import field_check
from authz.doctor.model import Check, CheckCase, Find, Hit, Severity
from authz.doctor.parts import serves_others

_MODULES = (
    ext_authz,
    ext_proc,
    unjudged,
    server_answers,
    filter_order,
    front,
    denials,
    routes,
    exemptions,
    streams,
    connection_manager,
    clusters,
    file,
)
FINDERS: Mapping[str, Find] = {id_: find for module in _MODULES for id_, find in module.CHECKS.items()}


def _check(id_: str, row: Mapping[str, Any]) -> Check:
    fields = [row["field"]] if isinstance(row.get("field"), str) else row.get("field", [])
    finders = [field_check(field, row["must_be"], row.get("fix", "put")) for field in fields]
    found = _careful if row.get("judges_more") else _as_found
    cure = row.get("cure", "".join(f"${field}\n" for field in fields))
    return Check(
        id=id_,
        severity=Severity(row["severity"]),
        what=row["what"],
        risk=row["risk"],
        cure=re.sub(r"^\$([a-z0-9_.]+)\n", lambda found: paste(found[1]), cure, flags=re.MULTILINE),
        find=lambda case: found(case, chain.from_iterable(find(case) for find in finders or [FINDERS[id_]])),
    )


def _as_found(_: CheckCase, hits: Iterator[Hit]) -> Iterator[Hit]:
    return hits


def _careful(case: CheckCase, hits: Iterator[Hit]) -> Iterator[Hit]:
    """Leave it to a person to have everything judged, where routes of other work would be denied then."""
    return (replace(hit, edits=()) for hit in hits) if serves_others(case) else hits


TOPICS: Mapping[str, tuple[Check, ...]] = {
    topic: tuple(_check(id_, row) for id_, row in rows.items())
    for topic, rows in load_data("catalog.yaml").items()
}
"""Checks by topic, in the order of the documentation."""
ALL: tuple[Check, ...] = tuple(check for checks in TOPICS.values() for check in checks)

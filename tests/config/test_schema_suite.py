"""A call's arguments against locked schemas, for every case of the official JSON Schema test suite in both drafts.

Each schema goes the way that a tool's goes: written into a lock file, read again, compiled; and the arguments are read by
the strict reader. An answer that is laxer than the suite's is a defect. Stricter ones are all named here.
"""

import pytest

from authz.config.lock_file import LockFile, parse_lock
from authz.config.lock_schema import LockedSchema, SchemaError
from authz.core.mcp.definition import marked
from authz.core.mcp.item import ListName
from authz.tools.catalogue import Catalogue
from authz.tools.lock.document import locked_items, render_lock
from tests.support.schema_suite import as_read, suite_or_skip

STRICTER = {
    "format": "formats are checked, where 2020-12 lets a validator take them for a remark",
    "optional/bignum": "a number that a double does not hold exactly fits nothing: the server may read another one",
}
"""Files with cases that the suite calls valid and that are refused, with the reason."""
AT_LOAD = {
    "an $id below the root": "a resource of its own changes what pointers mean, and so how much work there is",
    "leads out of the schema": "nothing is fetched, and no other schema is at hand, not even the drafts' own",
    "not held exactly by a double": "a bound that two readers could take for two bounds",
    "Unknown meta-schema": "a dialect of somebody's own is not known",
}
"""Why a schema is refused when it is loaded."""
REFUSED = {
    "anchor", "defs", "definitions", "dynamicRef", "ref", "refRemote", "vocabulary", "unevaluatedItems",
    "unevaluatedProperties", "optional/cross-draft", "optional/dynamicRef", "optional/format-assertion",
    "optional/id", "optional/unknownKeyword", "optional/bignum",
}  # fmt: skip
"""The files in which such schemas stand."""


@pytest.fixture(scope="module")
def groups():
    return suite_or_skip()


@pytest.fixture(scope="module")
def locked(groups):
    """The schemas, compiled from a lock file; for those that are refused at load, the text of the refusal."""
    tools = [
        {"name": str(number), "inputSchema": marked(as_read(group.schema))}
        for number, group in enumerate(groups)
    ]
    items = locked_items([Catalogue("modern", {ListName.TOOLS: tools})])
    text = render_lock(LockFile(server="http://127.0.0.1/mcp", made={}, items=items))
    schemas = {
        int(item.name): item.definition["inputSchema"] for item in parse_lock(text, "tools.lock").items
    }
    return [compiled(schemas[number]) for number in range(len(groups))]


def compiled(schema, **more):
    try:
        return LockedSchema(schema, **more)
    except SchemaError as error:
        return str(error)


def answers(groups, locked):
    """Yield each case: the group, what the case is about, what the suite says, and whether the arguments fit."""
    for group, schema in zip(groups, locked, strict=True):
        for arguments, valid, about in group.cases if isinstance(schema, LockedSchema) else ():
            yield group, about, valid, schema.misfit(as_read(arguments)) is None


def test_no_arguments_fit_that_the_suite_calls_invalid(groups, locked):
    found = list(answers(groups, locked))
    laxer = [
        (group.draft, group.file, group.about, about) for group, about, valid, fits in found if fits > valid
    ]

    assert [] == laxer
    assert {"draft2020-12", "draft7"} == {group.draft for group, *_ in found}
    assert len(found) > 3000


def test_arguments_that_the_suite_calls_valid_are_refused_only_where_a_reason_is_named(groups, locked):
    stricter = {group.file for group, _, valid, fits in answers(groups, locked) if fits < valid}

    assert set(STRICTER) == stricter


def test_a_schema_is_refused_at_load_only_for_a_reason_that_is_named(groups, locked):
    refused = [(group, text) for group, text in zip(groups, locked, strict=True) if isinstance(text, str)]

    assert REFUSED == {group.file for group, _ in refused}
    assert [] == [text for _, text in refused if not any(reason in text for reason in AT_LOAD)]


def test_extra_deny_refuses_no_schema_that_is_used_without_it_but_for_what_its_names_cannot_be_told(
    groups, locked
):
    closed = [
        compiled(group.schema, extra=False)
        for group, schema in zip(groups, locked, strict=True)
        if isinstance(schema, LockedSchema)
    ]
    refused = [text for text in closed if isinstance(text, str)]

    assert [] == [text for text in refused if "with extra: deny" not in text]
    assert len(refused) < len(closed) / 20

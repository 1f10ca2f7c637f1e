"""What a server lists: what the caller may use, or also what only a missing scope keeps from it."""

import pytest

from authz.core.mcp.item import Item, Kind
from authz.core.policy.policy import Verdict
from authz.core.reasons import TABLE, Group, Reason
from authz.core.response.filter_result import Trimmed, Withheld
from authz.core.response.list_filter import trim
from tests.support.core import rule, server, tool

POLICY = [reason for reason, row in TABLE.items() if row.group is Group.POLICY]
SCOPED = rule("allow", "x", scopes=("a",))


@pytest.mark.parametrize("reason", POLICY)
def test_by_default_only_what_is_allowed_is_listed(reason):
    assert (reason is Reason.ALLOWED) is server().lists_item(tool("x"), Verdict(reason, SCOPED))


@pytest.mark.parametrize("reason", POLICY)
def test_a_server_that_lists_what_is_reachable_adds_what_lacks_only_a_scope(reason):
    listed = server(reachable=True).lists_item(tool("x"), Verdict(reason, SCOPED))

    assert (reason in {Reason.ALLOWED, Reason.MISSING_SCOPE}) is listed


@pytest.mark.parametrize(
    ("on_server", "on_rule", "listed"),
    [(False, None, True), (True, None, False), (True, False, True), (False, True, False)],
)
def test_what_looks_unknown_when_it_is_called_is_not_listed(on_server, on_rule, listed):
    hidden = rule("allow", "x", scopes=("a",), hide=on_rule)
    target = server(reachable=True, hide=on_server)

    assert listed is target.lists_item(tool("x"), Verdict(Reason.MISSING_SCOPE, hidden))


@pytest.mark.parametrize(("kind", "listed"), [(kind, kind is not Kind.TASK) for kind in Kind])
def test_a_task_is_listed_only_to_who_may_use_it(kind, listed):
    verdict = Verdict(Reason.MISSING_SCOPE, SCOPED)

    assert listed is server(reachable=True).lists_item(Item(kind, "x"), verdict)


def test_a_notification_is_only_about_what_its_reader_may_use_whatever_is_listed():
    listed, usable = (lambda _item: True), (lambda _item: False)
    news = b'{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x"}}'
    entries = b'{"jsonrpc":"2.0","id":1,"result":{"resources":[{"uri":"x"}]}}'

    assert Withheld() == trim(news, listed, usable=usable, ttl_ms=None)
    assert entries == trim(entries, listed, usable=usable, ttl_ms=None).document
    assert isinstance(trim(entries, listed, usable=usable, ttl_ms=None), Trimmed)

"""A row of the demo's table, and how an HTTP answer becomes the text of a cell."""

import httpx
import pytest

from authz.demo.scenarios.result import ScenarioRow, join, outcome


@pytest.mark.parametrize(("seen", "held"), [("200", True), ("503", False), ("", False)])
def test_a_row_holds_if_what_was_seen_is_what_was_expected(seen, held):
    assert held == ScenarioRow("claim", "200", seen).held


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (httpx.Response(200, json={"result": {}}), "200"),
        (httpx.Response(401, json={"error": {"data": {"reason": "missing_token"}}}), "401 missing_token"),
        (httpx.Response(503), "503"),
        (httpx.Response(502, text="<html>"), "502"),
        (httpx.Response(403, json={"error": "forbidden"}), "403"),
        (httpx.Response(200, json=[]), "200"),
    ],
)
def test_an_answer_is_shown_by_its_status_and_the_reason_of_its_denial(answer, text):
    assert text == outcome(answer)


def test_names_are_shown_in_their_order():
    assert "echo, list_files" == join(["echo", "list_files"])

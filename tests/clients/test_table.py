"""The table of clients: what makes a cell right, and that its rows and docs name the same versions."""

import pytest

from tests.clients.cells import CELLS
from tests.clients.expected import AGAIN, EVERYWHERE, ON
from tests.clients.rows import ROWS
from tests.clients.table import Judged, Played, as_json, details, expected_of, table
from tests.support.installed import ROOT

RIGHT = Judged(["refused: access denied", ON], ("refused: .*", ON))


@pytest.mark.parametrize(
    ("told", "followed"),
    [
        (["result: deleted", ON], ()),
        (["refused: access denied"], ()),
        (["refused: access denied", "ended: dead", AGAIN], ()),
        (["refused: access denied", ON], ["/elsewhere"]),
    ],
    ids=["another line", "a line less", "a line more", "who followed the server behind"],
)
def test_a_cell_is_wrong_by(told, followed):
    cell = Judged(told, RIGHT.expected, followed)

    assert not cell.right
    assert "NO" == cell.mark


def test_a_cell_that_goes_on_with_a_new_connection_is_marked():
    assert "ok" == RIGHT.mark
    assert "ok*" == Judged(["ended: dead", AGAIN], ("ended: .*", AGAIN)).mark


def test_a_client_that_is_not_here_is_not_wrong_and_one_whose_driver_failed_is():
    assert Played(missing="there is no go").right
    assert not Played(wrong="its driver failed").right
    assert not Played(cells={"denied": Judged([], (ON,))}).right


def test_the_table_fits_a_terminal_and_says_why_a_client_is_missing():
    cells = dict.fromkeys(CELLS, RIGHT)
    played = {"python-1": Played("2025-11-25", cells), "go-legacy": Played(missing="there is no go")}

    assert 80 >= max(map(len, table(played).splitlines()))
    assert "go-legacy: skipped, there is no go" == details("go-legacy", played["go-legacy"], everything=False)
    assert as_json(played)["python-1"]["cells"]["denied"]["right"]


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_row_names_the_version_of_its_lock_file(row):
    assert row.package in (ROOT / row.lock).read_text("utf-8")


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_every_cell_of_a_client_ends_by_going_on(row):
    assert {*CELLS} == {*EVERYWHERE}
    assert {*row.expected} <= {*CELLS}
    assert {ON, AGAIN} >= {expected_of(row, cell)[-1] for cell in CELLS}

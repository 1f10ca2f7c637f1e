import pytest

from authz.tools.terminal import plain, table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("list_files", "list_files"),
        ('say "hi"', 'say "hi"'),
        ("\x1b[2J", "\\u001b[2J"),
        ("a\nb", "a\\nb"),
        ("\u202egnp", "\\u202egnp"),
        ("é", "\\u00e9"),
    ],
)
def test_no_character_that_could_control_a_terminal_is_left(text, expected):
    assert expected == plain(text)


def test_a_table_escapes_its_cells_and_takes_no_markup(capsys):
    table(("name", "says"), [("[red]x[/red]", "\x1b[2J")])

    heading, row = capsys.readouterr().out.splitlines()
    assert ["name", "says"] == heading.split()
    assert ["[red]x[/red]", "\\u001b[2J"] == row.split()


def test_a_table_without_rows_prints_nothing(capsys):
    table(("name",), [])

    assert "" == capsys.readouterr().out

"""The pieces of HTML that the console is made of; every text passes through `escape` here."""

from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import urlencode

from authz.edge.http.console.tables import TableSection

Cell = str | tuple[str, str]
"""A text, or a text and the address that it links to."""


def section(title: str, body: str, *, name: str, alarms: bool = False) -> str:
    """Return a part of the page with a heading that names it; `body` is HTML."""
    style = ' class="bad"' if alarms else ""
    return f'<section aria-labelledby="{name}"><h2 id="{name}"{style}>{escape(title)}</h2>{body}</section>'


def table(title: str, headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a table; it scrolls sideways by itself where it is too wide, with the keyboard, too."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    top = f"<thead><tr>{head}</tr></thead>" if any(headings) else ""
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="wide" role="group" tabindex="0" aria-label="{escape(title)}">'
        f"<table>{top}<tbody>{body}</tbody></table></div>"
    )


def tabular(shown: TableSection, number: int) -> str:
    """Return one of the tables that `mcp-authz stats` shows, too."""
    body = table(shown.title, shown.headings, shown.rows)
    return section(shown.title, body, name=f"t{number}", alarms=shown.alarms)


def link(text: str, **asked: str) -> str:
    """Return a link to another view of the page."""
    return f'<a href="{escape(query(**asked))}">{escape(text)}</a>'


def query(**asked: str) -> str:
    """Return the address of a view of the page."""
    return f"?{urlencode(asked)}"


def paragraph(text: str) -> str:
    """Return a paragraph."""
    return f"<p>{escape(text)}</p>"


def bullets(texts: Iterable[str]) -> str:
    """Return a list."""
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return escape(cell)
    text, address = cell
    return f'<a href="{escape(address)}">{escape(text)}</a>'

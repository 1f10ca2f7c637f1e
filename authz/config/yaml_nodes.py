"""YAML text -> the nodes of its documents, which know their lines. Policy files and Envoy's configurations begin here."""

from collections.abc import Iterator
from typing import Any

import yaml
from yaml.reader import ReaderError

from authz.config.problems import mistake

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader of libyaml where PyYAML has it: several times faster."""


def compose(text: str, file: str, max_depth: int) -> Iterator[yaml.Node]:
    """Yield the root of each document that is not empty.

    Args:
        text: the stream.
        file: its name, for problems.
        max_depth: deepest nesting of collections.

    Raises:
        ConfigError: the text is not valid YAML, or is nested deeper.
    """
    try:
        _bound(text, file, max_depth)
        yield from (node for node in yaml.compose_all(text, Loader=LOADER) if node is not None)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise mistake(file, "a character that YAML forbids", line=line) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or "not YAML"
        # At the end of a text libyaml names a line after the last one.
        line = min(mark.line + 1, len(text.splitlines()) or 1) if mark else 0
        raise mistake(file, f"not valid YAML: {reason}", _cure(reason), line=line) from None


_CURES = (
    ("a tab character", "indent with spaces, not tabs"),
    ("cannot start any token", "indent with spaces, not tabs; quote a text that begins with @, ` or %"),
    ("expected ',' or ']'", "close the list that begins with [ here or above"),
    ("expected ',' or '}'", "close the map that begins with { here or above"),
    ("mapping values are not allowed", "quote a text that holds a colon and a space, or indent the line"),
    ("could not find expected ':'", "write a colon and a space after the key, in this line or the one above"),
    ("expected <block end>", "indent the line as its neighbours"),
    ("unexpected end of stream", "close the quote that is open"),
)
"""Parts of what libyaml says, and what is mostly meant."""


def _cure(reason: str) -> str:
    return next((cure for part, cure in _CURES if part in reason), "")


def _bound(text: str, file: str, max_depth: int) -> None:
    """Reject text that is nested too deep before it is composed: libyaml composes by recursion, without a limit."""
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > max_depth:
            raise mistake(
                file, too_deep(max_depth), line=event.start_mark.line + 1 if event.start_mark else 0
            )


def too_deep(max_depth: int) -> str:
    """Return what is wrong with a file that is nested deeper than a limit."""
    return f"nested deeper than {max_depth} levels"

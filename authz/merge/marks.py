"""The comments between which everything stands that a merge wrote, and the way back to the file before it.

    # mcp-authz begin
    # mcp-authz was:    a line that stood here before, whole
    what is merged
    # mcp-authz end

Taking these parts out gives the file as its owner wrote it, so a merge begins with that: merging twice gives the same
file, and merging a changed policy leaves nothing of the old one behind.
"""

import io
from collections.abc import Iterable, Iterator

from authz.config.problems import mistake

BEGIN = "# mcp-authz begin"
END = "# mcp-authz end"
WAS = "# mcp-authz was:"


def marked(lines: Iterable[str], pad: str, replaced: Iterable[str] = ()) -> list[str]:
    """Return merged lines between the marks, after the lines that they replace."""
    return [pad + BEGIN, *(pad + WAS + line for line in replaced), *lines, pad + END]


def without_merged(text: str, file: str) -> str:
    """Return a text without what a merge wrote into it.

    Raises:
        ConfigError: a mark has no partner.
    """
    return "".join(_kept(text, file))


def _kept(text: str, file: str) -> Iterator[str]:
    opened = 0
    for number, line in enumerate(io.StringIO(text, newline="\n"), start=1):
        words = line.strip()
        if words in {BEGIN, END}:
            if (words == BEGIN) is bool(opened):
                raise mistake(file, f"{words!r} without its partner", "restore the other mark", line=number)
            opened = number if words == BEGIN else 0
        elif not opened:
            yield line
        elif words.startswith(WAS):
            yield line.partition(WAS)[2]
    if opened:
        raise mistake(file, f"{BEGIN!r} without its partner", "restore the other mark", line=opened)

"""What is wrong with a file, where, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding about a configuration file.

    Attributes:
        file: the file's name as the user gave it, or the option that is at fault.
        line: from 1; 0 for the file as a whole.
        key: dotted path of the key, empty for the file as a whole.
        message: what is wrong.
        cure: what to do about it, one sentence.
    """

    file: str
    line: int = 0
    key: str = ""
    message: str
    cure: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        key = f" {self.key}:" if self.key else ""
        cure = f" ({self.cure})" if self.cure else ""
        return f"{place}:{key} {self.message}{cure}"


class ConfigError(Exception):
    """A file that cannot be used.

    Attributes:
        problems: every finding, at least one.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the findings; the exception's text has one line for each."""
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(map(str, self.problems)))


def mistake(file: str, message: str, cure: str = "", *, line: int = 0) -> ConfigError:
    """Return the error for the one thing that is wrong with a file or an option."""
    return ConfigError([Problem(file=file, line=line, message=message, cure=cure)])

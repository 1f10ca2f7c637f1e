"""The service's clock, which can be set forward and back, while every other process keeps the true time.

libfaketime would set it for gRPC's core too, but 0.9.10 breaks waits until a moment of the monotonic clock: threads of CPython
then wait for the interpreter's lock until somebody gives it up by himself, and `time.sleep` fails. So the clock is set where
the service reads it, by `seam/sitecustomize.py`.
"""

import struct
from collections.abc import Mapping
from pathlib import Path

_SEAM = Path(__file__).parent / "seam"


class Clock:
    """Sets the clock of the processes that are started with its environment."""

    kind = "a seam in the service's processes"

    def __init__(self, folder: Path) -> None:
        """Keep the offset in a folder."""
        self._file = folder / "clock"
        self._file.write_bytes(struct.pack("d", 0.0))

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables for a process whose clock is to be set."""
        return {"PYTHONPATH": str(_SEAM), "CHAOS_CLOCK": str(self._file)}

    def set(self, seconds: float) -> None:
        """Set the clock so many seconds ahead of the true time, negative for behind."""
        with self._file.open("r+b") as file:  # in place, for the processes have it mapped
            file.write(struct.pack("d", seconds))

"""When keys are fetched again: from what Cache-Control said, or from how often it failed."""

import random
from dataclasses import dataclass

from authz.config.settings import Fetching

_MAX_DOUBLINGS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule(Fetching):
    """The configured bounds, and how replicas are kept from asking together.

    Attributes:
        jitter: largest part of a pause that is taken off it by chance.
    """

    jitter: float = 0.2

    def age(self, said: int | None) -> float:
        """Give the seconds to the next scheduled fetch; `said` is Cache-Control's max-age, None where it has none."""
        return min(max(self.default_age if said is None else said, self.min_age), self.max_age)

    def pause(self, age: float, failures: int) -> float:
        """Give the seconds to wait now.

        Args:
            age: as `age` gave it for the last fetch that brought keys.
            failures: fetches that failed since.
        """
        whole = age
        if failures:
            whole = min(self.retry * 2.0 ** min(failures - 1, _MAX_DOUBLINGS), self.min_age)
        return whole * random.uniform(1 - self.jitter, 1)  # noqa: S311 - no secret depends on it

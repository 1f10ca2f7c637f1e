"""How a cost grows with a size: every size is measured in short turns, each compared with the smallest's of that turn.

CPU time is measured, not the clock's: one thread does the work, and whoever else uses the machine meanwhile would
otherwise be in the figure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What one size costs.

    Attributes:
        size: of what grows.
        us: microseconds a call; median over turns.
        ratio: median ratio to the smallest size in the same turn.
        spread: lowest and highest of these ratios.
    """

    size: int
    us: float
    ratio: float
    spread: tuple[float, float]


def growth(passes: Mapping[int, Callable[[], float]], turns: int) -> list[Point]:
    """Measure.

    Args:
        passes: size to what makes some calls and gives the CPU seconds that one took. The first is the smallest.
        turns: how often each is measured.
    """
    sizes = list(passes)
    taken: dict[int, list[float]] = {size: [] for size in sizes}
    for number in range(turns):
        turn = number % len(sizes)
        for size in sizes[turn:] + sizes[:turn]:
            taken[size].append(passes[size]())
    return [_point(size, seconds, taken[sizes[0]]) for size, seconds in taken.items()]


def _point(size: int, seconds: list[float], smallest: list[float]) -> Point:
    ratios = [mine / other for mine, other in zip(seconds, smallest, strict=True)]
    return Point(size=size, us=median(seconds) * 1e6, ratio=median(ratios), spread=(min(ratios), max(ratios)))

"""Samples, and what is reported of them: medians, and ratios that are taken within a round.

A sample is a mapping of figures with the number of its `round`. Whatever else the machine does disturbs all samples of
a round alike, so a ratio is taken between two samples of the same round, and the median of those ratios is reported.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any, TypeVar

Fields = Mapping[str, Any]
_T = TypeVar("_T")


def rotated(items: Sequence[_T], number: int) -> list[_T]:
    """Return the order of round `number`: it rotates, so that no item always follows the same other one."""
    turn = number % len(items)
    return [*items[turn:], *items[:turn]]


def summarise(
    samples: Iterable[Fields],
    by: Sequence[str],
    reference: Fields,
    medians: Sequence[str],
    ratios: Sequence[str],
) -> list[dict[str, Any]]:
    """Return a row for each group of samples, in the order in which groups first appear.

    Args:
        samples: of all groups.
        by: the fields that make a group.
        reference: fields of the group that others are compared with; those not named are the same as the group's own.
        medians: figures whose median over rounds is reported.
        ratios: figures that are compared: F gives F_ratio, and F_spread, the lowest and the highest; 0 if impossible.
    """
    groups: dict[tuple[Any, ...], dict[int, Fields]] = {}
    for sample in samples:
        groups.setdefault(tuple(sample[field] for field in by), {})[sample["round"]] = sample
    rows = []
    for key, group in groups.items():
        row = dict(zip(by, key, strict=True))
        other = groups.get(tuple(({**row, **reference})[field] for field in by), {})
        row |= {figure: median(sample[figure] for sample in group.values()) for figure in medians}
        for figure in ratios:
            row |= _ratio(figure, group, other)
        rows.append(row)
    return rows


def _ratio(figure: str, group: Mapping[int, Fields], other: Mapping[int, Fields]) -> dict[str, Any]:
    pairs = [(sample[figure], other[number][figure]) for number, sample in group.items() if number in other]
    ratios = [own / theirs for own, theirs in pairs if theirs] or [0.0]
    return {f"{figure}_ratio": median(ratios), f"{figure}_spread": (min(ratios), max(ratios))}


def growth(passes: Mapping[int, Callable[[], float]], turns: int) -> list[dict[str, Any]]:
    """Measure how a cost grows with a size; return a row for each size, compared with the smallest.

    It should be CPU time: otherwise everything else that the machine does in that time would be part of the figure.

    Args:
        passes: size to what makes some calls and returns the CPU seconds of one. The first is the smallest.
        turns: how often each is measured.
    """
    return summarise(_turns(passes, turns), ("size",), {"size": next(iter(passes))}, ("us",), ("us",))


def _turns(passes: Mapping[int, Callable[[], float]], turns: int) -> Iterator[Fields]:
    for number in range(turns):
        for size in rotated(list(passes), number):
            yield {"size": size, "round": number, "us": passes[size]() * 1e6}

"""Examples of a URI template's expansions: for each pattern of some rules one that it meets, if there is one.

Theory.

* A template and a pattern each describe a set of texts, and both are walked in step, one character after the other. The
  first text at which both end is an example.
* Where an expression and a `*` run beside each other any character will do, so only two are tried: one that the pattern
  needs next, and one that stands in no pattern. No other character could lead to a text that these two do not: what only a
  `*` takes is taken as well if it is the one that stands nowhere.
* An example must not meet the patterns that are avoided. A character that stands in none of them is taken by their `*`
  alone, so if any expansion avoids them, one of these does.
* Expressions that stand for something come first: `file:///x` is more of an example than `file:///`.
* The state of a pattern is the set of places that it may be at, as the bits of one number.
* Every step is paid for. A template that costs more than there is has no further examples, and so stands in no list.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from authz.core.mcp.uri_template import TemplateExpression, TemplateParts

_FRESH = "xyzwvutsrqponmlkjihgfedcba0123456789"
_FOREIGN = "\u4e2d"
"""A letter for the case that every plain one stands in some pattern."""


@dataclass(slots=True)
class Steps:
    """How much may still be looked at."""

    left: int

    def pay(self, cost: int) -> bool:
        """Take the cost of one step; return whether there was enough."""
        self.left -= cost
        return self.left >= 0


class Glob:
    """A pattern as an automaton: bit `n` of a state is set where `n` characters and stars of it are behind."""

    def __init__(self, parts: tuple[str, ...], *, full: bool = False) -> None:
        """Read the literal texts between the stars; one text is an exact name. With `full`, no star stands for nothing."""
        self.parts = parts
        self._takes: dict[str, int] = {}
        self._any = self._stars = place = 0
        for index, part in enumerate(parts):
            if index:
                self._any |= (1 << place) * full
                place += full
                self._stars |= 1 << place
            for character in part:
                self._takes[character] = self._takes.get(character, 0) | 1 << place
                place += 1
        self._end = 1 << place

    @property
    def characters(self) -> frozenset[str]:
        """The characters that stand in it."""
        return frozenset(self._takes)

    def next(self, state: int, text: str) -> int:
        """Return the state after some more text; 0 if nothing can follow that would match. A state begins as 1."""
        for character in text:
            state = (state & (self._takes.get(character, 0) | self._any)) << 1 | state & self._stars
        return state

    def wanted(self, state: int) -> Iterator[str]:
        """Yield the characters by which a state gets on."""
        return (character for character, places in self._takes.items() if places & state)

    def ends(self, state: int) -> bool:
        """Return whether the text so far matches."""
        return bool(state & self._end)

    def may_meet(self, template: TemplateParts) -> bool:
        """Return whether the beginning and the end of a template can be those of a text that matches."""
        first, last = template[0], template[-1]
        head, tail, exact = self.parts[0], self.parts[-1], len(self.parts) == 1
        if isinstance(first, str) and not (head.startswith(first) or (not exact and first.startswith(head))):
            return False
        return not isinstance(last, str) or tail.endswith(last) or (not exact and last.endswith(tail))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the walk is.

    Attributes:
        part: the part of the template.
        written: of an expression, whether nothing (0), its first character (1) or some text (2) is behind.
        states: those of the patterns, the goal's first.
        text: what was written so far.
    """

    part: int
    written: int
    states: tuple[int, ...]
    text: str = field(compare=False)


def example(template: TemplateParts, goal: Glob, avoided: Iterable[Glob], steps: Steps) -> str | None:
    """Return an expansion that meets the goal and nothing that is avoided; None if there is none, or none was found."""
    avoided = tuple(avoided)
    used = goal.characters.union(*(glob.characters for glob in avoided))
    fresh = next((letter for letter in _FRESH if letter not in used and letter.upper() not in used), _FOREIGN)
    for full in (True, False):
        globs = (Glob(goal.parts, full=full), *avoided)
        found = _walk(template, globs, fresh, steps, full=full)
        if found is not None:
            return found
    return None


def _walk(
    template: TemplateParts, globs: tuple[Glob, ...], fresh: str, steps: Steps, *, full: bool
) -> str | None:
    start = _Place(0, 0, (1,) * len(globs), "")
    waiting, seen = deque([start]), {start}
    while waiting:
        place = waiting.popleft()
        if place.part == len(template):
            if _is_met(globs, place.states):
                return place.text
            continue
        for part, written, text in _moves(template[place.part], place, globs[0], fresh, full=full):
            if not steps.pay(1 + len(globs) * len(text)):
                return None
            states = tuple(glob.next(state, text) for glob, state in zip(globs, place.states, strict=True))
            after = _Place(part, written, states, place.text + text)
            if states[0] and after not in seen:
                seen.add(after)
                waiting.append(after)
    return None


def _is_met(globs: tuple[Glob, ...], states: tuple[int, ...]) -> bool:
    goal, *avoided = map(Glob.ends, globs, states)
    return goal and not any(avoided)


def _moves(
    part: str | TemplateExpression, place: _Place, goal: Glob, fresh: str, *, full: bool
) -> Iterator[tuple[int, int, str]]:
    """Yield where the walk can go, and the text that is written on the way."""
    here, written = place.part, place.written
    if isinstance(part, str):
        yield here + 1, 0, part
        return
    if written == 2 or not full:
        yield here + 1, 0, ""
    if written == 0 and part.first:
        yield here, 1, part.first
        return
    for character in (fresh, *goal.wanted(place.states[0])):
        if part.slashes or character != "/":
            yield here, 2, character

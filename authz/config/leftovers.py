"""What loading a file leaves over, freed in pieces.

The nodes, values and models of a policy of ten thousand rules are half a million objects. To drop the last reference to
their root frees all of them in one step, in which no other thread runs: 50 ms for each of the three, in a process that
serves. So they are taken apart, and between two rounds of a loop other threads may run.

Rules of this module:

* Nodes are nobody else's, so they are emptied. Values and models may share a list with the settings: those are never
  changed, only held by one list and dropped from there, each before what it holds.
* A document's places are nobody else's.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import yaml
from pydantic import BaseModel

_CONTAINERS = (dict, list, BaseModel)


class Leftovers:
    """What is to be freed once a file is loaded.

    Attributes:
        values: plain values and models.
        entries: dictionaries with many entries that nobody else refers to.
    """

    def __init__(self) -> None:
        """Free nothing yet."""
        self.values: list[object] = []
        self.entries: list[dict[Any, Any]] = []

    def free(self) -> None:
        """Free all of it; the frames that read the file must be gone, or they hold it."""
        while self.entries:
            _free_entries(self.entries.pop())
        _free_values(self.values)


def free_nodes(root: yaml.Node) -> None:
    """Free the nodes of a document; an alias may lead to one twice, or from below."""
    nodes = [root]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.CollectionNode):
            children, node.value = node.value, []
            nodes += children if isinstance(node, yaml.SequenceNode) else chain.from_iterable(children)


def _free_entries(entries: dict[Any, Any]) -> None:
    while entries:
        entries.popitem()


def _free_values(values: list[object]) -> None:
    held = list(values)
    values.clear()
    known = set(map(id, held))
    for each in held:  # grows meanwhile: what something holds comes behind it
        for inner in _inner(each):
            if isinstance(inner, _CONTAINERS) and id(inner) not in known:
                known.add(id(inner))
                held.append(inner)
    held.reverse()
    while held:
        held.pop()


def _inner(each: object) -> Iterable[object]:
    match each:
        case dict():
            return each.values()
        case list():
            return each
        case BaseModel():
            return each.__dict__.values()
    return ()

"""Which nodes a selector chooses, answered for all nodes at once.

Asking every node about every selector takes a cluster of a thousand nodes with a thousand BGPPeers
a million evaluations. Here a set of nodes is an integer with one bit for each node, each label has
such a set for being there and for each of its values, and a selector becomes a few operations on
whole sets. `Selector.matches` is the referee.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from operator import and_, or_
from typing import assert_never

from speaker.config.selectors import (
    All,
    And,
    Compare,
    Has,
    InSet,
    Node,
    Not,
    Operator,
    Or,
    Selector,
)


class Census:
    """The labels of all nodes.

    Args:
        labels: of each node, in the order of their bits.
    """

    def __init__(self, labels: Sequence[Mapping[str, str]]) -> None:
        self._everybody = (1 << len(labels)) - 1
        self._present: dict[str, int] = {}
        self._values: dict[str, dict[str, int]] = {}
        self._known: dict[Selector, int] = {}
        for number, texts in enumerate(labels):
            bit = 1 << number
            for label, value in texts.items():
                self._present[label] = self._present.get(label, 0) | bit
                values = self._values.setdefault(label, {})
                values[value] = values.get(value, 0) | bit

    def chosen(self, selector: Selector) -> int:
        """Give the set of nodes that a selector matches."""
        found = self._known.get(selector)
        if found is None:
            found = self._known[selector] = self._of(selector.root)
        return found

    def _of(self, node: Node) -> int:
        match node:
            case All():
                return self._everybody
            case Has(label):
                return self._present.get(label, 0)
            case Compare(label, operator, value):
                return self._compared(label, operator, value)
            case InSet(label, values, negated):
                found = self._values.get(label, {})
                among = _union(found.get(value, 0) for value in values)
                return self._everybody & ~among if negated else among
            case Not(operand):
                return self._everybody & ~self._of(operand)
            case And(operands):
                return reduce(and_, map(self._of, operands))
            case Or(operands):
                return _union(map(self._of, operands))
            case _:
                assert_never(node)

    def _compared(self, label: str, operator: Operator, value: str) -> int:
        found = self._values.get(label, {})
        match operator:
            case Operator.EQUAL:
                return found.get(value, 0)
            case Operator.NOT_EQUAL:
                return self._everybody & ~found.get(value, 0)
            case Operator.CONTAINS:
                chosen = (members for text, members in found.items() if value in text)
            case Operator.STARTS_WITH:
                chosen = (members for text, members in found.items() if text.startswith(value))
            case Operator.ENDS_WITH:
                chosen = (members for text, members in found.items() if text.endswith(value))
        return _union(chosen)


def _union(sets: Iterable[int]) -> int:
    return reduce(or_, sets, 0)


def members_of(chosen: int) -> Iterator[int]:
    """Give the numbers of the nodes in a set, ascending."""
    while chosen:
        lowest = chosen & -chosen
        yield lowest.bit_length() - 1
        chosen ^= lowest

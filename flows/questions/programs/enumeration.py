"""The space of programs: every typed composition up to a size has a number, so that it can be counted and drawn from.

Shapes (trees without bindings) are counted by sort and size; the shape of a number is found without listing those
before it. Binding gives a shape its columns and constants, and the rules of `sense` decide whether it is worth asking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from flows.questions.programs import analyses, answers, columns, group_answers, rows, summaries
from flows.questions.programs.grammar import Node, Operator, Params, Scene, Sort, matches

CATALOGUE: tuple[Operator, ...] = (
    *rows.OPERATORS,
    *columns.OPERATORS,
    *summaries.OPERATORS,
    *analyses.OPERATORS,
    *answers.OPERATORS,
    *group_answers.OPERATORS,
)
"""Every operator, by floor: rows, columns, statistics, analyses, answers."""
MAX_SIZE = 10
"""Operators of the largest program."""


@dataclass
class Space:
    """The programs a table allows.

    Attributes:
        scene: The table.
        bindings: The operators that fit it, each with its bindings.
    """

    scene: Scene
    bindings: dict[str, Sequence[Params]] = field(init=False)
    _counts: dict[tuple[tuple[Sort, ...], int], int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        found = {operator.name: operator.bind(self.scene) for operator in CATALOGUE}
        self.bindings = {name: bound for name, bound in found.items() if bound}
        self._operators = [operator for operator in CATALOGUE if operator.name in self.bindings]
        self._by_sort = {
            sort: [operator for operator in self._operators if matches(sort, operator.gives)] for sort in Sort
        }

    def roots(self) -> list[Operator]:
        """The last operators of which there is at least one program."""
        return [
            operator
            for operator in self._operators
            if operator.gives is Sort.ANSWER and any(self.count(operator, size) for size in range(1, MAX_SIZE + 1))
        ]

    def count(self, operator: Operator, size: int) -> int:
        """How many shapes of this many operators have this one on top."""
        return self._count(operator.takes, size - 1)

    def shape(self, operator: Operator, size: int, index: int) -> Node:
        """The shape of a number.

        Args:
            operator: The operator on top.
            size: Operators of the shape.
            index: From 0 to `count(operator, size)` - 1.

        Raises:
            IndexError: There are fewer.
        """
        if not 0 <= index < self.count(operator, size):
            raise IndexError(f"there are {self.count(operator, size)} shapes of size {size} under {operator.name}")
        return Node(operator, self._inputs(operator.takes, size - 1, index))

    def _count(self, sorts: tuple[Sort, ...], size: int) -> int:
        """How many ways there are to fill these places with this many operators between them."""
        if not sorts:
            return int(size == 0)
        if size < len(sorts):
            return 0
        at = (sorts, size)
        if at not in self._counts:
            self._counts[at] = sum(
                self.count(operator, first) * self._count(sorts[1:], size - first)
                for operator in self._giving(sorts[0])
                for first in range(1, size + 1)
            )
        return self._counts[at]

    def _inputs(self, sorts: tuple[Sort, ...], size: int, index: int) -> tuple[Node, ...]:
        if not sorts:
            return ()
        for operator in self._giving(sorts[0]):
            for first in range(1, size + 1):
                others = self._count(sorts[1:], size - first)
                here = self.count(operator, first) * others
                if index < here:
                    rest = self._inputs(sorts[1:], size - first, index % others)
                    return (self.shape(operator, first, index // others), *rest)
                index -= here
        raise IndexError("no such shape")

    def _giving(self, sort: Sort) -> list[Operator]:
        return self._by_sort[sort]

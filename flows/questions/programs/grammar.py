"""The typed grammar: sorts, operators, and the trees they make.

A program is a tree. What a tree does not need is not in it, so no program has dead code; equal subtrees become one
variable. `Sort.MEASURE` and `Sort.KEY` are expressions over the rows of whichever table their parent takes, so one
tree cannot mix up two tables by accident.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from flows.questions.eligible import Eligible, Value
from flows.tables.profiling import ColumnProfile, DatasetProfile

VERSION = 3
"""Version of the grammar: raised when an operator's code or words change."""

Param = Value | tuple[Value, ...] | None
Params = tuple[tuple[str, Param], ...]
"""An operator's bindings, by name: columns and constants. Names of columns begin with `col`."""


class Sort(StrEnum):
    """What an operator takes and gives."""

    TABLE = "table"
    MEASURE = "measure"
    """A number per row."""
    KEY = "key"
    """A group per row."""
    HALVES = "halves"
    """A group per row, of which there are two."""
    DATE = "date"
    """A period per row, in order of time."""
    STATISTIC = "statistic"
    """Many numbers to one; used on a column, on groups and on periods alike."""
    RANKING = "ranking"
    """A number per group."""
    TIMELINE = "timeline"
    """A number per period."""
    CROSS = "cross"
    """Rows counted by two keys."""
    PAIRING = "pairing"
    """A number per pair of columns."""
    TEST = "test"
    """A test's statistic and p-value."""
    CORRELATION = "correlation"
    """A coefficient and its p-value."""
    FIT = "fit"
    """A straight line."""
    ANSWER = "answer"


class Form(StrEnum):
    """How an answer is submitted."""

    NUMBER = "number"
    COUNT = "count"
    PERCENT = "percent"
    LABEL = "label"
    LABELS = "labels"
    COLUMN_PAIR = "column_pair"
    MAPPING = "mapping"
    FLAG = "flag"


@dataclass(frozen=True)
class Scene:
    """What the operators can be bound to.

    Attributes:
        profile: The table's profile.
        columns: Its usable columns by role.
    """

    profile: DatasetProfile
    columns: Eligible

    def column(self, name: str) -> ColumnProfile:
        """The column of this name."""
        return next(column for column in self.profile.facts if column.name == name)


Binder = Callable[[Scene], Sequence[Params]]


def unbound(scene: Scene) -> Sequence[Params]:
    """The bindings of an operator that has none: always the empty one."""
    del scene
    return ((),)


@dataclass(frozen=True)
class Operator:
    """One operator of the grammar.

    Templates are filled by `str.format`: `{0}`, `{1}` … are the inputs, `{name!r}` and `{name}` the bindings; in code
    also `{t}` for the table at hand, `{s}` for the statistic of the last input applied to the groups of inputs 1
    and 2, and `{x}` for what a statistic is applied to; in facts also `{out}` for the operator's own variable.

    Attributes:
        name: Its name in the catalogue.
        takes: The sorts of its inputs.
        gives: The sort of its result.
        weight: Points of difficulty.
        code: The expression; lines before it are statements, whose names the later ones use as places.
        words: The noun phrase, or the condition of a filter.
        bind: The bindings that fit a table; none where the operator does not apply.
        asks: For answers: the question, in one or more wordings.
        step: The sentence of the hint; empty where the parent's sentence says it.
        variable: Stem of its variable; empty where it is written in place.
        convention: A sentence the question must carry, whichever way the phrase is used.
        form: For answers: how it is submitted.
        decimals: Decimals of a number; None for those that suit the measure.
        facts: What the probe computes, by the names of `Facts`.
        tags: Properties that rules look at.
        needs: Tags that the inputs must have between them.
        refuses: Tags that no input may have.
        row_wise: For filters: whether a row is judged by itself, so that the order of filters does not matter.
    """

    name: str
    takes: tuple[Sort, ...]
    gives: Sort
    weight: int
    code: str
    words: str = ""
    bind: Binder = unbound
    asks: tuple[str, ...] = ()
    step: str = ""
    variable: str = ""
    convention: str = ""
    form: Form | None = None
    decimals: int | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    refuses: frozenset[str] = frozenset()
    row_wise: bool = False


@dataclass(frozen=True)
class Node:
    """An operator applied to inputs, with its bindings. Equal nodes compute the same."""

    operator: Operator
    inputs: tuple[Node, ...] = ()
    params: Params = ()

    def __hash__(self) -> int:
        return hash((self.operator.name, self.inputs, self.params))

    @property
    def key(self) -> str:
        """The node as text: equal exactly for equal nodes."""
        bound = ",".join(f"{name}={value!r}" for name, value in self.params)
        return f"{self.operator.name}[{bound}]({','.join(node.key for node in self.inputs)})"

    @property
    def bindings(self) -> dict[str, Param]:
        """The bindings by name."""
        return dict(self.params)

    @property
    def own_columns(self) -> tuple[str, ...]:
        """Columns the operator itself is bound to."""
        return tuple(name for key, value in self.params if key.startswith("col") for name in _names(value))

    @property
    def read_columns(self) -> tuple[str, ...]:
        """Those of its columns whose values it needs; `col_gap` is only asked whether it has one."""
        return tuple(name for name in self.own_columns if name != self.bindings.get("col_gap"))

    def walk(self) -> Iterator[Node]:
        """The node and everything below it, inputs first."""
        for node in self.inputs:
            yield from node.walk()
        yield self

    def child(self, *sorts: Sort) -> Node | None:
        """The first input of one of the sorts."""
        return next((node for node in self.inputs if node.operator.gives in sorts), None)


def matches(wanted: Sort, given: Sort) -> bool:
    """Whether a result of one sort can be the input of another: two halves are groups as well, a period is a group."""
    return wanted is given or (wanted, given) in _WIDER


_WIDER = {(Sort.KEY, Sort.HALVES), (Sort.RANKING, Sort.TIMELINE), (Sort.TEST, Sort.CORRELATION)}


def is_well_typed(node: Node) -> bool:
    """Whether every operator of the tree has inputs of the sorts it takes."""
    return all(
        len(each.inputs) == len(each.operator.takes)
        and all(matches(sort, got.operator.gives) for sort, got in zip(each.operator.takes, each.inputs, strict=True))
        for each in node.walk()
    )


def canonical(node: Node) -> Node:
    """The same program in its one written form: neighbouring row-wise filters in the order of their keys."""
    inputs = tuple(canonical(each) for each in node.inputs)
    node = Node(node.operator, inputs, node.params)
    if not node.operator.row_wise:
        return node
    chain: list[Node] = []
    below = node
    while below.operator.row_wise:
        chain.append(below)
        below = below.inputs[0]
    # Row-wise filters take the table alone, so that a chain can be strung again in any order.
    for link in sorted({each.key: each for each in _links(chain)}.items()):
        below = Node(link[1].operator, (below,), link[1].params)
    return below


def _links(chain: Sequence[Node]) -> Iterator[Node]:
    for node in chain:
        yield Node(node.operator, (), node.params)


def _names(value: Param) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, tuple) else (str(value),)

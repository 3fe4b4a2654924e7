"""What an answer looks like: its type, its decimals, whether its labels are whole numbers."""

from __future__ import annotations

from dataclasses import dataclass

from flows.questions.programs.bindings import decimals_for
from flows.questions.programs.grammar import Form, Node, Scene, Sort
from flows.questions.records import AnswerSpec

_FINE = 4
_EXACT = frozenset({"summary", "all_groups", "highest_value", "spread_of_groups", "total_change"})
"""Answers that give what a statistic gives, or the difference of two of them."""
_WHOLE_LABELS = frozenset({"month", "quarter_of_year", "decade", "year"})


@dataclass(frozen=True)
class Shape:
    """How the answer of a tree is submitted.

    Attributes:
        form: The form.
        decimals: Decimals of its numbers; 0 for whole numbers.
        whole_labels: Whether its labels are whole numbers.
    """

    form: Form
    decimals: int
    whole_labels: bool

    @property
    def spec(self) -> AnswerSpec:
        """The answer specification of the question record."""
        if self.form is Form.FLAG:
            return AnswerSpec(type="bool")
        if self.form is Form.LABEL:
            return AnswerSpec(type="int") if self.whole_labels else AnswerSpec(type="string", case_sensitive=True)
        if self.form is Form.LABELS:
            return AnswerSpec(type="list", items="int" if self.whole_labels else "string", case_sensitive=True)
        if self.form is Form.COLUMN_PAIR:
            return AnswerSpec(type="set", items="string", case_sensitive=True)
        if self.form is Form.COUNT or self.decimals == 0:
            numbers = AnswerSpec(type="int")
        else:
            numbers = AnswerSpec(type="percent" if self.form is Form.PERCENT else "float", decimals=self.decimals)
        if self.form is Form.MAPPING:
            return AnswerSpec(type="mapping", items=numbers.type, decimals=numbers.decimals, case_sensitive=True)
        return numbers.model_copy(update={"unit": "%"}) if self.form is Form.PERCENT else numbers


def shape_of(root: Node, scene: Scene) -> Shape:
    """The shape of a tree's answer.

    Raises:
        ValueError: The tree gives no answer.
    """
    if root.operator.form is None:
        raise ValueError(f"{root.operator.name} gives no answer")
    return Shape(root.operator.form, _decimals(root, scene), _has_whole_labels(root, scene))


def _decimals(root: Node, scene: Scene) -> int:
    """Those of the highest operator that says so; else as many as tell the measure's values apart."""
    for node in _downwards(root):
        if node.operator.decimals is not None:
            return node.operator.decimals
    if _stays_whole(root, scene):
        return 0
    measures = [node for node in _downwards(root) if node.operator.gives is Sort.MEASURE]
    found = [2]
    for node in measures:
        fine = _FINE if "fine" in node.operator.tags else 0
        found.append(max(fine, *(decimals_for(scene.column(name)) for name in node.own_columns)))
    return max(found)


def _stays_whole(root: Node, scene: Scene) -> bool:
    """Whether only whole numbers are added, subtracted and compared on the way to the answer."""
    nodes = _downwards(root)
    statistics = [node for node in nodes if node.operator.gives is Sort.STATISTIC]
    measures = [node for node in nodes if node.operator.gives is Sort.MEASURE]
    columns = [scene.column(name) for node in measures for name in node.own_columns]
    return (
        root.operator.name in _EXACT
        and bool(statistics and measures)
        and all(node.operator.tags & {"extreme", "additive"} for node in statistics)
        and all(node.operator.name in ("column", "total", "difference") for node in measures)
        and not any("derived" in node.operator.tags for node in nodes)
        and all(column.kind == "integer" and column.whole is True for column in columns)
    )


def _has_whole_labels(root: Node, scene: Scene) -> bool:
    if any(name == "col_label" for name, _ in root.params):
        return False
    for node in _downwards(root):
        if node.operator.gives in (Sort.KEY, Sort.HALVES, Sort.DATE):
            plain = "as_is" in node.operator.tags and scene.column(node.own_columns[0]).kind in ("integer", "number")
            return plain or node.operator.name in _WHOLE_LABELS
    return False


def _downwards(root: Node) -> list[Node]:
    """The tree from the answer down, without what the rows are chosen by."""
    found = [root]
    for node in root.inputs:
        if node.operator.gives is not Sort.TABLE:
            found += _downwards(node)
    return found

"""From a tree to words: a question that is complete in itself, and a hint that tells the steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from flows.questions.eligible import date_note, quoted
from flows.questions.programs.grammar import Form, Node, Param, Scene, Sort
from flows.questions.programs.shaping import Shape
from flows.questions.rounding import places_words

_OPENINGS = ("Consider only the rows where", "Take only the rows where", "Look only at the rows where")
_GROUPS = (Sort.KEY, Sort.HALVES, Sort.DATE)
_THESE = "\x00"
"""The place of the rows that statistics are taken over; no column's name has it."""
_ASKS_FOR_GAPS = frozenset({"rows_missing", "rows_known", "rows_unequal"})


def question_text(root: Node, shape: Shape, scene: Scene, seed: str) -> str:
    """The question: which rows, what is asked, the conventions, how to answer.

    Args:
        root: A tree that gives an answer.
        shape: How the answer is submitted.
        scene: The table it is bound to.
        seed: Chooses between wordings of the same meaning.
    """
    random = Random(seed)
    sentences = [
        *_scope(root, random.choice(_OPENINGS)),
        *_missing(root, scene),
        _fill(random.choice(root.operator.asks), root),
        *_conventions(root, scene),
        _closing(root, shape),
    ]
    return _placed(" ".join(sentences), root, scene)


def hint_text(root: Node, scene: Scene) -> str:
    """The steps in words, numbered."""
    steps = [f"Keep the rows where {_condition(node, at)}." for at, node in enumerate(_cuts(root))]
    steps += _missing(root, scene)
    for node in _analysis(root):
        if node.operator.gives is Sort.MEASURE and node.operator.variable:
            steps.append(f"Compute {words(node)}.")
        elif node.operator.gives in _GROUPS:
            steps.append(f"Form groups by the {words(node)}.")
        elif node.operator.gives in (Sort.RANKING, Sort.TIMELINE):
            steps.append(f"For {_each(node)}, take {words(node)}.")
        elif node.operator.gives in (Sort.TEST, Sort.CORRELATION, Sort.FIT):
            steps.append(f"Compute {words(node)}.")
        elif node.operator.gives is Sort.CROSS:
            steps.append(f"Count the rows by {words(node)}.")
        elif node.operator.gives is Sort.PAIRING:
            steps.append(
                f"Take {words(node)} for every pair of the columns {_spoken(node.bindings['cols'], column=True)}."
            )
    steps.append(_fill(root.operator.step, root))
    return _placed(" ".join(f"{number}. {step}" for number, step in enumerate(steps, 1)), root, scene)


def words(node: Node, scope: str = "") -> str:
    """The noun phrase of a node, or the condition of a filter.

    Args:
        node: A node with words.
        scope: For filters: what "over all rows" is there.
    """
    return _fill(node.operator.words, node, scope)


def joined(parts: Sequence[str], last: str = "and") -> str:
    """An enumeration in words."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def _fill(template: str, node: Node, scope: str = "") -> str:
    inputs = ["" if each.operator.gives is Sort.TABLE else words(each) for each in node.inputs]
    named = {name: _spoken(value, column=name.startswith("col")) for name, value in node.params}
    grouped = node.inputs[0] if node.inputs else node
    if "{key}" in template:
        named["key"] = _key(grouped)
    if "{each}" in template:
        named["each"] = _each(grouped)
    if "{cols}" in template and "cols" not in named:
        named["cols"] = _spoken(grouped.bindings["cols"], column=True)
    return template.format(*inputs, scope=scope, these=_THESE, **named)


def _placed(text: str, root: Node, scene: Scene) -> str:
    """A text whose conventions speak of "these rows" only where it has named some."""
    named = bool(_cuts(root) or _missing(root, scene))
    return text.replace(_THESE, "these rows" if named else "all rows")


def _spoken(value: Param, *, column: bool = False) -> str | int | float:
    """A binding in words; numbers stay numbers, so that a template can say how they are written."""
    if isinstance(value, tuple):
        return joined([str(_spoken(each, column=column)) for each in value])
    if column:
        return quoted(str(value))
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return f'"{value}"' if isinstance(value, str) else value


def _key(ranking: Node) -> str:
    """What follows "which": the groups a ranking ranks."""
    if "of_columns" in ranking.operator.tags:
        return f"of the columns {_spoken(ranking.bindings['cols'], column=True)}"
    before = ranking.child(Sort.TIMELINE)
    if before is not None:
        return _key(before)
    group = ranking.child(*_GROUPS)
    assert group is not None  # a ranking is of columns or of groups
    return words(group)


def _each(ranking: Node) -> str:
    return f"each {_key(ranking)}"


def _table(root: Node) -> Node:
    """The rows the answer rests on: the table nearest to it."""
    node = root
    while node.operator.gives is not Sort.TABLE:
        node = node.inputs[0]
    return node


def _cuts(root: Node) -> list[Node]:
    """The filters, the first one first."""
    found: list[Node] = []
    node = _table(root)
    while node.inputs:
        found.append(node)
        node = node.inputs[0]
    return found[::-1]


def _analysis(root: Node) -> Iterable[Node]:
    """What happens between the rows and the answer, inputs first."""
    for node in root.inputs:
        if node.operator.gives is not Sort.TABLE:
            yield from _analysis(node)
            yield node


def _condition(node: Node, at: int) -> str:
    return words(node, "all rows of the table" if at == 0 else "the rows kept so far")


def _scope(root: Node, opening: str) -> list[str]:
    cuts = _cuts(root)
    if not cuts:
        return []
    plain = next((at for at, node in enumerate(cuts) if not node.operator.row_wise), len(cuts))
    first = max(plain, 1)
    sentences = [f"{opening} {' and '.join(_condition(node, at) for at, node in enumerate(cuts[:first]))}."]
    for at, node in enumerate(cuts[first:], first):
        sentences.append(f"Of these, keep only those where {_condition(node, at)}.")
    return sentences


def _missing(root: Node, scene: Scene) -> list[str]:
    """What becomes of rows with missing values, for the columns that have any."""
    sentences: list[str] = []
    judged = [
        name
        for cut in _cuts(root)
        if cut.operator.name not in _ASKS_FOR_GAPS
        for node in (cut, *(each for each in cut.inputs if each.operator.gives is not Sort.TABLE))
        for name in node.own_columns
        if scene.column(name).missing
    ]
    if judged:
        relative = any(not cut.operator.row_wise for cut in _cuts(root))
        also = ", and counts towards no mean, median, quantile or frequency" if relative else ""
        sentences.append(f"A missing value meets no condition{also}.")
    needed = [name for node in (*_analysis(root), root) for name in node.read_columns if scene.column(name).missing]
    if needed:
        listed = joined([quoted(name) for name in dict.fromkeys(needed)], "or")
        sentences.append(f"Leave out the rows where {listed} is missing.")
    return sentences


def _conventions(root: Node, scene: Scene) -> list[str]:
    said = [_fill(node.operator.convention, node) for node in root.walk() if node.operator.convention]
    dated = [scene.column(str(node.bindings["col_date"])) for node in root.walk() if "col_date" in node.bindings]
    return list(dict.fromkeys([*said, *filter(None, map(date_note, dated))]))


def _closing(root: Node, shape: Shape) -> str:
    decimals = f"rounded to {places_words(shape.decimals)}" if shape.decimals else "as a whole number"
    if shape.form is Form.MAPPING:
        return f"Answer with a mapping from {_each(root.inputs[0])} to its result, {decimals}."
    if shape.form in (Form.COUNT, Form.NUMBER) and (shape.form is Form.COUNT or not shape.decimals):
        return "Answer with a whole number."
    return {
        Form.NUMBER: f"Answer with a number {decimals}.",
        Form.PERCENT: f"Answer with the percentage {decimals}.",
        Form.LABEL: "Answer with its number." if shape.whole_labels else "Answer with its name, exactly as written.",
        Form.LABELS: "Answer with a list"
        + (" of numbers." if shape.whole_labels else " of names, exactly as written."),
        Form.COLUMN_PAIR: "Answer with the two column names, in any order.",
        Form.FLAG: "Answer with true or false.",
    }[shape.form]

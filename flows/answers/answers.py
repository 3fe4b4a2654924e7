"""Answers: a raw value and the question's answer spec become one typed, comparable answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from flows.answers.nodes import (
    Kind,
    Node,
    Opaque,
    Table,
    canonical,
    children,
    is_comparable,
    render_node,
    unsound,
    with_article,
)
from flows.answers.readers import read_json, read_tagged
from flows.answers.shaping import Shaper
from flows.questions.records import AnswerSpec, AnswerType

_KINDS: dict[AnswerType, frozenset[Kind]] = {
    "bool": frozenset({"bool"}),
    "int": frozenset({"int"}),
    "float": frozenset({"int", "float"}),
    "percent": frozenset({"int", "float"}),
    "date": frozenset({"date", "datetime"}),
    "string": frozenset({"string"}),
    "list": frozenset({"list"}),
    "set": frozenset({"set"}),
    "mapping": frozenset({"mapping"}),
    "table": frozenset({"table"}),
    "any": frozenset(
        {"bool", "int", "float", "string", "date", "datetime", "duration", "list", "set", "mapping", "table"}
    ),
}


@dataclass(frozen=True)
class Answer:
    """One answer in the type the question asks for.

    Attributes:
        node: The typed value.
        coercions: How it was brought into that type, one phrase each; empty when it came in it.
        problem: Why it cannot be an answer to the question, one sentence; empty when it can.
        canonical: The exact identity of the value: equal texts, equal values.
    """

    node: Node
    coercions: tuple[str, ...] = ()
    problem: str = ""
    canonical: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "canonical", canonical(self.node))

    @property
    def kind(self) -> Kind:
        """The kind of value: none, bool, int, float, string, date, datetime, duration, list, set, mapping, table."""
        return self.node.kind

    @cached_property
    def comparable(self) -> bool:
        """Whether everything in the value can be compared."""
        return is_comparable(self.node)

    @cached_property
    def flaw(self) -> str:
        """What the value holds that is no result, see `nodes.unsound`."""
        return unsound(self.node)

    @property
    def usable(self) -> bool:
        """Whether the value can be an answer to the question at all: of the kind asked for, and comparable."""
        return not self.problem


def parse_answer(tagged: Any, spec: AnswerSpec, *, gaps: bool = False) -> Answer:
    """The answer a session submitted, as a tagged value, in the type the question asks for.

    Never raises: what is malformed, of another kind or too large gives an answer that is not `usable`, with the
    `problem` in words. So does one that holds NaN or infinity: what nothing can be computed from verifies nothing.

    Args:
        tagged: The value.
        spec: What the question asks for.
        gaps: The known answer says of some value that it is missing, so that NaN inside a list or mapping may be right.
    """
    return _shape(read_tagged(tagged), spec, gaps=gaps)


def parse_reference(value: Any, spec: AnswerSpec) -> Answer:
    """The answer a question file gives as plain JSON (`ground_truth`), in the type the question asks for.

    JSON has no dates, sets or tables: an ISO string, a list, and a list of records are their natural form, so nothing
    counts as coerced.
    """
    return replace(_shape(read_json(value), spec), coercions=())


def render(answer: Answer, limit: int = 120) -> str:
    """The answer as short text for people, at most `limit` characters."""
    return render_node(answer.node, limit)


def _shape(node: Node, spec: AnswerSpec, *, gaps: bool = False) -> Answer:
    shaper = Shaper(spec)
    shaped = shaper.shape(node)
    # A set is written down without its exact duplicates: a phrase said once is enough, too.
    return Answer(shaped, tuple(dict.fromkeys(shaper.coercions)), _problem(shaped, spec, gaps=gaps))


def _problem(node: Node, spec: AnswerSpec, *, gaps: bool) -> str:
    if isinstance(node, Opaque):
        return f"The answer is not a value that can be compared: {render_node(node)}."
    if node.kind == "none":
        return "The answer is empty (None)."
    if node.kind not in _KINDS[spec.type]:
        return (
            f"The question asks for {with_article(spec.type)} and {render_node(node, 80)} is {with_article(node.kind)}."
        )
    if not is_comparable(node):
        return "The answer holds an object that cannot be compared."
    found = unsound(node)
    if found == "infinity" or (found and not (gaps and children(node))):
        return f"The answer {'holds' if children(node) else 'is'} {found}, which is no result that can be checked."
    if spec.columns and isinstance(node, Table):
        return Shaper(spec).column_problem(node)
    return ""

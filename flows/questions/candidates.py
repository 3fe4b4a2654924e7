"""A candidate: a question with its program, before a sandbox has shown that it has one answer worth asking for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from blocks.frozen import Frozen
from flows.questions.records import AnswerSpec, Difficulty, QuestionSource


class Candidate(Frozen):
    """What a question source proposes. Proving runs the program, and only then it becomes a `Question`."""

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(min_length=1, description="<family>-<what tells it apart>, unique in its source")]
    source: QuestionSource
    text: Annotated[str, Field(min_length=1, description="complete in itself: rounding, unit, ties, shape")]
    hint: str | None = None
    program: Annotated[str, Field(min_length=1, description="pandas code on `df` that ends in submit(…)")]
    alternatives: Annotated[
        tuple[str, ...], Field(description="programs whose answers count as right too: other conventions")
    ] = ()
    probe: Annotated[
        str, Field(description="run after the program, in its session; ends in submit({…}) of `Facts` by name")
    ] = ""
    guards: Annotated[
        tuple[str, ...],
        Field(description="run before the program; each submits facts that tell whether the table has an answer"),
    ] = ()
    answer: AnswerSpec
    difficulty: Difficulty
    n_steps: Annotated[int, Field(ge=1, le=100)]
    tags: tuple[str, ...] = ()
    row_order_matters: Annotated[bool, Field(description="the question asks for something that depends on it")] = False
    interest: Annotated[float, Field(ge=0, description="more is better; compares candidates of one source")] = 0.0
    provenance: dict[str, Any] = Field(
        default_factory=dict, description="template or operators, columns, parameters, version"
    )


class Facts(Frozen):
    """What a probe tells about the answer. Each that is given must pass the bar set for it."""

    rows: Annotated[int | None, Field(ge=0, description="rows the answer rests on, missing values left out")] = None
    smallest_group: Annotated[int | None, Field(ge=0, description="rows of the smallest group compared")] = None
    margin: Annotated[
        float | None, Field(ge=0, description="gap of winner and runner-up relative to the larger; 0 for a tie")
    ] = None
    p_value: Annotated[float | None, Field(ge=0, le=1, description="of the test that the answer reports")] = None
    trivial: Annotated[bool, Field(description="the answer says nothing: a constant, all of the rows, none")] = False

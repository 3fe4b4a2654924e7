"""Proving a candidate: its program runs alone, again, and on shuffled rows, before its answer counts as the truth."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from math import isnan
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, ValidationError

from blocks.frozen import Frozen
from blocks.plurals import several
from blocks.sandboxes.models import CellResult
from flows.answers.answers import Answer, parse_answer, render
from flows.answers.comparator import compare, matches_itself
from flows.answers.nodes import children
from flows.answers.plain import NotPlain, as_json
from flows.questions.candidates import Candidate, Facts
from flows.questions.records import Question, QuestionSource, content_key
from flows.questions.rounding import fitted

SHUFFLE = "df = df.sample(frac=1, random_state=20_011).reset_index(drop=True)"
_ID_WORDS = 80
_SHOWN = 300


class Runs(Protocol):
    """What proving needs of a session."""

    async def run(self, code: str, *, timeout_s: float | None = None) -> CellResult:
        """Run a cell."""
        ...


OpenRuns = Callable[[], AbstractAsyncContextManager[Runs]]
"""Opens a fresh session of the dataset's sandbox; may wait for a free one."""


class Bars(Frozen):
    """What an answer must reach to be worth asking for."""

    min_rows: Annotated[int, Field(ge=1, description="rows the answer rests on")] = 30
    min_group: Annotated[int, Field(ge=1, description="rows of the smallest group compared")] = 5
    min_margin: Annotated[
        float, Field(ge=0, le=1, description="gap of winner and runner-up, relative to the larger")
    ] = 0.02
    max_p_value: Annotated[float, Field(gt=0, le=1, description="of a test whose outcome is asked for")] = 0.05
    max_items: Annotated[int, Field(ge=1, description="most values an answer may hold")] = 60
    timeout_s: Annotated[float, Field(gt=0, description="wall clock of a program, seconds")] = 30.0


Reason = Literal[
    "failed", "no_answer", "facts", "not_reproduced", "row_order", "duplicate", "contaminated", "surplus",
    "unreadable", "wording", "leak",
]  # fmt: skip
"""The last three are of a model's proposals: no question, words that leave its answer open, words that tell it."""


class Refusal(Frozen):
    """A candidate that became no question, and why."""

    name: str
    source: QuestionSource
    reason: Reason
    detail: str


class _Refused(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason


async def prove(candidate: Candidate, open_session: OpenRuns, dataset_key: str, bars: Bars) -> Question | Refusal:
    """Run a candidate's program and make a question of it, or say why not.

    The program runs in three fresh sessions: after its guards and followed by its probe; alone; and on the same rows
    in another order. Alternatives run in one each. No session ever serves two programs.

    Args:
        candidate: What a source proposes.
        open_session: Opens fresh sessions of the dataset's sandbox.
        dataset_key: The dataset's `content`.
        bars: What an answer must reach.

    Raises:
        SandboxError: The sandbox failed; nothing is known about the candidate then.
        SandboxUnavailable: The runtime cannot be used any more.
    """
    try:
        answer, facts = await _first_run(candidate, open_session, bars)
        candidate = _fitted(candidate, answer)
        await _confirm(candidate, open_session, bars, answer)
        alternatives = [await _alternative(code, candidate, open_session, bars) for code in candidate.alternatives]
        truth = _as_json(answer, candidate)
    except _Refused as refused:
        return Refusal(
            name=candidate.name, source=candidate.source, reason=refused.reason, detail=str(refused)[:_SHOWN]
        )
    others = [value for value in alternatives if value != truth]
    return Question(
        id=_id(candidate, dataset_key),
        source=candidate.source,
        text=candidate.text,
        hint=candidate.hint,
        reference_program=candidate.program,
        ground_truth=truth,
        alternatives=tuple(others),
        dataset_key=dataset_key,
        answer=candidate.answer,
        difficulty=candidate.difficulty,
        n_steps=candidate.n_steps,
        tags=candidate.tags,
        provenance={
            **candidate.provenance,
            "name": candidate.name,
            "interest": round(candidate.interest, 6),
            "facts": facts.model_dump(exclude_none=True, exclude_defaults=True),
        },
    )


async def _first_run(candidate: Candidate, open_session: OpenRuns, bars: Bars) -> tuple[Answer, Facts]:
    async with open_session() as session:
        for guard in candidate.guards:
            _weigh(_facts(await session.run(guard, timeout_s=bars.timeout_s)), bars)
        answer = _answer(await session.run(candidate.program, timeout_s=bars.timeout_s), candidate)
        facts = Facts()
        if candidate.probe:
            facts = _facts(await session.run(candidate.probe, timeout_s=bars.timeout_s))
    _weigh(facts, bars)
    values = _count(answer)
    if values == 0:
        raise _Refused("no_answer", "the answer is empty")
    if values > bars.max_items:
        raise _Refused("facts", f"the answer holds {several(values, 'value')}, more than {bars.max_items}")
    return answer, facts


def _fitted(candidate: Candidate, answer: Answer) -> Candidate:
    found = fitted(candidate, answer)
    if found is None:
        raise _Refused("facts", f"its answer is {render(answer)}: 0, or nothing but 0 where it is rounded")
    return found


async def _confirm(candidate: Candidate, open_session: OpenRuns, bars: Bars, answer: Answer) -> None:
    async with open_session() as session:
        again = _answer(await session.run(candidate.program, timeout_s=bars.timeout_s), candidate)
    # To the last bit, unless rounding is asked for: sums of several threads may differ there.
    same = again.canonical == answer.canonical or (
        candidate.answer.decimals is not None and compare(again, answer, candidate.answer).equal
    )
    if not same:
        raise _Refused("not_reproduced", f"a second run gave {render(again)}, the first {render(answer)}")
    if candidate.row_order_matters:
        return
    async with open_session() as session:
        await session.run(SHUFFLE, timeout_s=bars.timeout_s)
        shuffled = _answer(await session.run(candidate.program, timeout_s=bars.timeout_s), candidate)
    found = compare(answer, shuffled, candidate.answer)
    if not found.equal:
        raise _Refused("row_order", f"with the rows in another order the answer is another: {found.reason}")


async def _alternative(code: str, candidate: Candidate, open_session: OpenRuns, bars: Bars) -> Any:
    async with open_session() as session:
        answer = _answer(await session.run(code, timeout_s=bars.timeout_s), candidate)
    return _as_json(answer, candidate)


def _answer(cell: CellResult, candidate: Candidate) -> Answer:
    if cell.status != "ok":
        why = f"{cell.error.name}: {cell.error.message}" if cell.error is not None else cell.reason or cell.status
        raise _Refused("failed", f"the program ended with {why}")
    if cell.submission is None:
        raise _Refused("no_answer", "the program submitted nothing")
    answer = parse_answer(cell.submission.value, candidate.answer)
    itself = matches_itself(answer, candidate.answer)
    if not itself.equal:
        raise _Refused("no_answer", itself.reason)
    return answer


def _as_json(answer: Answer, candidate: Candidate) -> Any:
    try:
        return as_json(answer, candidate.answer)
    except NotPlain as error:
        raise _Refused("no_answer", f"{render(answer)} cannot be written down: {error}") from error


def _facts(cell: CellResult) -> Facts:
    """What the probe says. A probe that fails is a defect of its source, and no question is made on its word."""
    if cell.status != "ok" or cell.submission is None:
        why = f"{cell.error.name}: {cell.error.message}" if cell.error is not None else cell.reason or "no answer"
        raise _Refused("failed", f"the probe ended with {why}")
    pairs = cell.submission.value.get("v") if cell.submission.value.get("t") == "map" else None
    if not isinstance(pairs, list):
        raise _Refused("failed", "the probe submitted no mapping")
    given = {key.get("v"): _number(value) for key, value in pairs}
    for name, value in given.items():
        if isinstance(value, float) and isnan(value):
            # No defect: the groups are all of one value, say. A bar that cannot be measured is not reached.
            raise _Refused("facts", f"on this table it has no {name.replace('_', ' ')}")
    try:
        return Facts.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise _Refused("failed", f"the probe's {where}: {first['msg']}") from error


def _number(tagged: dict[str, Any]) -> Any:
    value = tagged.get("v")
    # NaN and the infinities come as text; they are no facts.
    return float(value) if tagged.get("t") == "float" and isinstance(value, str) else value


def _weigh(facts: Facts, bars: Bars) -> None:
    if facts.trivial:
        raise _Refused("facts", "the answer says nothing")
    if facts.rows is not None and facts.rows < bars.min_rows:
        raise _Refused("facts", f"it rests on {several(facts.rows, 'row')}, fewer than {bars.min_rows}")
    if facts.smallest_group is not None and facts.smallest_group < bars.min_group:
        least = several(facts.smallest_group, "row")
        raise _Refused("facts", f"its smallest group has {least}, fewer than {bars.min_group}")
    if facts.margin is not None and not facts.margin >= bars.min_margin:
        raise _Refused("facts", f"winner and runner-up differ by {facts.margin:.3g}, less than {bars.min_margin:g}")
    if facts.p_value is not None and not facts.p_value <= bars.max_p_value:
        raise _Refused("facts", f"its p-value is {facts.p_value:.3g}, above {bars.max_p_value:g}")


def _count(answer: Answer) -> int:
    """Single values in an answer; 1 for a scalar."""
    if answer.kind not in ("list", "set", "mapping", "table"):
        return 1
    todo, count = [*children(answer.node)], 0
    while todo:
        node = todo.pop()
        inner = children(node)
        count += not inner
        todo += inner
    return count


def _id(candidate: Candidate, dataset_key: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", candidate.name.casefold()).strip("-")[:_ID_WORDS].strip("-")
    digest = content_key(dataset_key, candidate.name, candidate.text, candidate.program)[:8]
    return f"{candidate.source}-{words}-{digest}" if words else f"{candidate.source}-{digest}"

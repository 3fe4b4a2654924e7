"""Admission: what a model proposes becomes a question when its words, its program and its answer all stand up.

Cheap checks come first: the words, likeness, benchmarks. Then the program is proven. A question that passes has no
ground truth of its own: what its proposer computed is kept as provenance, and independent attempts decide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from blocks.together import together
from flows.generation.averaging import averaged_columns
from flows.generation.likeness import Asked, Likeness
from flows.generation.proposals import Proposal, Unreadable
from flows.generation.proving import Prover
from flows.generation.vetting import Naming, faults, gives_away, with_decimals
from flows.questions.candidates import Candidate
from flows.questions.contamination import Benchmarks
from flows.questions.proving import Reason, Refusal
from flows.questions.records import Question

_TAG = re.compile(r"[^a-z0-9]+")


class House(NamedTuple):
    """What proposals of a dataset are judged by.

    Attributes:
        prover: Runs the programs.
        columns: The table's columns.
        naming: How questions may name them.
        benchmarks: Questions that none may repeat.
        others: Questions of other sources that none may repeat.
        identifiers: Columns that name or number things: nothing is computed of their values.
    """

    prover: Prover
    columns: Sequence[str]
    naming: Naming
    benchmarks: Benchmarks | None
    others: Sequence[Asked]
    identifiers: frozenset[str] = frozenset()


class Admission:
    """Judges the proposals of one exploration, reply by reply.

    Args:
        house: What they are judged by.
        index: The exploration's number, part of the questions' names.
    """

    def __init__(self, house: House, index: int) -> None:
        self._house = house
        self._index = index
        self._count = 0
        self._asked = Likeness(house.others)

    async def judge(self, proposals: Sequence[Proposal | Unreadable]) -> list[Question | Refusal]:
        """One outcome for each proposal, in order.

        Raises:
            SandboxError: The sandbox failed.
            SandboxUnavailable: The runtime cannot be used any more.
        """
        looked_at = [self._look_at(each) for each in proposals]
        proven = await together(self._house.prover.prove(each) for each in looked_at if isinstance(each, Candidate))
        answers = iter(proven)
        return [self._settle(next(answers), each) if isinstance(each, Candidate) else each for each in looked_at]

    def _look_at(self, proposal: Proposal | Unreadable) -> Candidate | Refusal:
        """What can be told before anything is run."""
        self._count += 1
        name = self._name(proposal)
        if isinstance(proposal, Unreadable):
            return _refusal(name, "unreadable", proposal.reason)
        answer = with_decimals(proposal.question, proposal.answer)
        found = faults(proposal.question, answer, self._house.columns, self._house.naming)
        if found:
            return _refusal(name, "wording", "; ".join(found))
        repeated = self._asked.repeated(Asked(name, proposal.question, proposal.program, ""))
        if repeated:
            return _refusal(name, "duplicate", repeated)
        averaged = sorted(averaged_columns(proposal.program) & self._house.identifiers)
        if averaged:
            return _refusal(name, "facts", f'it computes with "{averaged[0]}", which identifies and measures nothing')
        overlap = self._house.benchmarks.overlap(proposal.question) if self._house.benchmarks is not None else None
        if overlap is not None:
            return _refusal(name, "contaminated", overlap.sentence())
        return Candidate(
            name=name,
            source="llm",
            text=proposal.question,
            hint=proposal.hint,
            program=proposal.program,
            answer=answer,
            difficulty=proposal.difficulty,
            n_steps=proposal.steps,
            tags=proposal.tags,
            interest=float(proposal.steps),
            provenance={"exploration": self._index},
        )

    def _settle(self, outcome: Question | Refusal, candidate: Candidate) -> Question | Refusal:
        """What only the answer tells."""
        if isinstance(outcome, Refusal):
            return outcome
        answer = json.dumps(outcome.ground_truth, ensure_ascii=False, sort_keys=True)
        if _given_away(candidate, answer):
            return _refusal(candidate.name, "leak", "its words or its hint hold the answer")
        asked = Asked(candidate.name, candidate.text, candidate.program, answer)
        repeated = self._asked.repeated(asked)
        if repeated:
            return _refusal(candidate.name, "duplicate", repeated)
        self._asked.add(asked)
        return without_truth(outcome)

    def _name(self, proposal: Proposal | Unreadable) -> str:
        tag = proposal.tags[0] if isinstance(proposal, Proposal) and proposal.tags else "question"
        return f"{_TAG.sub('-', tag.casefold()).strip('-')[:30] or 'question'}-{self._index + 1}.{self._count}"


def without_truth(question: Question) -> Question:
    """A proven question as one that is triangulated: what its proposer computed is told, not believed."""
    provenance = {**question.provenance, "program": question.reference_program, "answer": question.ground_truth}
    return question.model_copy(
        update={"reference_program": None, "ground_truth": None, "alternatives": (), "provenance": provenance}
    )


def _given_away(candidate: Candidate, answer: str) -> bool:
    in_words = gives_away(candidate.text, answer)
    if candidate.answer.type in ("int", "float", "percent"):
        return in_words or gives_away(candidate.hint or "", answer)
    # A question may name what there is to choose from; its hint may not choose.
    return not in_words and gives_away(candidate.hint or "", answer)


def _refusal(name: str, reason: Reason, detail: str) -> Refusal:
    return Refusal(name=name, source="llm", reason=reason, detail=detail)

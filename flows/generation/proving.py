"""The prover: proves candidates of a dataset, so many at once."""

from __future__ import annotations

import asyncio

from flows.generation.recipes import Workplace
from flows.questions.candidates import Candidate
from flows.questions.proving import Bars, Refusal, prove
from flows.questions.records import Question


class Prover:
    """Runs candidates' programs in fresh sessions of one sandbox, `place.parallel` candidates at once.

    Args:
        place: The dataset in its sandbox.
        bars: What an answer must reach.
    """

    def __init__(self, place: Workplace, bars: Bars) -> None:
        self._place = place
        self._bars = bars
        self._free = asyncio.Semaphore(place.parallel)

    async def prove(self, candidate: Candidate) -> Question | Refusal:
        """The question a candidate becomes, or why it becomes none.

        Raises:
            SandboxError: The sandbox failed.
            SandboxUnavailable: The runtime cannot be used any more.
        """
        dataset = self._place.dataset
        async with self._free:
            outcome = await prove(candidate, self._place.open_session, dataset.content, self._bars)
        if isinstance(outcome, Refusal) or not dataset.how_read:
            return outcome
        # Whoever takes the question reads here how its table came about.
        return outcome.model_copy(update={"provenance": {**outcome.provenance, "reading": list(dataset.how_read)}})

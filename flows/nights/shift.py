"""The work on one dataset in a night: questions, then episodes, each only where there is something to do."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from blocks.chat.outages import Outage
from blocks.specs import Outcome
from flows.generation.options import QuestionOptions
from flows.nights.allowance import Allowance
from flows.nights.options import NightlyOptions
from flows.nights.report import NightRow, State
from flows.nights.shelf import Bench, Standing
from flows.runs.logs import log_name, told
from flows.runs.options import ModelOptions
from flows.sharing.share import HomeShare
from flows.tables.dataset import read_dataset
from flows.tables.facts import known_notes
from flows.verification.options import EpisodeOptions

STATES: dict[str, State] = {
    "completed": "worked on",
    "failed": "failed",
    "crashed": "failed",
    "not started": "not begun",
}


class Start(Protocol):
    """Starts a flow for one dataset and waits for its end."""

    async def __call__(self, flow: str, slug: str, path: str, options: QuestionOptions | EpisodeOptions, /) -> Outcome:
        """Run it; an error of the flow is an outcome.

        Args:
            flow: `question` or `episode`.
            slug: The dataset's short name.
            path: Its folder.
            options: What the flow is given.
        """
        ...


LOOK_S = 1.0
"""Between two looks at whether a model is back, at least."""
LOOK_AGAIN_S = 300.0
"""Between two such looks at most."""
OutageOf = Callable[[ModelOptions], Awaitable[Outage | None]]
"""Says why the model of a run is not to be asked for now; None where it may be."""


class Shift:
    """The work on the datasets of one night, some at once.

    While a model is out of order, what needs it waits and gives its place to datasets that can be prepared without.

    Args:
        start: Starts a flow.
        outage: Whether a model is out of order.
        tell: Told what people may want to know at once.
        allowance: What may be begun.
        options: How much of one dataset.
        question: How questions are made.
        episode: How they are answered.
        home: TRIGPOINT_HOME.
        build: Digest of the code, see `Bench`.
        share: In what other hosts have done.
        logs: `logs/<run>`, for what nobody foresaw.
    """

    def __init__(
        self, start: Start, outage: OutageOf, tell: Callable[[str], None], allowance: Allowance,
        options: NightlyOptions, question: QuestionOptions, episode: EpisodeOptions, *,
        home: Path, build: str, share: HomeShare, logs: Path,
    ) -> None:  # fmt: skip
        self._start, self._outage, self._tell = start, outage, tell
        self._allowance, self._options = allowance, options
        self._free = asyncio.Semaphore(options.parallel_datasets)
        self._question, self._episode = question, episode
        self._home, self._build, self._share, self._logs = home, build, share, logs

    async def work_on(self, name: str) -> NightRow:
        """What became of a dataset. What is wrong with one is told in its row and costs no other."""
        started = time.monotonic()
        try:
            row = await self._work_on(name)
        except Exception as error:
            row = NightRow(dataset=name, state="failed", detail=told(error, self._logs, log_name(name)))
        # Of a dataset that was done before, its notes have been told.
        notes = () if row.state == "done before" else await asyncio.to_thread(self._notes, name)
        return row.model_copy(update={"minutes": (time.monotonic() - started) / 60, "notes": notes})

    def _notes(self, name: str) -> tuple[str, ...]:
        with contextlib.suppress(Exception):  # Why it cannot be read, the row says.
            return known_notes(self._home, read_dataset(self._home / "datasets" / name))
        return ()

    async def _work_on(self, name: str) -> NightRow:
        earlier: NightRow | None = None
        while True:
            async with self._free:
                row, asking = await self._as_far_as_it_goes(name)
            earlier = row if earlier is None else row.after(earlier)
            if asking is None or not await self._worth_waiting(name, asking):
                return earlier

    async def _worth_waiting(self, name: str, asking: ModelOptions) -> bool:
        """Waits until the model is worth another try; whether that is in time for this night."""
        told = ""
        while not self._allowance.over and (outage := await self._outage(asking)):
            if outage.wait_s >= self._allowance.remaining_s:
                self._tell(f"{name} is left to the next night: {outage.sentence()}, after this one's window.")
                return False
            if outage.reason != told:
                self._tell(f"{name} waits: {outage.sentence()}.")
                told = outage.reason
            # Another run may find the model back long before it was said to be.
            await asyncio.sleep(min(max(LOOK_S, outage.wait_s), LOOK_AGAIN_S, self._allowance.remaining_s))
        return not self._allowance.over

    async def _as_far_as_it_goes(self, name: str) -> tuple[NightRow, ModelOptions | None]:
        """What became of the dataset; and who asks the model that is out of order, where that is in the way."""
        if self._allowance.over:
            return NightRow(dataset=name, state="not begun", detail="the window had closed"), None
        bench = await asyncio.to_thread(Bench, self._home, name, self._build)
        # Before anything is counted: what another host has asked is none of this night's budget.
        await self._share.take_work(bench.dataset)
        made = await self._make_questions(bench)
        if isinstance(made, Outage):
            return NightRow(dataset=name, state="not begun", detail=made.sentence()), self._question
        before = await asyncio.to_thread(bench.standing)
        if made.state == "not started" or not before.questions:
            state = STATES["failed" if made.state == "completed" else made.state]
            return NightRow(dataset=name, state=state, detail=made.message or "there is no question about it"), None
        digest = bench.digest(self._episode.model_dump(mode="json"), with_questions=True)
        if digest and bench.done().episodes == digest:
            row = NightRow(dataset=name, state="done before", questions=before.questions, problems=before.problems)
            return row, None
        if outage := await self._outage(self._episode):
            row = NightRow(dataset=name, state="not begun", questions=before.questions, detail=outage.sentence())
            return row, self._episode
        # How many are open under these options only the flow finds out. One more than there are: a run that asks less
        # than it may has left none.
        granted = await self._allowance.grant(min(before.questions + 1, self._options.most_per_dataset))
        if not granted:
            words = "the night's questions were used up"
            return NightRow(dataset=name, state="not begun", questions=before.questions, detail=words), None
        row = await self._answer(bench, before, granted, digest)
        cut_off = row.asked < granted and await self._outage(self._episode) is not None
        return row, self._episode if cut_off else None

    async def _make_questions(self, bench: Bench) -> Outcome | Outage:
        digest = bench.digest(self._question.model_dump(mode="json"), with_questions=False)
        if digest and bench.done().questions == digest:
            return Outcome("completed", "")
        if self._question.asks_a_model and (outage := await self._outage(self._question)):
            return outage
        outcome = await self._run("question", bench, lambda: self._question)
        if outcome.state == "completed":
            bench.note(questions=digest)
        return outcome

    async def _run(
        self, flow: str, bench: Bench, options: Callable[[], QuestionOptions | EpisodeOptions | None]
    ) -> Outcome:
        """Start a flow, and again where it was lost: of several hosts another one takes it up."""
        outcome = Outcome("crashed", "")
        for again in range(1 + self._options.crash_retries):
            given = await asyncio.to_thread(options)
            if given is None or (again and self._allowance.over):
                break
            outcome = await self._start(flow, bench.dataset.slug, bench.folder, given)
            if outcome.state != "crashed":
                break
        return outcome

    async def _answer(self, bench: Bench, before: Standing, granted: int, digest: str) -> NightRow:
        asked = granted

        def what_is_left() -> EpisodeOptions | None:
            # What was finished before a crash is not granted a second time.
            left = granted - len(bench.standing().asked_since(before))
            return self._episode.model_copy(update={"most_questions": left}) if left > 0 else None

        try:
            outcome = await self._run("episode", bench, what_is_left)
            after = await asyncio.to_thread(bench.standing)
            new = after.asked_since(before)
            asked = len(new)
        finally:
            await self._allowance.settle(granted, asked)
        if outcome.state == "completed" and asked < granted and not after.unanswered:
            bench.note(episodes=digest)
        return NightRow(
            dataset=bench.dataset.slug,
            state=STATES[outcome.state],
            questions=after.questions,
            asked=asked,
            verified=sum(entry.verdict == "verified" for entry in new),
            problems=after.problems,
            detail=outcome.message,
        )

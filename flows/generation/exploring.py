"""Exploring: a model looks at a table by running code, proposes questions, and is told which were accepted and why.

Everything sent depends only on the dataset, the configuration, the replies and what the cells and programs gave. A run
that is broken off is therefore resumed by running it again: the journal answers what came back before.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from blocks.chat.models import ChatClient, ChatReply, ChatRequest
from blocks.errors import SandboxError
from blocks.plurals import times
from blocks.together import together
from flows.generation import prompts
from flows.generation.admission import Admission, House
from flows.generation.likeness import Asked, Likeness
from flows.generation.proposals import Proposed, read_proposals
from flows.generation.recipes import Asking, Recipe, Workplace, quotas
from flows.generation.records import Decision, Exploration, ExplorationEnd, ExplorationTurn, usage_of
from flows.questions.proving import Refusal, Runs
from flows.questions.records import Difficulty, Question
from flows.verification.attempts import CellRecord, RecordedMessage
from flows.verification.feedback import cell_feedback
from flows.verification.prompts import SAME_CELL, act_words
from flows.verification.replies import Parsed, read_reply
from flows.verification.samples import sample_number
from flows.verification.trace_loop import sandbox_accident
from flows.verification.window import as_long_as_taken, next_window, sent_messages

MIN_RUNS = 2
"""Cells that must have run well before proposals are taken."""
FRUITLESS = 3
"""Replies in a row with proposals of which none was accepted: the model has nothing new to say."""
AT_ONCE = 4
"""Explorations of a dataset under way at once."""
_PLENTY = 10**9


class Explored(NamedTuple):
    """What the explorations of a dataset gave."""

    questions: list[Question]
    refused: list[Refusal]
    proposed: int
    explorations: list[Exploration]


async def explore(recipe: Recipe, asking: Asking, place: Workplace, client: ChatClient, house: House) -> Explored:
    """Have a model propose questions in as many explorations as the number wanted takes.

    Each begins by itself, with another focus; what they propose alike is kept once, by the order of their numbers.

    Args:
        recipe: How many questions.
        asking: Which model, and how.
        place: The dataset in its sandbox.
        client: The model.
        house: What proposals are judged by.

    Raises:
        ChatError: The model cannot be asked.
        SandboxError: The sandbox failed.
    """
    free = asyncio.Semaphore(AT_ONCE)

    async def one(index: int, most: int) -> _Explorer:
        explorer = _Explorer(client, asking, place, Admission(house, index), index, most)
        async with free, place.open_session() as session:
            await explorer.run(session)
        return explorer

    shares = _shares(recipe.most, asking.at_once)
    return _merged(await together(one(index, most) for index, most in enumerate(shares)), house.others)


def _shares(most: int, at_once: int) -> list[int]:
    """How many questions each exploration is asked for: as few explorations as do, equally loaded."""
    count = -(-most // at_once)
    return [most // count + (index < most % count) for index in range(count)]


def _merged(explorers: Sequence[_Explorer], others: Sequence[Asked]) -> Explored:
    asked = Likeness(others)
    questions: list[Question] = []
    refused: list[Refusal] = []
    for explorer in explorers:
        refused += explorer.refused
        for each in explorer.accepted:
            own = Asked(str(each.provenance["name"]), each.text, str(each.provenance["program"]), "")
            if repeated := asked.repeated(own):
                refused.append(Refusal(name=own.name, source="llm", reason="duplicate", detail=repeated))
            else:
                asked.add(own)
                questions.append(each)
    proposed = sum(len(explorer.accepted) + len(explorer.refused) for explorer in explorers)
    return Explored(questions, refused, proposed, [explorer.record() for explorer in explorers])


class _Explorer:
    """The state of one exploration while it runs."""

    def __init__(
        self, client: ChatClient, asking: Asking, place: Workplace, admission: Admission, index: int, most: int
    ) -> None:
        self._client = client
        self._asking = asking
        self._config = asking.trace
        self._place = place
        self._admission = admission
        self._index = index
        self._wanted = quotas(dict.fromkeys(("easy", "medium", "hard", "very_hard"), _PLENTY), most)
        self._window = 1
        self._runs = 0
        self._rejected = 0
        self._fruitless = 0
        self._started = datetime.now(UTC)
        self._ended_by: ExplorationEnd = "turn_limit"
        self.accepted: list[Question] = []
        self.refused: list[Refusal] = []
        self.turns: list[ExplorationTurn] = []
        system = prompts.explore_system(place.dataset, place.profile, self._config, asking.naming)
        task = prompts.explore_task(self._wanted, index) + self._left(0)
        self.messages = [
            RecordedMessage(role="system", content=system),
            RecordedMessage(role="user", content=task),
        ]

    async def run(self, session: Runs) -> None:
        for number in range(1, self._asking.turns + 1):
            end = await self._take(await self._ask(number), number, session)
            if end is not None:
                self._ended_by = end
                return

    def record(self) -> Exploration:
        return Exploration(
            index=self._index,
            model=self._config.model,
            endpoint=self._asking.endpoint,
            sampling=self._config.sampling,
            prompt=prompts.prompt_id("explore", self._config),
            messages=tuple(self.messages),
            turns=tuple(self.turns),
            ended_by=self._ended_by,
            usage=usage_of(self.messages),
            started=self._started,
            ended=datetime.now(UTC),
        )

    async def _ask(self, number: int) -> ChatReply:
        """The next reply; where the conversation is too long for the server, to as much of it as it takes."""
        self._window = next_window(self.messages, self._window, self._config.context_chars)
        reply = await as_long_as_taken(self._send, self._window, number)
        self.messages.append(RecordedMessage.of(reply, number))
        return reply

    async def _send(self, window: int, number: int) -> ChatReply:
        self._window = window
        return await self._client.complete(
            ChatRequest(
                model=self._config.model,
                messages=sent_messages(self.messages, window, number),
                sampling=self._config.sampling,
                tools=prompts.explore_tools(self._config),
                sample_index=sample_number("exploring", self._index),
            )
        )

    async def _take(self, reply: ChatReply, number: int, session: Runs) -> ExplorationEnd | None:
        proposed = read_proposals(reply.message)
        if proposed is not None:
            return await self._judge(proposed, number)
        parsed = read_reply(reply.message, reply.finish_reason)
        if parsed.code is None:
            return self._nothing(parsed, number)
        await self._look(parsed, parsed.code, number, session)
        return None

    async def _look(self, parsed: Parsed, code: str, number: int, session: Runs) -> None:
        result = await session.run(code, timeout_s=self._config.cell_timeout_s)
        if sandbox_accident(result):
            raise SandboxError(result.reason or "The sandbox was lost while the model looked at the table.")
        self._runs += result.status == "ok"
        text = cell_feedback(
            result, turn=number, budget=self._config.feedback_chars, timeout_s=self._config.cell_timeout_s
        )
        self.turns.append(self._turn(number, code=code, cell=CellRecord.of(result)))
        self._answer(text, number, parsed.call_ids)

    async def _judge(self, proposed: Proposed, number: int) -> ExplorationEnd | None:
        last = number == self._asking.turns
        if self._runs < MIN_RUNS and not last:
            self.turns.append(self._turn(number, rejected="proposed before it had looked"))
            self._answer(prompts.LOOK_FIRST.format(runs=times(MIN_RUNS - self._runs)), number, proposed.call_ids)
            return None
        if proposed.fault:
            form = prompts.form_words(self._config)
            text = prompts.BAD_PROPOSALS.format(reason=proposed.fault, form=form[0].upper() + form[1:])
            return self._reject(proposed.fault, text, number, proposed.call_ids)
        outcomes = await self._admission.judge(proposed.items)
        decisions = tuple(_decision(each) for each in outcomes)
        self.turns.append(self._turn(number, decisions=decisions))
        for outcome in outcomes:
            if isinstance(outcome, Refusal):
                self.refused.append(outcome)
            else:
                self.accepted.append(self._signed(outcome))
                self._place.advance(sum(self._wanted.values()))
        self._answer(self._verdicts(decisions, proposed), number, proposed.call_ids)
        self._fruitless = 0 if any(each.accepted for each in decisions) else self._fruitless + 1
        if not proposed.items or self._fruitless >= FRUITLESS:
            return "nothing_more"
        return "enough" if len(self.accepted) >= sum(self._wanted.values()) else None

    def _signed(self, question: Question) -> Question:
        prompt = prompts.prompt_id("explore", self._config)
        by = {"model": self._config.model, "endpoint": self._asking.endpoint, "prompt": prompt.model_dump()}
        return question.model_copy(update={"provenance": {**question.provenance, **by}})

    def _nothing(self, parsed: Parsed, number: int) -> ExplorationEnd | None:
        text = prompts.NO_ACTION.format(act=act_words(self._config), form=prompts.form_words(self._config))
        return self._reject(parsed.rejected or "no_code", text, number, parsed.call_ids)

    def _reject(self, why: str, text: str, number: int, call_ids: Sequence[str]) -> ExplorationEnd | None:
        self._rejected += 1
        self.turns.append(self._turn(number, rejected=why))
        self._answer(text, number, call_ids)
        return "rejection_limit" if self._rejected > self._config.max_rejected else None

    def _verdicts(self, decisions: Sequence[Decision], proposed: Proposed) -> str:
        lines = [
            prompts.ACCEPTED.format(number=number)
            if each.accepted
            else prompts.REFUSED.format(number=number, reason=each.detail)
            for number, each in enumerate(decisions, start=1)
        ]
        if proposed.cut_off:
            lines.append(prompts.CUT_OFF.format(number=len(decisions)))
        if proposed.with_code:
            lines.append(prompts.BOTH)
        count = sum(self._wanted.values())
        lines.append(prompts.VERDICTS.format(accepted=len(self.accepted), count=count))
        left = count - len(self.accepted)
        if left > 0:
            lines.append(prompts.GO_ON.format(left=left, levels=prompts.level_words(self._still_wanted())))
        return "\n".join(lines)

    def _still_wanted(self) -> Mapping[Difficulty, int]:
        have = Counter(question.difficulty for question in self.accepted)
        return {level: max(0, count - have[level]) for level, count in self._wanted.items()}

    def _turn(
        self,
        number: int,
        *,
        code: str | None = None,
        cell: CellRecord | None = None,
        decisions: tuple[Decision, ...] = (),
        rejected: str = "",
    ) -> ExplorationTurn:
        at = len(self.messages) - 1
        return ExplorationTurn(index=number, reply_at=at, code=code, cell=cell, decisions=decisions, rejected=rejected)

    def _answer(self, text: str, number: int, call_ids: Sequence[str]) -> None:
        text += self._left(number)
        if not call_ids:
            self.messages.append(RecordedMessage(role="user", content=text, turn=number))
        for position, call_id in enumerate(call_ids):
            content = text if position == 0 else SAME_CELL
            self.messages.append(
                RecordedMessage(role="tool", content=content, tool_call_id=call_id, turn=number, answers=call_id)
            )

    def _left(self, number: int) -> str:
        left = self._asking.turns - number
        return prompts.LAST if left == 1 else prompts.LEFT.format(left=left) if left else ""


def _decision(outcome: Question | Refusal) -> Decision:
    if isinstance(outcome, Refusal):
        return Decision(name=outcome.name, accepted=False, reason=outcome.reason, detail=outcome.detail)
    return Decision(name=str(outcome.provenance["name"]), accepted=True)

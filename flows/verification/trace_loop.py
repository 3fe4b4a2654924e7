"""The attempt: a model writes code, a session runs it, the result goes back, until a cell submits or a cap is reached.

Everything sent depends only on dataset, question, configuration, replies and cell results. A broken-off attempt is
therefore resumed by running it again: the journal answers the turns that came back, the code runs anew, and only what
never came back is paid for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from blocks.chat.errors import ContextOverflow, TooLong
from blocks.chat.models import ChatClient, ChatReply, ChatRequest, Sampling
from blocks.errors import SandboxError, SandboxUnavailable, TrigpointError, UserError
from blocks.sandboxes.models import CellResult, Submission
from flows.verification import prompts
from flows.verification.attempts import (
    CellRecord,
    EndedBy,
    Outcome,
    RecordedMessage,
    Role,
    Trace,
    TraceConfig,
    TraceError,
    Turn,
    UsageTotals,
)
from flows.verification.corrections import correction
from flows.verification.feedback import cell_feedback
from flows.verification.grounding import ground_notes
from flows.verification.prompts import Task
from flows.verification.replies import Parsed, read_reply
from flows.verification.window import as_long_as_taken, next_window, sent_messages


class SessionLike(Protocol):
    """What an attempt needs of a sandbox session."""

    async def run(self, code: str, *, timeout_s: float | None = None) -> CellResult:
        """Run a cell; never raises for what the code does."""
        ...

    async def reset(self) -> None:
        """Start over with a fresh namespace."""
        ...


class _End(NamedTuple):
    outcome: Outcome
    ended_by: EndedBy
    error: TraceError | None = None
    submission: Submission | None = None


async def run_trace(
    client: ChatClient,
    session: SessionLike,
    task: Task,
    config: TraceConfig,
    *,
    hint: str | None = None,
    sample_index: int = 0,
    role: Role | None = None,
    on_turn: Callable[[Turn], None] | None = None,
) -> Trace:
    """Make one attempt at a question.

    Args:
        client: The model client.
        session: A session of the dataset's sandbox; it is reset first, so nothing of an earlier attempt is seen.
        task: Question, dataset and profile.
        config: How attempts are made.
        hint: Told to the model; for the gold trace only.
        sample_index: 0 for the gold trace, from 1 for the independent ones, see `flows.verification.samples`; tells
            equal calls apart. A seed in the sampling is raised by it, or all attempts would be one.
        role: Gold or independent; by default what the sample index says.
        on_turn: Called with each finished turn, for progress.

    Returns:
        The attempt's record. Failures of the model, the client and the sandbox are outcomes in it, not exceptions.
    """
    attempt = _Attempt(client, session, task, config, hint, sample_index)
    started = datetime.now(UTC)
    end = await attempt.run(on_turn or (lambda turn: None))
    return Trace(
        role=role or ("gold" if sample_index == 0 else "independent"),
        index=sample_index,
        hinted=bool(hint),
        model=config.model,
        sampling=attempt.sampling,
        prompt=prompts.prompt_id(config),
        messages=tuple(attempt.messages),
        turns=tuple(attempt.turns),
        outcome=end.outcome,
        ended_by=end.ended_by,
        error=end.error,
        answer=end.submission.value if end.submission is not None else None,
        usage=UsageTotals.of(message.call for message in attempt.messages if message.call is not None),
        started=started,
        ended=datetime.now(UTC),
    )


async def run_program(session: SessionLike, code: str, *, timeout_s: float | None = None) -> Trace:
    """Run a question's reference program as an attempt of the role `reference`: one turn, no model.

    Args:
        session: A session of the dataset's sandbox; it is reset first.
        code: Pandas code that ends in submit(…).
        timeout_s: Wall clock, seconds; None for the sandbox's own limit.
    """
    started = datetime.now(UTC)
    turns: tuple[Turn, ...] = ()
    try:
        await session.reset()
        result = await session.run(code, timeout_s=timeout_s)
    except (SandboxError, SandboxUnavailable) as error:
        end = _End("sandbox_lost", "sandbox_lost", trace_error(error))
    else:
        cell = CellRecord.of(result)
        notes = ground_notes((), code, cell)
        turns = (Turn(index=1, via="program", call_id="turn_1", blocks=1, code=code, cell=cell, notes=notes),)
        end = _judge(result) or _capped(turns, "program_end")
    return Trace(
        role="reference",
        index=0,
        turns=turns,
        outcome=end.outcome,
        ended_by=end.ended_by,
        error=end.error,
        answer=end.submission.value if end.submission is not None else None,
        started=started,
        ended=datetime.now(UTC),
    )


def request_for(trace: Trace, turn: Turn, config: TraceConfig) -> ChatRequest:
    """The model call that a recorded turn was the answer to, rebuilt from the record."""
    return _request(trace.messages, trace.turns, turn.index, turn.window_from, config, trace.index)


def sandbox_accident(result: CellResult) -> bool:
    """Whether a cell met an accident of this machine, which has no place in the conversation; a new try is cheap.

    Where a cell that itself did no harm lost its variables, they went with a sandbox rebuilt between two cells.
    """
    return result.status == "lost" or (result.status in ("ok", "error") and not result.namespace_kept)


def trace_error(error: TrigpointError) -> TraceError:
    """An exception as an attempt's record keeps it."""
    return TraceError(
        kind=getattr(error, "kind", type(error).__name__),
        message=error.message,
        remedy=error.remedy,
        users=isinstance(error, UserError),
    )


def _unshortened(error: TooLong, number: int) -> TraceError:
    """How an attempt ends whose conversation is too long, with nothing left that could be left out."""
    told = trace_error(error)
    if number > 1:
        return told
    return told.model_copy(
        update={"message": f"{told.message} It is the first request: nothing can be left out of it."}
    )


class _Attempt:
    """The state of one attempt while it runs."""

    def __init__(
        self, client: ChatClient, session: SessionLike, task: Task, config: TraceConfig, hint: str | None, index: int
    ) -> None:
        self._client = client
        self._session = session
        self._config = config
        self._index = index
        self._window = 1
        self.sampling = _sampling(config.sampling, index)
        self.turns: list[Turn] = []
        system, first = prompts.opening(task, config, hint)
        self.messages = [
            RecordedMessage(role="system", content=system),
            RecordedMessage(role="user", content=first.text, hint_span=first.hint_span),
        ]

    async def run(self, on_turn: Callable[[Turn], None]) -> _End:
        try:
            await self._session.reset()
        except (SandboxError, SandboxUnavailable) as error:
            return _End("sandbox_lost", "sandbox_lost", trace_error(error))
        end: _End | None = None
        while end is None:
            before = len(self.turns)
            end = await self._turn(before + 1)
            if len(self.turns) > before:
                on_turn(self.turns[-1])
        return end

    async def _turn(self, number: int) -> _End | None:
        try:
            reply = await self._reply(number)
        except ContextOverflow as error:
            return _End("context_overflow", "context_overflow", _unshortened(error, number))
        except TooLong as error:
            return _End("model_error", "model_error", _unshortened(error, number))
        except TrigpointError as error:
            return _End("model_error", "model_error", trace_error(error))
        self.messages.append(RecordedMessage.of(reply, number))
        parsed = read_reply(reply.message, reply.finish_reason)
        turn = self._begun(parsed, number)
        if parsed.code is None:
            return self._rejected(turn, parsed)
        return await self._ran(turn, parsed, parsed.code)

    async def _reply(self, number: int) -> ChatReply:
        """The next reply; where the conversation is too long for the server, to as much of it as it takes."""
        self._window = next_window(self.messages, self._window, self._config.context_chars)
        return await as_long_as_taken(self._send, self._window, number)

    async def _send(self, window: int, number: int) -> ChatReply:
        self._window = window
        return await self._client.complete(
            _request(self.messages, self.turns, number, window, self._config, self._index)
        )

    def _begun(self, parsed: Parsed, number: int) -> Turn:
        return Turn(
            index=number,
            reply_at=len(self.messages) - 1,
            window_from=self._window,
            thinking=parsed.thinking,
            reasoning=parsed.reasoning,
            via=parsed.via,
            call_id=parsed.call_ids[0] if parsed.call_ids else f"turn_{number}",
            blocks=parsed.blocks,
            code=parsed.code,
            rejected=parsed.rejected,
        )

    def _rejected(self, turn: Turn, parsed: Parsed) -> _End | None:
        self.turns.append(turn)
        count = sum(earlier.rejected is not None for earlier in self.turns)
        end: _End | None = None
        if count >= self._config.max_rejected:
            end = _capped(self.turns, "rejection_limit")
        elif turn.index >= self._config.max_turns:
            end = _capped(self.turns, "turn_limit")
        text = prompts.rejection(parsed.rejected or "no_code", self._config)
        self._answer(turn, parsed, text, last=end is not None, same=text)
        return end

    async def _ran(self, turn: Turn, parsed: Parsed, code: str) -> _End | None:
        try:
            result = await self._session.run(code, timeout_s=self._config.cell_timeout_s)
        except (SandboxError, SandboxUnavailable) as error:
            self.turns.append(turn)
            return _End("sandbox_lost", "sandbox_lost", trace_error(error))
        cell = CellRecord.of(result)
        facts = {
            "cell": cell,
            "correction": correction(self.turns, code, cell),
            "notes": ground_notes(self.turns, code, cell),
        }
        self.turns.append(turn.model_copy(update=facts))
        end = _judge(result)
        if end is None and turn.index >= self._config.max_turns:
            end = _capped(self.turns, "turn_limit")
        text = cell_feedback(
            result, turn=turn.index, budget=self._config.feedback_chars, timeout_s=self._config.cell_timeout_s
        )
        self._answer(turn, parsed, text, last=end is not None, same=prompts.SAME_CELL)
        return end

    def _answer(self, turn: Turn, parsed: Parsed, text: str, *, last: bool, same: str) -> None:
        """Put the result into the conversation: one tool message for each call, or one user message."""
        left = "" if last else prompts.turns_left(self._config.max_turns - turn.index, self._config)
        if not parsed.call_ids:
            answers = turn.call_id if turn.code is not None else None
            self.messages.append(RecordedMessage(role="user", content=text + left, turn=turn.index, answers=answers))
        for position, call_id in enumerate(parsed.call_ids):
            final = position == len(parsed.call_ids) - 1
            content = (same if position else text) + (left if final else "")
            self.messages.append(
                RecordedMessage(role="tool", content=content, tool_call_id=call_id, turn=turn.index, answers=call_id)
            )


def _request(
    messages: Sequence[RecordedMessage],
    turns: Sequence[Turn],
    number: int,
    window: int,
    config: TraceConfig,
    index: int,
) -> ChatRequest:
    return ChatRequest(
        model=config.model,
        messages=sent_messages(messages, window, number, _lost_at(turns, window)),
        sampling=_sampling(config.sampling, index),
        tools=prompts.tools(config),
        sample_index=index,
    )


def _judge(result: CellResult) -> _End | None:
    """Whether a cell ends the attempt. Its status decides; nothing is read from text."""
    if sandbox_accident(result):
        reason = result.reason or "the sandbox was lost while the cell ran"
        return _End("sandbox_lost", "sandbox_lost", TraceError(kind="SandboxLost", message=reason))
    if result.status == "ok" and result.submission is not None:
        return _End("answered", "submission", submission=result.submission)
    return None


def _capped(turns: Sequence[Turn], ended_by: EndedBy) -> _End:
    ran = [turn.cell for turn in turns if turn.cell is not None]
    if not ran:
        return _End("no_code", ended_by)
    return _End("no_answer" if ran[-1].status == "ok" else "code_failed", ended_by)


def _lost_at(turns: Sequence[Turn], window: int) -> int | None:
    lost = [turn.index for turn in turns if turn.index < window and turn.cell and not turn.cell.namespace_kept]
    return lost[-1] if lost else None


def _sampling(sampling: Sampling, index: int) -> Sampling:
    return sampling if sampling.seed is None else sampling.model_copy(update={"seed": sampling.seed + index})

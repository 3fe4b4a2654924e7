"""Rewording: what a program asks, put into a model's words and kept only when the words alone lead to its answer.

The model writes several wordings in one call. Each is checked by its words: nothing that decides the answer may be
lost. Then comes the round trip: a fresh attempt that sees only the wording must reach the program's answer. The first
wording that passes is taken; where none does, the question keeps its own complete words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from blocks.chat.models import ChatClient, ChatRequest
from blocks.errors import TrigpointError
from blocks.together import together
from flows.answers.answers import parse_answer, parse_reference
from flows.answers.comparator import compare
from flows.generation import prompts
from flows.generation.proposals import read_wordings
from flows.generation.recipes import Asking, Batch, Workplace
from flows.generation.records import Rewording, WordingTried
from flows.generation.vetting import decimals_asked, faults
from flows.questions.contamination import Benchmarks
from flows.questions.records import AnswerSpec, Question, content_key
from flows.tables.scale import scaled
from flows.verification.attempts import CallFacts, Trace, UsageTotals
from flows.verification.prompts import Task
from flows.verification.samples import sample_number
from flows.verification.trace_loop import run_trace

_NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?!\w)")
_QUOTED = re.compile(r'["“«]([^"”»]+)["”»]')
_UP_TO_TWELVE = "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905
_WORD_NUMBERS = {word: str(number) for number, word in enumerate(_UP_TO_TWELVE)} | {
    "once": "1", "twice": "2", "half": "0.5", "first": "1", "second": "2", "third": "3",
}  # fmt: skip
_ROUNDING = re.compile(r"\b\d{1,2}[\s-]+decimals?(?: places?)?\b", re.I)


class WordingCutOff(TrigpointError):
    """The model or the sandbox failed while wordings were tried; the next run goes on from the journal."""


def rewording_key(batch_key: str, asking: Asking, told: str) -> str:
    """Identity of a reworded batch.

    Args:
        batch_key: Of the batch in plain words.
        asking: Which model, and how.
        told: `told_digest` of what round trips are told.
    """
    prompt = prompts.prompt_id("reword", asking.trace)
    # 2: round trips have sample numbers of their own; before, a round trip was the call that verified its question.
    return content_key("rewording/2", batch_key, asking.model_dump(mode="json"), prompt.model_dump(), told)


async def reword(batch: Batch, asking: Asking, benchmarks: Benchmarks | None, place: Workplace, key: str) -> Batch:
    """The batch with its questions in a model's words, where words were found that lead to the same answers.

    Args:
        batch: Questions with ground truths.
        asking: Which model, and how.
        benchmarks: Questions that no wording may repeat.
        place: The dataset in its sandbox, with the model.
        key: `rewording_key` of the outcome.

    Raises:
        ChatError: The model cannot be asked.
        WordingCutOff: A round trip was broken off from outside.
    """
    if place.client is None:
        raise AssertionError("rewording needs a model")
    desk = _Desk(place.client, asking, place, benchmarks)
    rewordings = await together(desk.reword(each, len(batch.questions)) for each in batch.questions)
    taken: set[str] = {each.text for each in batch.questions}
    questions: list[Question] = []
    for question, rewording in zip(batch.questions, rewordings, strict=True):
        text = rewording.kept
        # Two questions in the same words would be one question with two answers.
        questions.append(_reworded(question, text, rewording) if text is not None and text not in taken else question)
        taken.add(questions[-1].text)
    return batch.model_copy(update={"key": key, "questions": tuple(questions), "rewordings": tuple(rewordings)})


def lost(plain: str, wording: str, columns: Sequence[str]) -> str:
    """What a wording loses of a question: a number, a quoted value of the table, the rounding; empty when nothing.

    Args:
        plain: The question as its program's author wrote it.
        wording: The same in other words.
        columns: Names a wording may replace.
    """
    if decimals_asked(plain) != decimals_asked(wording):
        return "it rounds otherwise"
    rest = _ROUNDING.sub(" ", plain)
    values = [text for text in _QUOTED.findall(rest) if text not in columns]
    for value in values:
        if value.casefold() not in wording.casefold():
            return f'"{value}" is not in it'
    for name in columns:
        rest = rest.replace(name, " ")
    missing = _numbers(_QUOTED.sub(" ", rest)) - _numbers(_ROUNDING.sub(" ", wording))
    return f"{min(missing)} is not in it" if missing else ""


def _numbers(text: str) -> set[str]:
    """Each number of a text once, digits or words; 5 and 5.0 are one."""
    spelled = re.sub(r"[a-z]+", lambda found: _WORD_NUMBERS.get(found.group(), found.group()), text.casefold())
    found = (number.replace(",", "") for number in _NUMBER.findall(spelled))
    return {re.sub(r"(\.\d*?)0+$", r"\1", number).rstrip(".") for number in found}


class _Desk:
    """Where one question after another is put into other words."""

    def __init__(self, client: ChatClient, asking: Asking, place: Workplace, benchmarks: Benchmarks | None) -> None:
        self._client = client
        self._asking = asking
        self._place = place
        self._benchmarks = benchmarks
        self._prompt = prompts.prompt_id("reword", asking.trace)
        self._columns = [column.name for column in place.profile.facts]

    async def reword(self, question: Question, total: int) -> Rewording:
        reply = await self._client.complete(
            ChatRequest(
                model=self._asking.trace.model,
                messages=prompts.reword_messages(question.text, self._asking.wordings, self._asking.naming),
                sampling=self._asking.trace.sampling,
                sample_index=sample_number("rewording"),
            )
        )
        usage = UsageTotals.of([CallFacts.of(reply)])
        tried: list[WordingTried] = []
        for text in read_wordings(reply.message)[: self._asking.wordings]:
            tried.append(await self._try(question, text))
            trace = tried[-1].trace
            if trace is not None:
                usage = usage.plus(trace.usage)
            if tried[-1].reason == "kept":
                break
        self._place.advance(total)
        return Rewording(
            question=question.id,
            model=self._asking.trace.model,
            prompt=self._prompt,
            tried=tuple(tried),
            usage=usage,
        )

    async def _try(self, question: Question, text: str) -> WordingTried:
        if missing := lost(question.text, text, self._columns):
            return WordingTried(text=text, reason="loses", detail=missing)
        found = _new_faults(question, text, self._columns, self._asking)
        if found:
            return WordingTried(text=text, reason="wording", detail="; ".join(found))
        overlap = self._benchmarks.overlap(text) if self._benchmarks is not None else None
        if overlap is not None:
            return WordingTried(text=text, reason="contaminated", detail=overlap.sentence())
        return await self._round_trip(question, text)

    async def _round_trip(self, question: Question, text: str) -> WordingTried:
        asked = question.model_copy(update={"text": text, "hint": None})
        task = Task(asked, self._place.dataset, self._place.profile)
        async with self._place.open_session() as session:
            sample = sample_number("round trip")
            trace = await run_trace(self._client, session, task, self._asking.trace, sample_index=sample)
        if trace.broken_off:
            error = trace.error
            raise WordingCutOff(
                error.message if error is not None else "A round trip was broken off.",
                error.remedy if error is not None else "",
            )
        return _compared(question, scaled(question.answer, self._place.profile), text, trace)


def _compared(question: Question, spec: AnswerSpec, text: str, trace: Trace) -> WordingTried:
    if trace.answer is None:
        detail = f"the attempt ended without an answer ({trace.outcome.replace('_', ' ')})"
        return WordingTried(text=text, reason="no_answer", detail=detail, trace=trace)
    reached = parse_answer(trace.answer, spec)
    detail = ""
    for truth in (question.ground_truth, *question.alternatives):
        found = compare(parse_reference(truth, spec), reached, spec)
        if found.equal:
            return WordingTried(text=text, reason="kept", trace=trace)
        detail = detail or found.reason
    return WordingTried(text=text, reason="another_answer", detail=detail, trace=trace)


def _new_faults(question: Question, text: str, columns: Sequence[str], asking: Asking) -> list[str]:
    """Faults of a wording that the question's own words have not: those were proven complete."""
    own = set(faults(question.text, question.answer, columns, "any"))
    return [each for each in faults(text, question.answer, columns, asking.naming) if each not in own]


def _reworded(question: Question, text: str, rewording: Rewording) -> Question:
    by = {"model": rewording.model, "prompt": rewording.prompt.model_dump(), "plain": question.text}
    return question.model_copy(update={"text": text, "provenance": {**question.provenance, "wording": by}})

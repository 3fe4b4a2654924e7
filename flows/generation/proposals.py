"""Reading what a model proposes: questions with programs, from a JSON block or a call of propose_questions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field, ValidationError

from blocks.chat.models import Message
from blocks.frozen import Frozen
from flows.generation.prompts import TOOL_NAME
from flows.questions.records import AnswerSpec, Difficulty, ValueSpec
from flows.verification.replies import fenced_blocks, split_thinking

MOST_AT_ONCE = 100
"""Proposals read from one reply."""
_TAGS = frozenset({"json", "json5", "jsonc", ""})
_FIELDS = frozenset({"question", "question_text", "text"})
_LIST_START = re.compile(r'"questions"\s*:\s*\[|^\s*\[', re.M)


def _lower(value: Any) -> Any:
    return value.strip().lower().replace(" ", "_").replace("-", "_") if isinstance(value, str) else value


def _joined(value: Any) -> Any:
    """A program may come as a list of lines."""
    lines = isinstance(value, list) and all(isinstance(line, str) for line in value)
    return "\n".join(value) if lines else value


def _answer(value: Any) -> Any:
    return _said(value, AnswerSpec)


def _said(value: Any, kind: type[AnswerSpec | ValueSpec]) -> Any:
    """What is said of an answer, or of one of its values: a bare type is one, and nulls are what is not given."""
    if isinstance(value, str):
        return {"type": _lower(value)}
    if not isinstance(value, dict):
        return value
    # A scale is the table's, not the model's to say.
    names = kind.model_fields.keys() - {"scale"}
    return {name: _part(name, part) for name, part in value.items() if part is not None and name in names}


def _part(name: str, part: Any) -> Any:
    if name == "by_key" and isinstance(part, dict):
        return {key: _said(own, ValueSpec) for key, own in part.items()}
    return _lower(part) if name in ("type", "items") else part


class Proposal(Frozen):
    """One question as a model proposes it. What else the model writes into it is left aside."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    question: Annotated[
        str, Field(min_length=1, max_length=4_000, validation_alias=AliasChoices("question", "question_text", "text"))
    ]
    hint: Annotated[str, Field(min_length=1, max_length=4_000)]
    program: Annotated[
        str, BeforeValidator(_joined), Field(min_length=1, validation_alias=AliasChoices("program", "code"))
    ]
    answer: Annotated[AnswerSpec, BeforeValidator(_answer)]
    difficulty: Annotated[Difficulty, BeforeValidator(_lower)] = "medium"
    steps: Annotated[int, Field(ge=1, le=100, validation_alias=AliasChoices("steps", "n_steps"))] = 3
    tags: Annotated[tuple[str, ...], Field(max_length=20)] = ()


class Unreadable(NamedTuple):
    """A proposal that is none, and why."""

    reason: str


class Proposed(NamedTuple):
    """What a reply proposes.

    Attributes:
        items: Each proposal, or why it is none, in the reply's order.
        cut_off: The reply ended in the middle of them.
        fault: Why none could be read at all; empty otherwise.
        call_ids: Ids of native calls, every one of which needs a result.
        with_code: The reply also holds code to run.
    """

    items: tuple[Proposal | Unreadable, ...]
    cut_off: bool = False
    fault: str = ""
    call_ids: tuple[str, ...] = ()
    with_code: bool = False


def read_proposals(message: Message) -> Proposed | None:
    """The proposals of a reply; None when it proposes nothing.

    An empty list is a proposal too: the model has no more questions.
    """
    calls = [call for call in message.tool_calls if call.name == TOOL_NAME]
    ids = tuple(call.id for call in message.tool_calls)
    if calls:
        return _read([call.arguments for call in calls], ids, with_code=len(calls) < len(ids))
    blocks, prose = fenced_blocks(split_thinking(message.content).text)
    candidates = [block.code for block in blocks if block.tag in _TAGS and _looks_like(block.code)]
    if not candidates and not blocks and _looks_like(prose):
        candidates = [prose[min(at for at in (prose.find("{"), prose.find("[")) if at >= 0) :]]
    return _read(candidates, ids, with_code=any(block.tag.startswith("py") for block in blocks)) if candidates else None


def read_wordings(message: Message) -> tuple[str, ...]:
    """The wordings in a reply, each once; none when it holds no list of texts."""
    blocks, prose = fenced_blocks(split_thinking(message.content).text)
    for text in (*(block.code for block in blocks if block.tag in _TAGS), prose[max(prose.find("{"), 0) :]):
        data = _loads(text)
        found = data.get("wordings") if isinstance(data, dict) else data
        if isinstance(found, list):
            return tuple(dict.fromkeys(each.strip() for each in found if isinstance(each, str) and each.strip()))
    return ()


def _read(texts: list[str], ids: tuple[str, ...], *, with_code: bool) -> Proposed:
    items: list[Any] = []
    cut_off = False
    fault = ""
    for text in texts:
        found = _records(_loads(text))
        if found is None:
            found = list(_salvaged(text))
            cut_off = True
            fault = "it is not JSON" if not found else ""
        items += found
    read = tuple(_proposal(item) for item in items[:MOST_AT_ONCE])
    return Proposed(read, cut_off, "" if read else fault, ids, with_code)


def _looks_like(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")) and '"questions"' not in text:
        return False
    return '"questions"' in text or any(f'"{field}"' in text for field in _FIELDS)


def _loads(text: str) -> Any:
    try:
        # strict=False: models put bare line breaks into JSON strings.
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return _NOT_JSON


_NOT_JSON = object()


def _records(data: Any) -> list[Any] | None:
    if isinstance(data, dict):
        questions = data.get("questions")
        if isinstance(questions, list):
            return questions
        return [data] if data.keys() & _FIELDS else None
    return data if isinstance(data, list) else None


def _salvaged(text: str) -> Iterator[Any]:
    """The whole objects at the head of a list that stops in the middle."""
    opening = _LIST_START.search(text)
    if opening is None:
        return
    decoder = json.JSONDecoder(strict=False)
    at = opening.end()
    while (begin := text.find("{", at)) >= 0 and text[at:begin].strip(" \t\r\n,") == "":
        try:
            item, at = decoder.raw_decode(text, begin)
        except (ValueError, RecursionError):
            return
        yield item


def _proposal(item: Any) -> Proposal | Unreadable:
    if not isinstance(item, dict):
        return Unreadable("it is no object with the fields question, hint, program, answer, difficulty and steps")
    try:
        return Proposal.model_validate(item)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        return Unreadable(f"{where}: {first['msg'].lower()}")

"""Reading question files: one JSON object per line (.jsonl), or one JSON array. Bad lines are told, good ones go on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from blocks.errors import UserError
from blocks.newer import newer_in, newer_words
from flows.questions.records import AnswerSpec, Question, content_key
from flows.tables.profiling import quote

MAX_FILE_BYTES = 256 * 2**20
MAX_LINE_BYTES = 2**20
_SHOWN = 60
_WHITESPACE = " \t\r\n"


class QuestionFileError(UserError):
    """A question file that cannot be used at all."""


class Problem(NamedTuple):
    """One question that was left out, and why."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        """The sentence a user reads: file:line: what is wrong."""
        return f"{self.file}:{self.line}: {self.message}"


class QuestionFile(NamedTuple):
    """What a file held."""

    questions: tuple[Question, ...]
    problems: tuple[Problem, ...]


class _Item(NamedTuple):
    line: int
    data: Any
    fault: str = ""


def read_questions(path: Path) -> QuestionFile:
    """Read a question file.

    A question needs only `text`; where `id` is missing one is made from the content. Keys that are not of the question
    record are refused, because a misspelt `decimals` would silently change what is asked.

    Returns:
        The questions in the file's order, and a problem for each that was left out: not JSON, not a question, an id
        that was already taken, the same question once more.

    Raises:
        QuestionFileError: The file is missing, unreadable, too large, empty, or holds not one good question.
    """
    raw = _read(path)
    items = _array_items(raw) if raw.lstrip().startswith(b"[") else _line_items(raw)
    questions: list[Question] = []
    problems: list[Problem] = []
    ids: dict[str, int] = {}
    contents: dict[str, int] = {}
    for item in items:
        if item.fault:
            problems.append(Problem(str(path), item.line, item.fault))
            continue
        try:
            question = question_from(item.data)
        except ValueError as error:
            problems.append(Problem(str(path), item.line, str(error)))
            continue
        clash = _clash(question, item.line, ids, contents)
        if clash:
            problems.append(Problem(str(path), item.line, clash))
        else:
            questions.append(question)
    if not questions:
        why = f"; the first problem: {problems[0]}" if problems else ", the file is empty."
        raise QuestionFileError(f"{path} holds no question{why}", "Give one JSON object with a `text` per line.")
    return QuestionFile(tuple(questions), tuple(problems))


def question_from_text(text: str, answer: AnswerSpec | None = None) -> Question:
    """A question asked in plain words; its id comes from the words.

    Raises:
        QuestionFileError: There are no words.
    """
    words = text.strip()
    if not words:
        raise QuestionFileError("The question is empty.", "Write what you want to know about the table.")
    try:
        return question_from({"text": words, "answer": (answer or AnswerSpec()).model_dump(), "tags": ["asked"]})
    except ValueError as error:
        raise QuestionFileError(f"This question cannot be used: {error}") from error


def question_from(data: Any) -> Question:
    """One question from plain JSON data.

    Raises:
        ValueError: It is none; the message is one sentence.
    """
    if not isinstance(data, dict):
        raise ValueError(f"a question is a JSON object, this is {_kind(data)}.")
    if "id" not in data:
        data = {**data, "id": "q-" + _digest(data)}
    try:
        return Question.model_validate(data)
    except ValidationError as error:
        raise ValueError(_sentence(error)) from error


def _clash(question: Question, line: int, ids: dict[str, int], contents: dict[str, int]) -> str:
    """Why the question cannot stand beside the earlier ones; takes its id and content when it can."""
    content = question.key("")
    if question.id in ids:
        return f"the id {quote(question.id, _SHOWN)} is already taken by line {ids[question.id]}."
    if content in contents:
        return f"it asks exactly what line {contents[content]} asks."
    ids[question.id] = contents[content] = line
    return ""


def _read(path: Path) -> bytes:
    remedy = "Check the path given for the questions."
    if path.is_dir():
        raise QuestionFileError(f"{path} is a folder.", remedy)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise QuestionFileError(f"{path} is over {MAX_FILE_BYTES:,} bytes.", "Split it into several files.")
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except FileNotFoundError as error:
        raise QuestionFileError(f"{path} does not exist.", remedy) from error
    except OSError as error:
        raise QuestionFileError(f"{path} cannot be read: {error.strerror}.", remedy) from error


def _line_items(raw: bytes) -> Iterator[_Item]:
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not line.strip():
            continue
        if len(line) > MAX_LINE_BYTES:
            yield _Item(number, None, f"the line is over {MAX_LINE_BYTES:,} bytes long.")
            continue
        try:
            yield _Item(
                number, json.loads(line.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
            )
        except UnicodeDecodeError:
            yield _Item(number, None, "the line is not UTF-8 text.")
        except (ValueError, RecursionError) as error:
            yield _Item(number, None, f"the line is not JSON: {_json_fault(error)}.")


def _array_items(raw: bytes) -> Iterator[_Item]:
    """The elements of a JSON array with the line each begins on; what follows a syntax error is lost with it."""
    # Bytes that are no UTF-8 become lone surrogates here, which the record refuses: they cost their own element only.
    text = raw.decode("utf-8", "surrogateescape")
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
    at = _skip(text, text.index("[") + 1)
    line, counted = text.count("\n", 0, at) + 1, at
    while at < len(text) and text[at] != "]":
        line, counted = line + text.count("\n", counted, at), at
        try:
            data, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            yield _Item(line, None, f"the array stops being JSON here: {_json_fault(error)}.")
            return
        yield _Item(line, data)
        end = _skip(text, end)
        if text[end : end + 1] not in (",", "]"):
            broken = line + text.count("\n", counted, end)
            yield _Item(broken, None, "the array stops being JSON here: a comma or a closing bracket is missing.")
            return
        at = _skip(text, end + 1) if text[end] == "," else end


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _WHITESPACE:
        at += 1
    return at


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{quote(twice, _SHOWN)} is there twice")
    return data


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _json_fault(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.lower()} at column {error.colno}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _sentence(error: ValidationError) -> str:
    if (version := newer_in(error)) is not None:
        return f"this question {newer_words(version)}; it is left as it is."
    faults = error.errors(include_url=False)
    first = faults[0]
    where = quote(".".join(str(part) for part in first["loc"]), _SHOWN)[1:-1]
    more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
    if first["type"] == "missing":
        return f"`{where}` is missing{more}."
    if first["type"] == "extra_forbidden":
        return f"`{where}` is no field of a question{more}."
    given = first["input"]
    got = quote(given, _SHOWN) if isinstance(given, str) else json.dumps(given, default=str)[:_SHOWN]
    return f"`{where}`: {first['msg'].lower()}, got {got}{more}."


def _kind(data: Any) -> str:
    names: Mapping[type, str] = {str: "a text", list: "a list", bool: "true or false", type(None): "null"}
    return names.get(type(data), "a number")


def _digest(data: dict[str, Any]) -> str:
    try:
        return content_key(data)[:10]
    except (ValueError, RecursionError, TypeError) as error:
        raise ValueError("it holds values that are no JSON.") from error

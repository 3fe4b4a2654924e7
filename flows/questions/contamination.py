"""Decontamination: questions that share words in a row with a benchmark question are left out, and it is said why."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from blocks.errors import UserError
from flows.questions.records import content_key

DEFAULT_WORDS = 8
SUFFIXES = (".txt", ".jsonl", ".json", ".csv")
FIELDS = ("question", "text", "prompt", "query", "instruction", "problem", "input")
"""Where a benchmark's record keeps its question; the first that is there counts."""
_MAX_BYTES = 512 * 2**20
_WORD = re.compile(r"\w+(?:[.,]\d+)*")


class Overlap(NamedTuple):
    """What a question shares with a benchmark."""

    where: str
    """The benchmark question: file and number."""
    words: str
    """The words in a row."""

    def sentence(self) -> str:
        """Why the question is left out."""
        return f'shares "{self.words}" with {self.where}'


class Benchmarks:
    """The questions of a folder of benchmarks, indexed by every run of `words` words.

    A question shorter than that is indexed whole. Case, accents' spelling and punctuation between words do not count;
    numbers do: "above 1.5" is not "above 15".
    """

    def __init__(self, words: int = DEFAULT_WORDS) -> None:
        self.words = words
        self.count = 0
        self._runs: dict[tuple[str, ...], str] = {}
        self._short: dict[tuple[str, ...], str] = {}

    @property
    def key(self) -> str:
        """Identity of the content: equal keys leave out the same questions."""
        return content_key("benchmarks/1", self.words, sorted(self._runs), sorted(self._short))

    def add(self, text: str, where: str) -> None:
        """Add one benchmark question."""
        words = _words(text)
        self.count += bool(words)
        if 0 < len(words) < self.words:
            self._short.setdefault(words, where)
        for run in _windows(words, self.words):
            self._runs.setdefault(run, where)

    def overlap(self, text: str) -> Overlap | None:
        """The first run of words that the text shares with a benchmark question."""
        words = _words(text)
        for run in _windows(words, self.words):
            if run in self._runs:
                return Overlap(self._runs[run], " ".join(run))
        whole = self._short.get(words)
        return None if whole is None else Overlap(whole, " ".join(words))


_current: ContextVar[Benchmarks | None] = ContextVar("benchmarks", default=None)


@contextmanager
def shared_benchmarks(folder: str | None, words: int = DEFAULT_WORDS) -> Iterator[Benchmarks | None]:
    """The benchmarks of the run around it, or those of a folder for the length of the body; None without a folder.

    Raises:
        UserError: As `read_benchmarks`.
    """
    shared = _current.get()
    if shared is not None or folder is None:
        yield shared
        return
    benchmarks = read_benchmarks(Path(folder), words)
    token = _current.set(benchmarks)
    try:
        yield benchmarks
    finally:
        _current.reset(token)


def read_benchmarks(folder: Path, words: int = DEFAULT_WORDS) -> Benchmarks:
    """Index a folder of benchmark questions, sub-folders included.

    Read are .txt (a question per line), .jsonl and .json (records with one of `FIELDS`, or plain texts) and .csv (a
    column of such a name).

    Raises:
        UserError: The folder is missing, a file cannot be read, or no question was found.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder.", "Name the folder that holds the benchmark questions.")
    benchmarks = Benchmarks(words)
    for file in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
        for number, text in enumerate(_texts(file), start=1):
            benchmarks.add(text, f"{file.relative_to(folder)}, question {number}")
    if not benchmarks.count:
        raise UserError(
            f"{folder} holds no benchmark question.",
            f"Put {', '.join(SUFFIXES)} files there; records keep theirs under one of: {', '.join(FIELDS)}.",
        )
    return benchmarks


def _texts(file: Path) -> Iterator[str]:
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise UserError(f"{file} is over {_MAX_BYTES:,} bytes.", "Split it.")
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix.lower() == ".txt":
            yield from text.splitlines()
        elif file.suffix.lower() == ".csv":
            yield from _questions(csv.DictReader(io.StringIO(text)))
        elif file.suffix.lower() == ".jsonl":
            yield from _questions(json.loads(line) for line in text.splitlines() if line.strip())
        else:
            data = json.loads(text)
            yield from _questions(data if isinstance(data, list) else [data])
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.", "Check its permissions.") from error
    except (ValueError, csv.Error, RecursionError) as error:
        raise UserError(
            f"{file} is not what its name says: {error}.", "Mend it, or take it out of the folder."
        ) from error


def _questions(records: Iterable[Any]) -> Iterator[str]:
    for record in records:
        if isinstance(record, str):
            yield record
        elif isinstance(record, dict):
            names = {str(name).casefold(): value for name, value in record.items()}
            found = next((names[field] for field in FIELDS if isinstance(names.get(field), str)), None)
            if found is not None:
                yield found


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def _windows(words: tuple[str, ...], size: int) -> Iterator[tuple[str, ...]]:
    for start in range(len(words) - size + 1):
        yield words[start : start + size]
